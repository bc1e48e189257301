"""The newest market data, as the collector keeps it in Redis."""

import asyncio
from collections.abc import Collection
from typing import TypeVar

import msgspec
import structlog
from redis.asyncio import Redis

from sigmax.schemas.market import INSTRUMENTS, LATEST, Instrument, Quote

log = structlog.get_logger()
T = TypeVar("T", Instrument, Quote)


class RedisMarket:
    """Reads the two hashes of market data.

    Each call raises `TimeoutError` or redis-py's errors; the runtime waits such faults out with the message in hand.
    """

    def __init__(self, redis: Redis, timeout_s: float) -> None:
        self._redis = redis
        self._timeout_s = timeout_s

    async def look(self, instrument_id: str) -> tuple[Instrument | None, Quote | None]:
        """Read one instrument and its quote in one round trip."""
        async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hget(INSTRUMENTS, instrument_id)
            pipeline.hget(LATEST, instrument_id)
            instrument, quote = await pipeline.execute()
        return _read(Instrument, instrument, instrument_id), _read(Quote, quote, instrument_id)

    async def quotes(self, instrument_ids: Collection[str]) -> dict[str, Quote]:
        """Read the quotes of several instruments in one round trip; of none, without asking."""
        names = sorted(instrument_ids)
        if not names:
            return {}
        async with asyncio.timeout(self._timeout_s):
            found = await self._redis.hmget(LATEST, names)
        read = {name: _read(Quote, body, name) for name, body in zip(names, found, strict=True)}
        return {name: quote for name, quote in read.items() if quote is not None}


def _read(kind: type[T], body: bytes | str | None, name: str) -> T | None:
    """Decode one hash field; what cannot be read is as good as absent, and absence denies."""
    if not isinstance(body, bytes):
        return None
    try:
        return kind.decode(body)
    except msgspec.MsgspecError as error:
        log.warning("market_data_unreadable", kind=kind.__name__, name=name, error=str(error))
        return None
