"""The market as a whole, as the collector keeps it in Redis."""

import asyncio
from collections import defaultdict
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
_BARS_PER_SHARD = 20_000
_SLOW_TIMEOUT_S = 10.0
"""For thousands of bars, which nobody waits for."""


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
        """Give the closing prices of each instrument's newest bars, the oldest first."""
        closes: dict[str, list[Decimal]] = defaultdict(list)
        for shard in range(SHARDS):
            async with asyncio.timeout(_SLOW_TIMEOUT_S):
                entries: Any = await self._redis.xrevrange(BARS.format(shard=shard), count=_BARS_PER_SHARD)
            for _, fields in entries:
                bar = _read(Bar, fields.get(FIELD, b""))
                if bar is not None and len(closes[bar.instrument_id]) <= BARS_MAX:
                    closes[bar.instrument_id].append(bar.close)
        return {name: prices[::-1] for name, prices in closes.items()}

    async def vix(self) -> tuple[Decimal, datetime] | None:
        """Give the newest VIX and its time."""
        async with asyncio.timeout(self._timeout_s):
            body = await self._redis.hget(MACRO, VIX)
        found = _read(Macro, body if isinstance(body, bytes) else b"")
        return None if found is None or not found.value.is_finite() else (found.value, moment(found.ts_ns))


def _read(kind: type[T], body: bytes) -> T | None:
    """Decode one entry; what cannot be read is as good as absent."""
    try:
        return kind.decode(body) if body else None
    except msgspec.MsgspecError as error:
        log.warning("market_data_unreadable", kind=kind.__name__, error=str(error))
        return None
