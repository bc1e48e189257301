"""The desk: runs strategies over the ticks and bars of one shard, each inside its own fault boundary.

Values in, outcomes out. The same entries in the same order give the same outcomes, so that a desk warmed from stored
entries equals the one that was lost.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sigmax.schemas.market import Bar, TickBatch
from strategy_engine.domain.bars import Rollup, TickBars
from strategy_engine.domain.book import Book
from strategy_engine.domain.spec import Spec
from strategy_engine.domain.strategies import KINDS, Position, Strategy, Wish

_NS_PER_MS = 1_000_000
_FAULT_TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class Wished:
    """A strategy wished something."""

    spec: Spec
    bar: Bar
    wish: Wish
    position: Position


@dataclass(frozen=True, slots=True)
class Fault:
    """A strategy raised, answered nonsense, or took too long: it is off the desk."""

    spec: Spec
    bar: Bar
    text: str


@dataclass(frozen=True, slots=True)
class Coarse:
    """A strategy asks for shorter bars than the data has, and gets the data's."""

    spec: Spec
    bar: Bar


@dataclass(slots=True)
class Outcome:
    """What came of one closed bar."""

    bar: Bar
    evaluations: int = 0
    wishes: list[Wished] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    coarse: list[Coarse] = field(default_factory=list)


@dataclass(slots=True)
class _Runner:
    spec: Spec
    strategy: Strategy | None = None
    """None until the first bar: making it may fail, which is the strategy's fault and not the desk's."""


class _Series:
    """The bars of one length of one instrument, and who runs on them."""

    __slots__ = ("_origin", "_rollup", "_saw_ticks", "runners", "ticks", "timeframe_s")

    def __init__(self, instrument_id: str, spec: Spec) -> None:
        self.timeframe_s = spec.timeframe_s
        self.ticks = TickBars(instrument_id, spec.timeframe_s) if spec.needs_ticks else None
        self.runners: dict[str, _Runner] = {}
        self._saw_ticks = False
        self._rollup: tuple[int, Rollup] | None = None
        self._origin: object = None

    def from_part(self, part: Bar) -> list[Bar]:
        """Give the bars that a bar of the feed closes; none where ticks make finer ones."""
        if self._saw_ticks:
            return []
        fits = part.timeframe_s <= self.timeframe_s and self.timeframe_s % part.timeframe_s == 0
        if self._rollup is None or self._rollup[0] != part.timeframe_s:
            self._rollup = (part.timeframe_s, Rollup(self.timeframe_s if fits else part.timeframe_s))
        rollup = self._rollup[1]
        closed = rollup.add(part)
        self._begin_again_if_other((rollup, rollup.generation))
        return closed

    def from_tick(self, ticks: TickBars, price: int, quantity: int, ts_ns: int, received_ns: int) -> Bar | None:
        """Give the bar that a tick closes."""
        self._saw_ticks = True
        closed = ticks.add(price, quantity, ts_ns, received_ns)
        if closed is not None:
            self._begin_again_if_other((ticks, ticks.generation))
        return closed

    def _begin_again_if_other(self, origin: object) -> None:
        if origin != self._origin:
            if self._origin is not None:
                self.runners = {name: _Runner(runner.spec) for name, runner in self.runners.items()}
            self._origin = origin


class Lane:
    """One instrument: its series, and how far its ticks were seen."""

    __slots__ = ("fast", "sequence", "series")

    def __init__(self) -> None:
        self.series: list[_Series] = []
        self.fast: list[tuple[_Series, TickBars]] = []
        self.sequence = -1

    def sort(self) -> None:
        """Forget series that nobody runs on, and tell those that live on ticks."""
        self.series = [series for series in self.series if series.runners]
        self.fast = [(series, series.ticks) for series in self.series if series.ticks is not None]


