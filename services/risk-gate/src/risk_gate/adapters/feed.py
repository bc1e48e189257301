"""The market as a whole, as the collector keeps it in Redis."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis

from risk_gate.domain.postures import BARS_MAX
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.market import BARS, FIELD, INSTRUMENTS, MACRO, SHARDS, VIX, Bar, Instrument, Macro, moment

log = structlog.get_logger()
T = TypeVar("T", Instrument, Bar, Macro)

_LIST_AGE_MAX_NS = 5_000_000_000
"""The collector tells its list every few seconds; a thousand instruments are not read every second."""
_PAGE = 2_000
"""Bars that are read at a time: whatever else the process does comes in between."""
_PAGES_MAX = 10
_INSTRUMENTS_MAX = 50
_SLOW_TIMEOUT_S = 10.0
"""For a page of bars, which nobody waits for."""


class RedisFeed:
    """Reads lists, bars, and figures of the whole market.

    Each call raises `TimeoutError` or redis-py's errors: faults that will pass.
    """

    def __init__(self, redis: Redis, timeout_s: float, clock: ClockPort) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._clock = clock
        self._listed: dict[str, Instrument] = {}
        self._listed_ns = 0

    async def instruments(self) -> Mapping[str, Instrument]:
        """Give all that is listed."""
        now_ns = self._clock.now_ns()
        if now_ns - self._listed_ns > _LIST_AGE_MAX_NS:
            async with asyncio.timeout(self._timeout_s):
                found: dict[Any, Any] = await self._redis.hgetall(INSTRUMENTS)
            read = ((name.decode(), _read(Instrument, body)) for name, body in found.items())
            self._listed = {name: instrument for name, instrument in read if instrument is not None}
            self._listed_ns = now_ns
        return self._listed

    async def closes(self) -> Mapping[str, Sequence[Decimal]]:
        """Give the closing prices of each instrument's newest bars, the oldest first.

        Of a large market a part speaks for the whole: the instruments with the longest history.
        """
        found: dict[str, list[Bar]] = {}
        for shard in range(SHARDS):
            before = "+"
            for _ in range(_PAGES_MAX):
                async with asyncio.timeout(_SLOW_TIMEOUT_S):
                    page: Any = await self._redis.xrevrange(BARS.format(shard=shard), max=before, count=_PAGE)
                for _, fields in page:
                    _keep(found, _read(Bar, fields.get(FIELD, b"")))
                if len(page) < _PAGE:
                    break
                before = f"({page[-1][0].decode()}"
        longest = sorted(found, key=lambda name: (-len(found[name]), name))[:_INSTRUMENTS_MAX]
        return {name: [bar.close for bar in reversed(found[name])] for name in longest}

    async def vix(self) -> tuple[Decimal, datetime] | None:
        """Give the newest VIX and its time."""
        async with asyncio.timeout(self._timeout_s):
            body = await self._redis.hget(MACRO, VIX)
        found = _read(Macro, body if isinstance(body, bytes) else b"")
        return None if found is None or not found.value.is_finite() else (found.value, moment(found.ts_ns))


def _keep(found: dict[str, list[Bar]], bar: Bar | None) -> None:
    """Keep a bar that is older than those before it, and of their timeframe: an entry may stand there twice."""
    if bar is None:
        return
    kept = found.setdefault(bar.instrument_id, [])
    fits = not kept or (bar.timeframe_s == kept[0].timeframe_s and bar.open_ns < kept[-1].open_ns)
    if fits and len(kept) <= BARS_MAX:
        kept.append(bar)


def _read(kind: type[T], body: bytes) -> T | None:
    """Decode one entry; what cannot be read is as good as absent."""
    try:
        return kind.decode(body) if body else None
    except msgspec.MsgspecError as error:
        log.warning("market_data_unreadable", kind=kind.__name__, error=str(error))
        return None
