"""Fakes of the engine's ports: what the world would do, in memory."""

import asyncio
import copy
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from sigmax.schemas.base import Message
from sigmax.schemas.market import BARS, SHARDS, TICKS, Bar, Instrument, TickBatch, shard_of
from sigmax.schemas.orders import Fill
from strategy_engine.domain.book import Holding
from strategy_engine.domain.signals import Draft
from strategy_engine.domain.spec import Spec, Status
from strategy_engine.handlers.market import Engine, Rules

START_S = 1_700_000_100
BTC = "BTC/USDT@binance"


class FakeClock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def now_ns(self) -> int:
        return int(self.at.timestamp()) * 10**9

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Tables:
    """What is committed."""

    specs: dict[str, Spec] = field(default_factory=dict)
    versions: dict[tuple[str, int], str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    holdings: dict[tuple[str, str], Holding] = field(default_factory=dict)
    signals: dict[UUID, Draft] = field(default_factory=dict)
    fills: dict[str, Decimal] = field(default_factory=dict)
    inbox: set[UUID] = field(default_factory=set)
    sent: list[Message] = field(default_factory=list)


class FakeLedger:
    """One transaction: it works on a copy, which becomes the tables when it commits."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    async def first_time(self, message: Message) -> bool:
        is_new = message.message_id not in self.tables.inbox
        self.tables.inbox.add(message.message_id)
        return is_new

    def publish(self, message: Message) -> None:
        self.tables.sent.append(message)

    async def strategies(self, *, lock: bool = False) -> list[Spec]:
        return list(self.tables.specs.values())

    async def seed(self, specs: Sequence[Spec]) -> None:
        if not self.tables.specs:
            self.tables.specs = {spec.strategy_id: spec for spec in specs}

    async def save(self, spec: Spec, changed_by: str) -> None:
        self.tables.specs[spec.strategy_id] = spec
        self.tables.versions[spec.strategy_id, spec.version] = changed_by

    async def pause(self, spec: Spec, reason: str) -> bool:
        if self.tables.specs.get(spec.strategy_id) != spec:
            return False
        self.tables.specs[spec.strategy_id] = replace(spec, status=Status.PAUSED)
        self.tables.reasons[spec.strategy_id] = reason
        return True

    async def holdings(self, changed_since: datetime | None) -> list[Holding]:
        return list(self.tables.holdings.values())

    async def claim(self, draft: Draft, now: datetime, working_until: datetime) -> Holding | None:
        signal = draft.signal
        held = self._holding(signal.strategy_id, signal.instrument_id)
        is_known = signal.message_id in self.tables.signals
        if is_known or held.is_working(now) or held.quantity != draft.seen_quantity:
            return None
        self.tables.signals[signal.message_id] = draft
        return self._put(replace(held, working_signal_id=signal.message_id, working_until=working_until))

    async def add_fill(self, fill: Fill, held: Decimal) -> Holding:
        self.tables.fills.setdefault(fill.execution_id, held)
        held_before = self._holding(fill.strategy_id, fill.instrument_id)
        return self._put(replace(held_before, quantity=sum(self.tables.fills.values(), Decimal(0))))

    async def order_is_out(self, strategy_id: str, instrument_id: str, signal_id: UUID) -> Holding | None:
        held = self._holding(strategy_id, instrument_id)
        return self._put(replace(held, working_until=None)) if held.working_signal_id == signal_id else None

    async def order_ended(
        self, strategy_id: str, instrument_id: str, signal_id: UUID, filled: Decimal, until: datetime
    ) -> Holding | None:
        held = self._holding(strategy_id, instrument_id)
        if held.working_signal_id != signal_id:
            return None
        return self._put(replace(held, working_until=until) if filled else replace(held, working_signal_id=None))

    def _holding(self, strategy_id: str, instrument_id: str) -> Holding:
        return self.tables.holdings.get((strategy_id, instrument_id), Holding(strategy_id, instrument_id, Decimal(0)))

    def _put(self, held: Holding) -> Holding:
        risen = replace(held, sequence=held.sequence + 1)
        self.tables.holdings[held.strategy_id, held.instrument_id] = risen
        return risen


class FakeStore:
    """Opens transactions; `faults` are raised, one per commit, before it."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.faults: list[Exception] = []

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[FakeLedger]:
        ledger = FakeLedger(copy.deepcopy(self.tables))
        yield ledger
        if self.faults and ledger.tables != self.tables:
            raise self.faults.pop(0)
        self.tables = ledger.tables


class FakeFeed:
    """Streams as lists; an entry's id is its place, from 1."""

    def __init__(self, clock: FakeClock) -> None:
        self.positions: dict[str, str] = {}
        self.waiting = 0
        self.known: dict[str, Instrument] = {}
        self.streams: dict[str, list[bytes]] = {}
        self._clock = clock
        self._sequence = 0

    def put(self, stream: str, body: bytes) -> None:
        self.streams.setdefault(stream, []).append(body)

    def bar(self, minute: int, close: float, instrument_id: str = BTC) -> None:
        price = Decimal(str(close))
        bar = Bar(
            instrument_id, 60, (START_S + minute * 60) * 10**9, price, price, price, price, Decimal(1), 1,
            self._clock.now_ns(),
        )  # fmt: skip
        self.put(BARS.format(shard=shard_of(instrument_id)), bar.encode())

    def tick(self, at_s: float, price: int) -> None:
        self._sequence += 1
        batch = TickBatch(
            [BTC], [0], [0], [0], [self._sequence], [int((START_S + at_s) * 10**9)], [self._clock.now_ns()], [price],
            [1], [0],
        )  # fmt: skip
        self.put(TICKS.format(shard=shard_of(BTC)), batch.encode())

    async def read(self) -> list[tuple[str, str, bytes]]:
        await asyncio.sleep(0)
        entries = []
        for stream, position in self.positions.items():
            start = int(position.split("-")[0])
            for number, body in enumerate(self.streams.get(stream, [])[start:], start + 1):
                entries.append((stream, str(number), body))
                self.positions[stream] = str(number)
        return entries

    async def history(self, stream: str, until: str, age_max_s: float | None) -> AsyncIterator[bytes]:
        for body in self.streams.get(stream, [])[: int(until.split("-", maxsplit=1)[0])]:
            yield body

    async def newest(self, stream: str) -> str:
        return str(len(self.streams.get(stream, [])))

    async def instruments(self) -> dict[str, Instrument]:
        return self.known


class FakeLeases:
    """Leases that a test gives and takes."""

    def __init__(self) -> None:
        self.mine = set(range(SHARDS))
        self.others: set[int] = set()
        self.stored: dict[int, dict[str, str]] = {}

    def held(self) -> set[int]:
        return set(self.mine)

    async def all_held(self) -> bool:
        return self.mine | self.others == set(range(SHARDS))

    async def leave(self, shard: int) -> None:
        self.mine.discard(shard)

    async def cursors(self, shard: int) -> dict[str, str]:
        return dict(self.stored.get(shard, {}))

    async def store_cursors(self, shard: int, positions: Mapping[str, str]) -> bool:
        if shard in self.mine:
            self.stored[shard] = dict(positions)
        return shard in self.mine


class FakeMeter:
    """Counts in a `Counter`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.late_s: list[float] = []
        self.begun_s: list[float] = []

    def read(self, ticks: int, bars: int) -> None:
        self.counts.update(ticks=ticks, bars=bars)

    def behind(self, late_s: float) -> None:
        self.late_s.append(late_s)

    def begun(self, latency_s: float) -> None:
        self.begun_s.append(latency_s)

    def evaluated(self, latency_s: float, strategies: int) -> None:
        self.counts.update(evaluations=strategies)

    def signal(self, strategy_id: str, action: str) -> None:
        self.counts.update([f"signal {strategy_id} {action}"])

    def dropped(self, reason: str) -> None:
        self.counts.update([f"dropped {reason}"])

    def unreadable(self) -> None:
        self.counts.update(["unreadable"])

    def denied(self, code: str) -> None:
        self.counts.update([f"denied {code}"])

    def state(self, shards: int, specs: Sequence[Spec]) -> None:
        self.counts["shards"] = shards


class Room:
    """An engine among fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore()
        self.feed = FakeFeed(self.clock)
        self.leases = FakeLeases()
        self.meter = FakeMeter()
        self.cpu_ns = 0
        self.engine = self.new_engine()

    def new_engine(self) -> Engine:
        return Engine(
            feed=self.feed, leases=self.leases, open_ledger=self.store, clock=self.clock, cpu_ns=lambda: self.cpu_ns,
            meter=self.meter,
            rules=Rules(signal_valid_s=10, judgement_s=5, working_margin_s=30, evaluation_ms=50, warm_ticks_s=900),
        )  # fmt: skip

    def strategy(self, strategy_id: str = "a", kind: str = "donchian_breakout", **values: Any) -> None:
        params = {"entry": 3, "exit": 2} if kind == "donchian_breakout" else {}
        spec = Spec(strategy_id, kind, 1, Status.ACTIVE, "paper", 60, ("*",), params, asks_judgement=False)
        self.store.tables.specs[strategy_id] = replace(spec, **values)

    def bars(self, closes: Sequence[float], first: int = 0) -> None:
        for i, close in enumerate(closes):
            self.feed.bar(first + i, close)

    async def turn(self) -> None:
        await self.engine.refresh()
        await self.engine.turn()

    def sent(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.store.tables.sent if isinstance(message, kind)]


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def restart(room: Room) -> Callable[[], None]:
    """Give a function that ends the engine as a crash does, and makes a new one."""

    def again() -> None:
        room.feed.positions = {}
        room.engine = room.new_engine()

    return again