class Desk:
    """Strategies over the instruments of one shard."""

    def __init__(self, specs: Iterable[Spec], book: Book, cpu_ns: Callable[[], int], budget_ms: float) -> None:
        self.specs = {spec.strategy_id: spec for spec in specs}
        self._book = book
        self._cpu_ns = cpu_ns
        self._budget_ns = int(budget_ms * _NS_PER_MS)
        self.lanes: dict[str, Lane] = {}
        self._told_coarse: set[str] = set()

    @property
    def needs_ticks(self) -> bool:
        """Say whether any strategy runs on bars that only ticks can make."""
        return any(spec.needs_ticks for spec in self.specs.values())

    def on_ticks(self, batch: TickBatch) -> list[Outcome]:
        """Take the trades of one entry; give an outcome for each bar they closed."""
        lanes = [self.lane(instrument_id) for instrument_id in batch.instruments]
        if not any(lane.fast for lane in lanes):
            return []
        for lane, price_exponent, quantity_exponent in zip(
            lanes, batch.price_exponents, batch.quantity_exponents, strict=True
        ):
            for _, ticks in lane.fast:
                ticks.rescale(price_exponent, quantity_exponent)
        outcomes = []
        for index, sequence, ts_ns, received_ns, price, quantity in zip(
            batch.instrument_index,
            batch.sequences,
            batch.ts_ns,
            batch.received_ns,
            batch.prices,
            batch.quantities,
            strict=True,
        ):
            lane = lanes[index]
            if sequence <= lane.sequence:
                continue  # told again: by a writer that lost its answer, or its place
            lane.sequence = sequence
            for series, ticks in lane.fast:
                bar = series.from_tick(ticks, price, quantity, ts_ns, received_ns)
                if bar is not None:
                    outcomes.append(self._evaluate(series, bar))
        return outcomes

    def on_bar(self, part: Bar) -> list[Outcome]:
        """Take a closed bar of the feed; give an outcome for each bar that it is or closed."""
        return [
            self._evaluate(series, bar)
            for series in self.lane(part.instrument_id).series
            for bar in series.from_part(part)
        ]

    def adopt(self, other: "Desk") -> None:
        """Take over another desk's strategies, which stand at the same entry, in place of those of the same name."""
        for strategy_id in other.specs:
            self.drop(strategy_id)
        self.specs.update(other.specs)
        for instrument_id in {**other.lanes, **self.lanes}:
            theirs = other.lane(instrument_id)
            lane = self.lanes.get(instrument_id)
            if lane is None:
                self.lanes[instrument_id] = theirs
                continue
            own = {series.timeframe_s: series for series in lane.series}
            for series in theirs.series:
                if series.timeframe_s in own:
                    own[series.timeframe_s].runners.update(series.runners)
                else:
                    lane.series.append(series)
            lane.sort()

    def drop(self, strategy_id: str) -> None:
        """Take a strategy off the desk."""
        if self.specs.pop(strategy_id, None) is None:
            return
        self._told_coarse.discard(strategy_id)
        for lane in self.lanes.values():
            for series in lane.series:
                series.runners.pop(strategy_id, None)
            lane.sort()

    def lane(self, instrument_id: str) -> Lane:
        """Give what is known of one instrument; at its first sight, the strategies that cover it are put on it."""
        lane = self.lanes.get(instrument_id)
        if lane is None:
            lane = self.lanes[instrument_id] = Lane()
            by_timeframe: dict[int, _Series] = {}
            for spec in self.specs.values():
                if spec.covers(instrument_id):
                    series = by_timeframe.setdefault(spec.timeframe_s, _Series(instrument_id, spec))
                    series.runners[spec.strategy_id] = _Runner(spec)
            lane.series = list(by_timeframe.values())
            lane.sort()
        return lane

    def _evaluate(self, series: _Series, bar: Bar) -> Outcome:
        outcome = Outcome(bar)
        for runner in list(series.runners.values()):
            spec = runner.spec
            if bar.timeframe_s > spec.timeframe_s and spec.strategy_id not in self._told_coarse:
                self._told_coarse.add(spec.strategy_id)
                outcome.coarse.append(Coarse(spec, bar))
            outcome.evaluations += 1
            position = self._book.position(spec.strategy_id, bar.instrument_id, bar.close)
            answer = self._ask(runner, bar, position)
            if isinstance(answer, Wish):
                outcome.wishes.append(Wished(spec, bar, answer, position))
            elif answer is not None:
                outcome.faults.append(Fault(spec, bar, answer))
                self.drop(spec.strategy_id)
        return outcome

    def _ask(self, runner: _Runner, bar: Bar, position: Position) -> Wish | str | None:
        """Ask one strategy: a wish, nothing, or the text of its fault."""
        started = self._cpu_ns()
        try:
            if runner.strategy is None:
                runner.strategy = KINDS[runner.spec.kind].build(runner.spec.params)
            wish = runner.strategy.on_bar(bar, position)
            if wish is not None and not 0.0 <= wish.strength <= 1.0:
                return f"its strength was {wish.strength}, which is not within 0 and 1"
        except Exception as error:  # the boundary: one strategy's fault is not the others'
            return f"{type(error).__name__}: {error}"[:_FAULT_TEXT_MAX]
        spent_ns = self._cpu_ns() - started
        if spent_ns > self._budget_ns:
            return f"one bar took {spent_ns // _NS_PER_MS} ms of its {self._budget_ns // _NS_PER_MS} ms"
        return wish
