"""Beyond the newest quote: the same pair elsewhere, how prices have been moving, and which services live.

Each is kept in memory by a loop, so that a decision never waits for it.
"""

import asyncio
from collections import defaultdict, deque
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis

from risk_gate.domain.closes import DayCloses
from risk_gate.domain.facts import Beat, Fleet
from risk_gate.domain.volatility import RETURNS_MAX, TIMEFRAME_S, volatility_pct
from sigmax.runtime.streams import Tail
from sigmax.schemas.market import (
    BARS,
    FIELD,
    HEARTBEATS,
    INSTRUMENTS,
    LATEST,
    SHARDS,
    Bar,
    Heartbeat,
    Quote,
    moment,
    symbol_of,
)

log = structlog.get_logger()
T = TypeVar("T", Bar, Heartbeat, Quote)

_SLOW_TIMEOUT_S = 10.0
"""For lists that no decision waits for."""
_PAGE = 5_000
_PAGES_MAX = 10
"""Of bars, at the start: as far back as the day before the newest, or as this."""
_BEATS = 300
"""The heartbeats of half a minute, of some thirty processes."""


class RedisSources:
    """Knows the markets at which a pair is quoted, and the closes of each instrument's last hour."""

    def __init__(self, redis: Redis, timeout_s: float) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._tail: Tail | None = None
        self._rivals: dict[str, str] = {}
        self._closes: dict[str, deque[Decimal]] = defaultdict(lambda: deque(maxlen=RETURNS_MAX + 1))
        self._day_closes = DayCloses()
        self._newest_ns: dict[str, int] = {}
        self._measured: dict[str, Decimal | None] = {}

    async def rival(self, instrument_id: str) -> Quote | None:
        """Give the newest quote of the same pair at another market."""
        name = self._rivals.get(instrument_id)
        if name is None:
            return None
        async with asyncio.timeout(self._timeout_s):
            body: Any = await self._redis.hget(LATEST, name)
        return _read(Quote, body)

    def volatility_pct(self, instrument_id: str) -> Decimal | None:
        """Give the usual move of an instrument in a day."""
        if instrument_id not in self._measured:
            self._measured[instrument_id] = volatility_pct(list(self._closes.get(instrument_id, ())))
        return self._measured[instrument_id]

    def close_before(self, instrument_id: str, ts_ns: int) -> Decimal | None:
        """Give the last close of an earlier day of the market than a moment's."""
        return self._day_closes.before(instrument_id, ts_ns)

    async def list_rivals(self) -> None:
        """Look at which markets each pair is listed; of several others the first by name is the rival."""
        async with asyncio.timeout(_SLOW_TIMEOUT_S):
            found: Any = await self._redis.hgetall(INSTRUMENTS)
        by_symbol: dict[str, list[str]] = defaultdict(list)
        for name in sorted(key.decode() for key in found):
            by_symbol[symbol_of(name)].append(name)
        self._rivals = {
            name: next(other for other in names if other != name)
            for names in by_symbol.values()
            if len(names) > 1
            for name in names
        }

    async def read_bars(self) -> None:
        """Take the bars that closed since the last call, and the first time those of before; waits a second at most."""
        if self._tail is None:
            self._tail = await self._warmed()
        for _, _, body in await self._tail.read():
            self._keep(body)

    async def _warmed(self) -> Tail:
        """Take the bars of before: those of the last hour, and as many more as the day before begins with."""
        positions = {}
        for shard in range(SHARDS):
            stream, before, found = BARS.format(shard=shard), "+", list[bytes | None]()
            for number in range(_PAGES_MAX):
                async with asyncio.timeout(_SLOW_TIMEOUT_S):
                    entries: Any = await self._redis.xrevrange(stream, max=before, count=_PAGE)
                if number == 0:
                    positions[stream] = entries[0][0].decode() if entries else "$"
                found += [fields.get(FIELD) for _, fields in entries]
                for body in found[-len(entries) :]:
                    self._keep_day(_read(Bar, body))
                if len(entries) < _PAGE or self._day_closes.reaches_back:
                    break
                before = f"({entries[-1][0].decode()}"
            for body in reversed(found):
                self._keep(body)
        return Tail(self._redis, positions)

    def _keep(self, body: bytes | None) -> None:
        bar = _read(Bar, body)
        self._keep_day(bar)
        if bar is None or bar.timeframe_s != TIMEFRAME_S or bar.open_ns <= self._newest_ns.get(bar.instrument_id, -1):
            return
        self._newest_ns[bar.instrument_id] = bar.open_ns
        self._closes[bar.instrument_id].append(bar.close)
        self._measured.pop(bar.instrument_id, None)

    def _keep_day(self, bar: Bar | None) -> None:
        if bar is not None:
            self._day_closes.note(bar.instrument_id, bar.close_ns, bar.close)


class RedisFleet:
    """Knows the newest heartbeat of each process."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._seen: Fleet | None = None

    def seen(self) -> Fleet | None:
        """Give who was heard of; what cannot be read any more grows old, and old is as good as gone."""
        return self._seen

    async def listen(self) -> None:
        """Read the newest heartbeats. Raises redis-py's errors, and `TimeoutError`."""
        async with asyncio.timeout(_SLOW_TIMEOUT_S):
            entries: Any = await self._redis.xrevrange(HEARTBEATS, count=_BEATS)
        newest: dict[tuple[str, str], Beat] = {}
        for _, fields in entries:
            beat = _read(Heartbeat, fields.get(FIELD))
            if beat is not None:
                at = moment(beat.at_ns)
                newest.setdefault((beat.service, beat.replica), Beat(beat.service, beat.version, beat.ready, at))
        self._seen = Fleet(tuple(newest.values()))


def _read(kind: type[T], body: bytes | None) -> T | None:
    """Decode one entry; what cannot be read is as good as absent."""
    try:
        return None if body is None else kind.decode(body)
    except msgspec.MsgspecError as error:
        log.warning("market_data_unreadable", kind=kind.__name__, error=str(error))
        return None
