"""The tick stream, as risk-gate reads it: from now on, every shard, and on after any fault."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sigmax.runtime.streams import Tail
from sigmax.schemas.market import SHARDS, TICKS, TickBatch

log = structlog.get_logger()

_PAUSE_S = 0.5


class RedisTicks:
    """Reads each batch of ticks once, in each replica. What comes while Redis is away is old when it is back."""

    def __init__(self, redis: Redis) -> None:
        self._tail = Tail(redis, {TICKS.format(shard=shard): "$" for shard in range(SHARDS)}, count=200)

    async def batches(self) -> AsyncIterator[TickBatch]:
        """Give one batch after the other, for ever."""
        while True:
            try:
                entries = await self._tail.read()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("ticks_unreadable", error=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            for stream, entry_id, body in entries:
                try:
                    batch = TickBatch.decode(body)
                except msgspec.MsgspecError as error:
                    log.warning("tick_batch_unreadable", stream=stream, entry_id=entry_id, error=str(error))
                    continue
                yield batch
