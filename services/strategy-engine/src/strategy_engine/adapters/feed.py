"""Market data from Redis."""

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import structlog
from redis.asyncio import Redis

from sigmax.runtime.streams import Tail
from sigmax.schemas.market import FIELD, INSTRUMENTS, Instrument

log = structlog.get_logger()

_PAGE = 500
_BLOCK_MS = 500
"""Also how long a change of shards or strategies may wait while the market is silent."""


class RedisFeed:
    """Reads streams onwards, and back where strategies need to be warmed."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._tail = Tail(redis, {}, count=_PAGE, block_ms=_BLOCK_MS)
        self.positions = self._tail.positions
        self.waiting = 0

    async def read(self) -> list[tuple[str, str, bytes]]:
        """Wait a little for new entries and give them, in the order of `positions`."""
        entries = await self._tail.read()
        self.waiting = len(entries) if len(entries) >= _PAGE else 0
        return entries

    async def history(self, stream: str, until: str, age_max_s: float | None) -> AsyncIterator[bytes]:
        """Give the bodies of stored entries up to and with `until`, none older than `age_max_s` before it."""
        milliseconds = int(until.split("-", 1)[0])
        start = "-" if age_max_s is None else str(max(0, milliseconds - int(age_max_s * 1000)))
        while True:
            page: Any = await self._redis.xrange(stream, min=start, max=until, count=_PAGE)
            for entry_id, fields in page:
                start = f"({entry_id.decode()}"
                if FIELD in fields:
                    yield fields[FIELD]
            if len(page) < _PAGE:
                return

    async def newest(self, stream: str) -> str:
        """Give the id of the newest entry, `0-0` where there is none."""
        page: Any = await self._redis.xrevrange(stream, count=1)
        return cast("str", page[0][0].decode()) if page else "0-0"

    async def instruments(self) -> dict[str, Instrument]:
        """Give what is known of the instruments; one that cannot be read is left out, and said so."""
        known = {}
        stored: Any = await self._redis.hgetall(INSTRUMENTS)
        for name, body in stored.items():
            try:
                known[name.decode()] = Instrument.decode(body)
            except msgspec.DecodeError:
                log.warning("instrument_unreadable", instrument_id=name.decode(errors="replace"))
        return known
