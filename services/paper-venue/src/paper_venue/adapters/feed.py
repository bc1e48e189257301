"""Prices and instruments from the collector's side of Redis."""

from typing import cast

import structlog
from msgspec import DecodeError
from redis.asyncio import Redis

from sigmax.runtime.streams import Tail
from sigmax.schemas.market import INSTRUMENTS, Instrument

log = structlog.get_logger()


class RedisFeed:
    """Reads `md.instruments` and the streams of ticks."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def instruments(self) -> list[Instrument]:
        """Give every instrument that is known; one that cannot be read is left out and logged."""
        found = []
        bodies = cast("dict[bytes, bytes]", await self._redis.hgetall(INSTRUMENTS))
        for name, body in bodies.items():
            try:
                found.append(Instrument.decode(body))
            except DecodeError as error:
                log.warning("instrument_unreadable", instrument_id=repr(name), error=str(error))
        return sorted(found, key=lambda instrument: instrument.instrument_id)

    async def newest(self, streams: list[str]) -> dict[str, str]:
        """Give the id of each stream's newest entry; `0-0` for an empty one."""
        found = {}
        for stream in streams:
            entries = await self._redis.xrevrange(stream, count=1)
            found[stream] = cast("bytes", entries[0][0]).decode() if entries else "0-0"
        return found

    def follow(self, positions: dict[str, str]) -> Tail:
        """Read on from known positions."""
        return Tail(self._redis, positions)
