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

    def follow(self, positions: dict[str, str]) -> Tail:
        """Read on from stored positions; `$` is what comes from now on."""
        return Tail(self._redis, positions)
