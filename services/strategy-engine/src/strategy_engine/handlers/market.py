"""The loop from market data to signals, over the shards this replica holds.

A turn takes what is new, lets the desks work on it, and records what they wished; then the cursor moves on. Whatever
breaks in between is done again from the cursor, by this replica or another: the same entries make the same signals,
and a signal that is known is not made twice.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import structlog

from sigmax.runtime import tracing
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.faults import is_passing
from sigmax.schemas.market import BARS, TICKS, Bar, TickBatch, nanoseconds
from sigmax.schemas.signals import Signal
from strategy_engine.domain import alerts
from strategy_engine.domain.book import Book
from strategy_engine.domain.desk import Desk, Fault, Outcome, Wished
from strategy_engine.domain.signals import Draft, draft
from strategy_engine.domain.spec import Spec, Status, check_params, check_timeframe
from strategy_engine.ports import FeedPort, LeasePort, MeterPort, OpenLedger

log = structlog.get_logger()

_IDLE_S = 0.2
_RECOVERY_S = 1.0
_CURSOR_EVERY_NS = 250_000_000
_OVERLAP = timedelta(seconds=15)
"""How far back each look at the holdings reaches: further than a transaction lasts and clocks differ."""
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """How long things last; see the settings of the same names."""

    signal_valid_s: float
    judgement_s: float
    working_margin_s: float
    evaluation_ms: float
    warm_ticks_s: float


@dataclass(slots=True)
class _Shard:
    """One shard in work."""

    desk: Desk
    done: dict[str, str] = field(default_factory=dict)
    """The last entry processed, per stream, with all that came of it recorded."""


class Engine:
    """Runs the strategies. `refresh` and `run` are called by different tasks; only `run` touches the desks."""

    def __init__(
        self,
        *,
        feed: FeedPort,
        leases: LeasePort,
        open_ledger: OpenLedger,
        clock: ClockPort,
        cpu_ns: Callable[[], int],
        meter: MeterPort,
        rules: Rules,
    ) -> None:
        self.book = Book()
        self._feed, self._leases, self._open_ledger = feed, leases, open_ledger
        self._clock, self._cpu_ns, self._meter, self._rules = clock, cpu_ns, meter, rules
        self._shards: dict[int, _Shard] = {}
        self._specs: list[Spec] = []
        self._followed: list[Spec] = self._specs
        self._refreshed_at: datetime | None = None
        self._cursors_at_ns = 0

    async def refresh(self) -> None:
        """Read what people and other replicas changed: strategies, holdings, instruments."""
        started = self._clock.now()
        since = None if self._refreshed_at is None else self._refreshed_at - _OVERLAP
        self.book.instruments = await self._feed.instruments()
        async with self._open_ledger() as ledger:
            specs = await ledger.strategies()
            holdings = await ledger.holdings(since)
        self.book.apply(holdings)
        if specs != self._specs:
            self._specs = specs
        self._refreshed_at = started
        self._meter.state(len(self._shards), specs)

    async def run(self) -> None:
        """Turn for ever. A passing fault of a server costs the desks, which are warmed again from the cursor."""
        while True:
            try:
                if self._refreshed_at is None:
                    await self.refresh()
                await self.turn()
            except Exception as error:
                if not is_passing(error):
                    raise
                log.warning("market_loop_interrupted", error=str(error))
                self._forget(list(self._shards))
                await asyncio.sleep(_RECOVERY_S)

    async def turn(self) -> None:
        """Take what is new and do all that follows from it."""
        await self._follow_leases()
        self._point_feed()
        if not self._feed.positions:
            await asyncio.sleep(_IDLE_S)
            return
        entries = await self._feed.read()
        taken_ns = self._clock.now_ns()
        if entries:
            self._meter.behind((taken_ns - _entered_ns(entries[0][1])) / _NS_PER_S)
        # After the wait, so that what people changed meanwhile holds for these entries already.
        await self._follow_strategies()
        outcomes: list[Outcome] = []
        ticks = bars = 0
        started_ns = self._clock.now_ns()
        for stream, _, body in entries:
            shard = self._shards[int(stream.rsplit(".", 1)[1])]
            part = self._decoded(stream, body)
            if isinstance(part, TickBatch):
                ticks += len(part)
                outcomes += shard.desk.on_ticks(part)
            elif part is not None:
                bars += 1
                outcomes += shard.desk.on_bar(part)
        self._meter.read(ticks, bars)
        for outcome in outcomes:
            self._meter.begun((taken_ns - outcome.bar.received_ns) / _NS_PER_S)
        has_written = await self._act(outcomes, started_ns)
        for stream, entry_id, _ in entries:
            self._shards[int(stream.rsplit(".", 1)[1])].done[stream] = entry_id
        now_ns = self._clock.now_ns()
        if has_written or now_ns - self._cursors_at_ns >= _CURSOR_EVERY_NS:
            self._cursors_at_ns = now_ns
            await self._store_cursors(self._shards)

    async def close(self) -> None:
        """Leave everything as another replica needs it."""
        await self._store_cursors(self._shards)
        for shard in list(self._shards):
            await self._leases.leave(shard)
        self._forget(list(self._shards))

    async def problem(self) -> str | None:
        """Say why the shards are not looked after; None when they are, here or elsewhere."""
        warming = self._leases.held() - self._shards.keys()
        if warming:
            return f"shards {sorted(warming)} are being warmed"
        if self._shards or await self._leases.all_held():
            return None
        return "no shard is held, and not all are held elsewhere"

    async def _follow_leases(self) -> None:
        held = self._leases.held()
        for number in [number for number in self._shards if number not in held]:
            await self._store_cursors([number])
            self._forget([number])
            await self._leases.leave(number)
        for number in sorted(held - self._shards.keys()):
            await self._take(number)

    async def _take(self, number: int) -> None:
        """Warm the desk of a shard up to where it was processed, and go on from there; a new one begins with now."""
        shard = _Shard(self._desk(await self._usable()))
        cursors = await self._leases.cursors(number)
        for stream in self._streams(number, shard.desk):
            shard.done[stream] = cursors.get(stream) or await self._feed.newest(stream)
        await self._warm(shard)
        self._shards[number] = shard
        log.info("shard_taken", shard=number, cursors=cursors)

    async def _follow_strategies(self) -> None:
        """Put on the desks what people started or changed, and take off what they stopped."""
        if self._followed is self._specs or not self._shards:
            return
        self._followed = self._specs
        usable = {spec.strategy_id: spec for spec in await self._usable()}
        for number, shard in self._shards.items():
            for strategy_id in shard.desk.specs.keys() - usable.keys():
                shard.desk.drop(strategy_id)
            changed = [spec for name, spec in usable.items() if shard.desk.specs.get(name) != spec]
            if changed:
                addition = _Shard(self._desk(changed), dict(shard.done))
                for stream in self._streams(number, addition.desk):
                    if stream not in shard.done:
                        addition.done[stream] = shard.done[stream] = await self._feed.newest(stream)
                await self._warm(addition)
                shard.desk.adopt(addition.desk)

    async def _usable(self) -> list[Spec]:
        """Give the active strategies; one that cannot be made from what is stored is paused."""
        usable = []
        for spec in self._specs:
            if spec.status is not Status.ACTIVE:
                continue
            try:
                check_params(spec.kind, spec.params)
                check_timeframe(spec.timeframe_s)
            except ValueError as error:
                async with self._open_ledger() as ledger:
                    if await ledger.pause(spec, str(error)):
                        ledger.publish(alerts.unusable(spec, str(error), self._clock.now()))
                self._set_aside(spec)
                continue
            usable.append(spec)
        return usable

    async def _warm(self, shard: _Shard) -> None:
        """Run stored entries through a desk and forget what it wished: that was dealt with when it was new."""
        # Ticks first: a desk that saw ticks of an instrument leaves its coarser bars alone.
        for stream, until in sorted(shard.done.items(), key=lambda item: item[0].startswith("md.bars")):
            age_max_s = self._rules.warm_ticks_s if stream.startswith("md.ticks") else None
            if stream.startswith("md.ticks") and not shard.desk.needs_ticks:
                continue
            async for body in self._feed.history(stream, until, age_max_s):
                part = self._decoded(stream, body)
                if part is not None:
                    outcomes = shard.desk.on_ticks(part) if isinstance(part, TickBatch) else shard.desk.on_bar(part)
                    await self._report(outcomes)

    async def _act(self, outcomes: list[Outcome], started_ns: int) -> bool:
        """Record what came of a turn; say whether there was anything."""
        now = self._clock.now()
        now_ns = self._clock.now_ns()
        for outcome in outcomes:
            self._meter.evaluated((now_ns - outcome.bar.received_ns) / _NS_PER_S, outcome.evaluations)
        drafts = self._drafts((wished for outcome in outcomes for wished in outcome.wishes), now)
        if drafts:
            evaluated_ns = self._clock.now_ns()
            signals = await self._record(drafts, now)
            self._trace(signals, started_ns, evaluated_ns)
        return await self._report(outcomes) or bool(drafts)

    def _drafts(self, wishes: Iterable[Wished], now: datetime) -> list[Draft]:
        drafts: dict[tuple[str, str], Draft] = {}
        for wished in wishes:
            key = (wished.spec.strategy_id, wished.bar.instrument_id)
            if key in drafts or self.book.holding(*key).is_working(now):
                self._meter.dropped("order_on_its_way")
                continue
            made = draft(wished, now, self._rules.signal_valid_s, self._rules.judgement_s)
            if made.signal.valid_until <= now:
                self._meter.dropped("expired")
                continue
            drafts[key] = made
        return list(drafts.values())

    async def _record(self, drafts: list[Draft], now: datetime) -> list[Signal]:
        """Store and send signals in one transaction, and give them; each takes its holding or is void."""
        claimed = []
        async with self._open_ledger() as ledger:
            for made in drafts:
                until = made.signal.valid_until + timedelta(seconds=self._rules.working_margin_s)
                holding = await ledger.claim(made, now, until)
                if holding is not None:
                    ledger.publish(made.request or made.signal)
                    claimed.append((made.signal, holding))
        self.book.apply(holding for _, holding in claimed)
        for signal, _ in claimed:
            self._meter.signal(signal.strategy_id, signal.action)
        for _ in range(len(drafts) - len(claimed)):
            self._meter.dropped("void")
        return [signal for signal, _ in claimed]

    def _trace(self, signals: list[Signal], started_ns: int, evaluated_ns: int) -> None:
        """Show the market events that led to signals, and only those: ticks themselves leave no trace."""
        ended_ns = self._clock.now_ns()
        for chain, signal in {signal.correlation_id: signal for signal in signals}.items():
            received_ns = nanoseconds(signal.tick_received_at)
            about = {"instrument_id": signal.instrument_id, "market_time": signal.market_time.isoformat()}
            tracing.began("market event", chain, received_ns, ended_ns, **about)
            tracing.followed("evaluate", chain, started_ns, evaluated_ns, instrument_id=signal.instrument_id)

    async def _report(self, outcomes: list[Outcome]) -> bool:
        """Pause what failed and tell people; say whether there was anything."""
        faults = [fault for outcome in outcomes for fault in outcome.faults]
        coarse = [told for outcome in outcomes for told in outcome.coarse]
        if not faults and not coarse:
            return False
        now = self._clock.now()
        async with self._open_ledger() as ledger:
            for fault in faults:
                if await ledger.pause(fault.spec, fault.text):
                    ledger.publish(alerts.paused(fault, now))
            for told in coarse:
                ledger.publish(alerts.coarse(told, now))
        for fault in faults:
            self._off_the_desks(fault)
        return True

    def _off_the_desks(self, fault: Fault) -> None:
        log.error("strategy_paused", strategy_id=fault.spec.strategy_id, fault=fault.text)
        for shard in self._shards.values():
            shard.desk.drop(fault.spec.strategy_id)
        self._set_aside(fault.spec)

    def _set_aside(self, paused: Spec) -> None:
        # The next look at the table says the same; until then it must not be put back.
        self._specs = [spec for spec in self._specs if spec != paused]

    def _decoded(self, stream: str, body: bytes) -> TickBatch | Bar | None:
        try:
            return TickBatch.decode(body) if stream.startswith("md.ticks") else Bar.decode(body)
        except (msgspec.DecodeError, msgspec.ValidationError):
            self._meter.unreadable()
            log.warning("entry_unreadable", stream=stream)
            return None

    def _desk(self, specs: Iterable[Spec]) -> Desk:
        return Desk(specs, self.book, self._cpu_ns, self._rules.evaluation_ms)

    def _streams(self, number: int, desk: Desk) -> list[str]:
        streams = [BARS.format(shard=number)]
        return [TICKS.format(shard=number), *streams] if desk.needs_ticks else streams

    def _point_feed(self) -> None:
        """Read exactly the streams that the desks need, ticks before bars, and remember no place in others."""
        positions = {}
        for number, shard in self._shards.items():
            shard.done = {stream: shard.done[stream] for stream in self._streams(number, shard.desk)}
            positions.update(shard.done)
        self._feed.positions.clear()
        self._feed.positions.update(sorted(positions.items(), reverse=True))

    async def _store_cursors(self, numbers: Iterable[int]) -> None:
        for number in list(numbers):
            await self._leases.store_cursors(number, self._shards[number].done)

    def _forget(self, numbers: list[int]) -> None:
        for number in numbers:
            del self._shards[number]


def _entered_ns(entry_id: str) -> int:
    """Give when Redis took the entry: its id begins with that millisecond."""
    return int(entry_id.split("-", 1)[0]) * 1_000_000
