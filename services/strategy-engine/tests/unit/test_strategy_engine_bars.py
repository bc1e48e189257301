"""Bars: exact, whole, in order, and closed only by what lies behind them."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sigmax.schemas.market import Bar
from strategy_engine.domain.bars import NS_PER_S, Rollup, TickBars

BTC = "BTC/USDT@binance"
START_S = 1_700_000_100  # a whole multiple of 60 and of 300


def a_bar(
    open_s: int, timeframe_s: int = 60, *, close: str = "100", received_s: float | None = None, **values: Any
) -> Bar:
    price = Decimal(close)
    bounds = {"open": price, "high": price, "low": price, "volume": Decimal(1), "trades": 1} | values
    received_ns = int((received_s if received_s is not None else open_s + timeframe_s) * NS_PER_S)
    return Bar(
        instrument_id=BTC,
        timeframe_s=timeframe_s,
        open_ns=open_s * NS_PER_S,
        close=price,
        received_ns=received_ns,
        **bounds,
    )


def ticks_into(bars: TickBars, ticks: list[tuple[float, int, int]]) -> list[Bar]:
    """Each tick is (seconds after START, price, quantity)."""
    closed = []
    for at_s, price, quantity in ticks:
        ts_ns = int((START_S + at_s) * NS_PER_S)
        bar = bars.add(price, quantity, ts_ns, ts_ns + 5)
        closed += [bar] if bar else []
    return closed


minute_bars = st.lists(
    st.tuples(
        st.integers(1, 4),  # minutes since the one before: sometimes a hole
        st.lists(st.integers(1, 10**6), min_size=4, max_size=4),
        st.integers(0, 10**5),
    ),
    min_size=1,
    max_size=60,
)


def minutes_of(steps: list[tuple[int, list[int], int]]) -> list[Bar]:
    minute, bars = 0, []
    for step, prices, volume in steps:
        low, *middle, high = sorted(Decimal(price) / 100 for price in prices)
        bars.append(
            a_bar(
                START_S + minute * 60, close=str(middle[0]), open=middle[1], high=high, low=low, volume=Decimal(volume)
            )
        )
        minute += step
    return bars


@given(minute_bars)
def test_a_long_bar_is_the_aggregate_of_its_parts(steps: list[tuple[int, list[int], int]]) -> None:
    parts = minutes_of(steps)
    rollup = Rollup(300)
    closed = [bar for part in parts for bar in rollup.add(part)]

    for bar in closed:
        inside = [part for part in parts if bar.open_ns <= part.open_ns < bar.close_ns]
        assert (bar.open, bar.close) == (inside[0].open, inside[-1].close)
        assert bar.high == max(part.high for part in inside)
        assert bar.low == min(part.low for part in inside)
        assert bar.volume == sum(part.volume for part in inside)
        assert bar.trades == len(inside)
    buckets = {part.open_ns // (300 * NS_PER_S) for part in parts}
    assert len(closed) >= len(buckets) - 1  # every bar but the one that is still open
    assert [bar.open_ns for bar in closed] == sorted({bar.open_ns for bar in closed})


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 10**6), st.integers(1, 1000)), min_size=1, max_size=200))
def test_a_bar_of_ticks_is_the_aggregate_of_its_ticks(steps: list[tuple[int, int, int]]) -> None:
    at, ticks = 0, []
    for step, price, quantity in steps:
        at += step
        ticks.append((float(at), price, quantity))
    bars = TickBars(BTC, 5)
    bars.rescale(-2, -3)

    for bar in ticks_into(bars, ticks):
        inside = [t for t in ticks if bar.open_ns <= (START_S + t[0]) * NS_PER_S < bar.close_ns]
        prices = [Decimal(price) / 100 for _, price, _ in inside]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert bar.volume == sum(Decimal(quantity) / 1000 for *_, quantity in inside)
        assert bar.trades == len(inside)


def test_a_bar_of_ticks_closes_with_the_first_tick_behind_it_and_carries_its_reception() -> None:
    bars = TickBars(BTC, 5)

    closed = ticks_into(bars, [(-1, 7, 1), (0, 10, 1), (4.9, 12, 1), (5.0, 99, 1)])

    assert [(bar.open, bar.close) for bar in closed] == [(Decimal(10), Decimal(12))]
    assert closed[0].received_ns == (START_S + 5) * NS_PER_S + 5


def test_a_bar_whose_beginning_was_not_seen_is_not_given() -> None:
    assert ticks_into(TickBars(BTC, 5), [(2, 10, 1), (5, 11, 1)]) == []
    rollup = Rollup(300)
    assert [bar for minute in range(2, 5) for bar in rollup.add(a_bar(START_S + minute * 60))] == []


def test_where_the_market_was_silent_there_is_no_bar() -> None:
    closed = ticks_into(TickBars(BTC, 5), [(0, 9, 1), (5, 10, 1), (60, 11, 1), (65, 12, 1)])

    assert [(bar.open_ns // NS_PER_S - START_S, bar.close) for bar in closed] == [(5, Decimal(10)), (60, Decimal(11))]


def test_a_silence_at_its_end_closes_a_long_bar_with_the_next_part() -> None:
    rollup = Rollup(300)
    before = [bar for minute in range(3) for bar in rollup.add(a_bar(START_S + minute * 60))]

    closed = rollup.add(a_bar(START_S + 9 * 60, close="101", received_s=START_S + 601))

    assert before == []
    assert [(bar.trades, bar.close) for bar in closed] == [(3, Decimal(100)), (1, Decimal(101))]
    assert {bar.received_ns for bar in closed} == {(START_S + 601) * NS_PER_S}


def test_a_part_that_comes_twice_counts_once() -> None:
    rollup = Rollup(300)
    first = a_bar(START_S)

    assert rollup.add(first) == rollup.add(first) == []
    assert [bar.trades for minute in range(1, 5) for bar in rollup.add(a_bar(START_S + 60 * minute))] == [5]
    assert rollup.generation == 0


def test_a_recording_that_starts_again_is_another_series() -> None:
    rollup, bars = Rollup(60), TickBars(BTC, 5)
    rollup.add(a_bar(START_S + 600))
    ticks_into(bars, [(600, 10, 1)])

    again = rollup.add(a_bar(START_S, received_s=START_S + 10_000))
    ticks_into(bars, [(0, 10, 1)])

    assert again[0].open_ns == START_S * NS_PER_S
    assert (rollup.generation, bars.generation) == (1, 1)


def test_bars_of_the_length_asked_for_pass_as_they_are_wherever_they_begin() -> None:
    part = a_bar(START_S + 17, 3600)

    assert Rollup(3600).add(part) == [part]


def test_a_feed_that_changes_its_scale_within_a_bar_keeps_it_exact() -> None:
    bars = TickBars(BTC, 5)
    ticks_into(bars, [(-1, 1, 1)])
    bars.rescale(-1, 0)
    ticks_into(bars, [(0, 1005, 2)])  # 100.5
    bars.rescale(-3, -2)
    ticks_into(bars, [(1, 100_625, 50)])  # 100.625, 0.5
    bars.rescale(0, 0)
    closed = ticks_into(bars, [(2, 99, 1), (5, 1, 1)])

    assert (closed[0].open, closed[0].high) == (Decimal("100.5"), Decimal("100.625"))
    assert (closed[0].low, closed[0].close, closed[0].volume) == (Decimal(99), Decimal(99), Decimal("3.5"))
