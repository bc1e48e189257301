"""Indicators give what TA-Lib gives on the same data, value by value."""

import math
import sys

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_engine.domain.indicators import Atr, Ema, Highest, Indicator, Lowest, Rsi

TOLERANCE = 1e-9

# Prices in cents that always move, since TA-Lib and ours differ on purpose where nothing moves at all.
moves = st.lists(st.integers(-500, 500).filter(bool), min_size=1, max_size=150)
periods = st.integers(2, 30)


def prices_of(steps: list[int]) -> np.ndarray:
    level, prices = 100_000, []
    for step in steps:
        level = max(1000, level + step)
        prices.append(level / 100)
    return np.array(prices)


def run(indicator: Indicator, values: np.ndarray) -> np.ndarray:
    return np.array([math.nan if (out := indicator.update(float(value))) is None else out for value in values])


def assert_equal(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


@given(moves, periods)
@settings(deadline=None)
def test_the_exponential_average_equals_ta_lib(steps: list[int], period: int) -> None:
    prices = prices_of(steps)

    assert_equal(run(Ema(period), prices), talib.EMA(prices, period))


@given(moves, periods)
@settings(deadline=None)
def test_the_relative_strength_index_equals_ta_lib(steps: list[int], period: int) -> None:
    prices = prices_of(steps)

    assert_equal(run(Rsi(period), prices), talib.RSI(prices, period))


@given(moves, periods)
@settings(deadline=None)
def test_highest_and_lowest_equal_ta_lib(steps: list[int], period: int) -> None:
    prices = prices_of(steps)

    assert_equal(run(Highest(period), prices), talib.MAX(prices, period))
    assert_equal(run(Lowest(period), prices), talib.MIN(prices, period))


@given(moves, periods, st.lists(st.integers(0, 300), min_size=2, max_size=2))
@settings(deadline=None)
def test_the_average_true_range_equals_ta_lib(steps: list[int], period: int, reach: list[int]) -> None:
    close = prices_of(steps)
    high, low = close + reach[0] / 100, close - reach[1] / 100
    atr = Atr(period)
    ours = [atr.update(*map(float, bar)) for bar in zip(high, low, close, strict=True)]

    assert_equal(
        np.array([math.nan if value is None else value for value in ours]), talib.ATR(high, low, close, period)
    )


def test_a_market_that_does_not_move_is_neither_overbought_nor_oversold() -> None:
    rsi = Rsi(3)

    assert [rsi.update(100.0) for _ in range(6)] == [None, None, None, 50.0, 50.0, 50.0]


@pytest.mark.parametrize("indicator", [Ema(20), Rsi(20), Highest(20), Lowest(20)])
def test_memory_does_not_grow_with_history(indicator: Indicator) -> None:
    def size() -> int:
        window = getattr(indicator, "_window", ())
        return sys.getsizeof(indicator) + len(window)

    values = [math.sin(i / 7) * 10 + 100 for i in range(5000)]
    for value in values[:500]:
        indicator.update(value)
    early = max(size(), 100)
    for value in values[500:]:
        indicator.update(value)

    assert size() <= early + 20
