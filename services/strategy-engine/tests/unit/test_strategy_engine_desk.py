"""The desk: each strategy alone inside its fault boundary, all on the same bars."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmax.schemas.market import Bar, TickBatch
from sigmax.schemas.types import Action
from strategy_engine.domain.book import Book
from strategy_engine.domain.desk import Desk, Outcome
from strategy_engine.domain.params import Params
from strategy_engine.domain.spec import Spec, Status
from strategy_engine.domain.strategies import KINDS, Kind, Position, Wish

BTC, ETH = "BTC/USDT@binance", "ETH/USDT@binance"
START_NS = 1_700_000_100 * 10**9
MINUTE_NS = 60 * 10**9


class Eager:
    """Buys at each bar; raises at a price of 13, answers nonsense at 14."""

    def __init__(self, params: Params) -> None:
        self.bars = 0

    def on_bar(self, bar: Bar, position: Position) -> Wish | None:
        self.bars += 1
        if bar.close == 13:
            raise RuntimeError("thirteen")
        return Wish(Action.BUY, 7.0 if bar.close == 14 else 0.5, f"bar {self.bars}", {"held": float(position.quantity)})


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(KINDS, "eager", Kind(Params, Eager))
    return


def a_spec(strategy_id: str = "a", *, kind: str = "eager", timeframe_s: int = 60, **values: object) -> Spec:
    spec = Spec(strategy_id, kind, 1, Status.ACTIVE, "paper", timeframe_s, ("*",), {}, asks_judgement=False)
    return replace(spec, **values)  # type: ignore[arg-type]


def a_desk(*specs: Spec, spent_ms: float = 0.0, budget_ms: float = 50.0) -> Desk:
    ticks = iter(range(0, 10**15, max(1, int(spent_ms * 1_000_000))))
    return Desk(specs, Book(), lambda: next(ticks), budget_ms)


def a_bar(minute: int = 0, close: str = "100", instrument_id: str = BTC, timeframe_s: int = 60, rerun: int = 0) -> Bar:
    price = Decimal(close)
    open_ns = START_NS + minute * MINUTE_NS
    received_ns = open_ns + timeframe_s * 10**9 + rerun * 10**15
    return Bar(instrument_id, timeframe_s, open_ns, price, price, price, price, Decimal(1), 1, received_ns)


def a_batch(*ticks: tuple[float, int], instrument_id: str = BTC, sequence: int = 0, rerun: int = 0) -> TickBatch:
    """Each tick is (seconds after START, price in cents)."""
    ts_ns = [START_NS + int(at_s * 10**9) for at_s, _ in ticks]
    count = len(ticks)
    return TickBatch(
        [instrument_id], [-2], [0], [0] * count, [sequence + i for i in range(count)], ts_ns,
        [at + rerun * 10**15 for at in ts_ns], [price for _, price in ticks], [1] * count, [0] * count,
    )  # fmt: skip


def reasons(outcomes: list[Outcome]) -> list[str]:
    return [wished.wish.reason for outcome in outcomes for wished in outcome.wishes]


def names(outcomes: list[Outcome]) -> list[str]:
    return [wished.spec.strategy_id for outcome in outcomes for wished in outcome.wishes]


@pytest.mark.parametrize(("close", "fault"), [("13", "RuntimeError: thirteen"), ("14", "its strength was 7.0")])
def test_a_strategy_that_fails_is_off_the_desk_and_the_others_go_on(close: str, fault: str) -> None:
    desk = a_desk(a_spec("bad"), a_spec("good", kind="donchian_breakout", params={"entry": 2, "exit": 2}))
    desk.on_bar(a_bar(0, "10"))
    desk.on_bar(a_bar(1, "11"))

    (outcome,) = desk.on_bar(a_bar(2, close))

    assert [(f.spec.strategy_id, f.text[: len(fault)]) for f in outcome.faults] == [("bad", fault)]
    assert names([outcome]) == ["good"]
    assert names(desk.on_bar(a_bar(3, "20"))) == ["good"]


def test_a_strategy_that_cannot_be_made_is_at_fault_itself() -> None:
    desk = a_desk(a_spec("bad", kind="ema_cross", params={"fast": "x"}), a_spec("unknown", kind="none"), a_spec("good"))

    (outcome,) = desk.on_bar(a_bar())

    assert {fault.spec.strategy_id for fault in outcome.faults} == {"bad", "unknown"}
    assert names([outcome]) == ["good"]


def test_a_strategy_that_overruns_its_budget_is_off_the_desk() -> None:
    desk = a_desk(a_spec(), spent_ms=80, budget_ms=50)

    (outcome,) = desk.on_bar(a_bar())

    assert outcome.wishes == []
    assert outcome.faults[0].text == "one bar took 80 ms of its 50 ms"
    assert desk.specs == {}


def test_bars_below_a_minute_are_made_of_ticks_and_longer_ones_of_the_feeds_bars() -> None:
    desk = a_desk(a_spec("fast", timeframe_s=5), a_spec("slow", timeframe_s=120))

    by_ticks = desk.on_ticks(a_batch((-1, 1), (0, 100), (3, 110), (5, 120)))
    by_bars = [outcome for minute in range(1, 5) for outcome in desk.on_bar(a_bar(minute))]

    assert [(names([o]), o.bar.timeframe_s, o.bar.close) for o in by_ticks] == [(["fast"], 5, Decimal("1.10"))]
    assert [(names([o]), o.bar.timeframe_s) for o in by_bars] == [(["slow"], 120)] * 2


def test_without_a_strategy_that_needs_them_ticks_are_not_looked_at() -> None:
    desk = a_desk(a_spec(timeframe_s=60))

    assert not desk.needs_ticks
    assert desk.on_ticks(a_batch((0, 100), (500, 100))) == []


def test_coarser_data_is_used_as_it_is_and_told_once() -> None:
    desk = a_desk(a_spec("minute"), a_spec("fast", timeframe_s=5), a_spec("daily", timeframe_s=86_400))

    outcomes = [o for hour in range(3) for o in desk.on_bar(a_bar(60 * hour, timeframe_s=3600))]

    assert [(told.spec.strategy_id, told.bar.timeframe_s) for o in outcomes for told in o.coarse] == [
        ("minute", 3600),
        ("fast", 3600),
    ]
    assert len(reasons(outcomes)) == 6


def test_an_entry_that_was_written_twice_counts_once() -> None:
    desk = a_desk(a_spec(timeframe_s=5))
    batch = a_batch((-1, 1), (0, 100), (1, 100))

    desk.on_ticks(batch)
    desk.on_ticks(batch)
    (outcome,) = desk.on_ticks(a_batch((5, 1), sequence=3))

    assert outcome.bar.trades == 2


def test_a_recording_that_goes_back_in_time_begins_with_fresh_indicators() -> None:
    desk = a_desk(a_spec("slow"), a_spec("fast", timeframe_s=5))

    def play(rerun: int, minute: int) -> list[Outcome]:
        at_s = minute * 60
        ticks = a_batch((at_s - 1, 1), (at_s, 1), (at_s + 5, 1), (at_s + 10, 1), rerun=rerun, sequence=4 * rerun)
        outcomes = desk.on_ticks(ticks)
        return outcomes + [outcome for i in range(2) for outcome in desk.on_bar(a_bar(minute + i, rerun=rerun))]

    first, again = play(0, minute=100), play(1, minute=0)

    assert reasons(first) == reasons(again) == ["bar 1", "bar 2", "bar 1", "bar 2"]


def test_what_a_collector_tells_again_is_not_counted_again() -> None:
    desk = a_desk(a_spec("slow"), a_spec("fast", timeframe_s=5))
    ticks = ((-1, 1), (0, 1), (5, 1), (10, 1))
    desk.on_ticks(a_batch(*ticks))
    for minute in range(5):
        desk.on_bar(a_bar(minute))

    again = desk.on_ticks(a_batch(*ticks, rerun=1))
    again += [outcome for minute in range(6) for outcome in desk.on_bar(a_bar(minute, rerun=1))]

    assert reasons(again) == ["bar 6"]


def test_instruments_are_kept_apart_and_only_those_asked_for_are_traded() -> None:
    desk = a_desk(a_spec("both"), a_spec("one", instruments=(ETH,)))

    assert names(desk.on_bar(a_bar(0))) == ["both"]
    assert names(desk.on_bar(a_bar(0, instrument_id=ETH))) == ["both", "one"]
    assert reasons(desk.on_bar(a_bar(1))) == ["bar 2"]


def test_a_changed_strategy_takes_its_place_warm_and_the_others_keep_theirs() -> None:
    desk, update = a_desk(a_spec("old"), a_spec("other", timeframe_s=120)), a_desk(a_spec("old", version=2))
    for minute in range(1, 4):
        desk.on_bar(a_bar(minute))
        update.on_bar(a_bar(minute))

    desk.adopt(update)
    outcomes = desk.on_bar(a_bar(4))

    assert [(w.spec.version, w.wish.reason) for o in outcomes for w in o.wishes] == [(1, "bar 2"), (2, "bar 4")]


def test_a_strategy_added_later_also_gets_instruments_it_has_no_history_of() -> None:
    desk = a_desk(a_spec("old"))
    desk.on_bar(a_bar(0))

    desk.adopt(a_desk(a_spec("new")))

    assert sorted(names(desk.on_bar(a_bar(1)))) == ["new", "old"]
    assert sorted(names(desk.on_bar(a_bar(1, instrument_id=ETH)))) == ["new", "old"]


def test_a_dropped_strategy_is_asked_no_more() -> None:
    desk = a_desk(a_spec("a"), a_spec("b", timeframe_s=5))

    desk.drop("b")
    desk.drop("nobody")

    assert not desk.needs_ticks
    assert names(desk.on_bar(a_bar(0))) == ["a"]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.integers(80, 120)), max_size=80), st.integers(0, 80))
@settings(max_examples=50, deadline=None)
def test_wishes_on_the_beginning_are_the_beginning_of_the_wishes(steps: list[tuple[bool, int, int]], cut: int) -> None:
    kinds = {"ema_cross": {"fast": 2, "slow": 3}, "rsi_reversion": {"period": 2}, "donchian_breakout": {"entry": 2}}
    specs = [
        a_spec(f"{kind}-{timeframe_s}", kind=kind, params=params, timeframe_s=timeframe_s)
        for kind, params in kinds.items()
        for timeframe_s in (60, 180)
    ]
    minutes = {BTC: 0, ETH: 0}
    bars = []
    for is_btc, step, close in steps:
        instrument_id = BTC if is_btc else ETH
        minutes[instrument_id] += step
        bars.append(a_bar(minutes[instrument_id], str(close), instrument_id))

    def wishes(part: list[Bar]) -> list[tuple[int, str, Wish]]:
        desk = a_desk(*specs)
        return [
            (i, w.spec.strategy_id, w.wish) for i, bar in enumerate(part) for o in desk.on_bar(bar) for w in o.wishes
        ]

    whole = wishes(bars)
    assert wishes(bars[:cut]) == [entry for entry in whole if entry[0] < cut]
