"""The three strategies on sequences whose answer is known."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmax.schemas.market import Bar
from sigmax.schemas.types import Action
from strategy_engine.domain.params import ParamsError
from strategy_engine.domain.strategies import FLAT, KINDS, Position, Wish

HELD = Position(Decimal(1), is_held=True)
PARAMS = {
    "ema_cross": {"fast": 2, "slow": 4},
    "rsi_reversion": {"period": 3},
    "donchian_breakout": {"entry": 4, "exit": 2},
}


def bars_of(closes: Sequence[float]) -> list[Bar]:
    prices = [Decimal(str(close)) for close in closes]
    return [
        Bar("BTC/USDT@binance", 60, i * 60_000_000_000, p, p + 1, p - 1, p, Decimal(1), 1, i)
        for i, p in enumerate(prices)
    ]


def trade(kind: str, closes: Sequence[float], **params: float) -> list[tuple[int, Action]]:
    """Run a strategy whose wishes are filled at once; give the bars at which it wished."""
    strategy = KINDS[kind].build(params or PARAMS[kind])
    wishes, position = [], FLAT
    for i, bar in enumerate(bars_of(closes)):
        wish = strategy.on_bar(bar, position)
        if wish is not None:
            assert 0 <= wish.strength <= 1
            wishes.append((i, wish.action))
            position = HELD if wish.action is Action.BUY else FLAT
    return wishes


def test_the_ema_cross_buys_the_cross_up_and_closes_the_cross_down() -> None:
    closes = [100.0, 99, 98, 97, 96, 95, 100, 104, 108, 109, 100, 90]

    assert trade("ema_cross", closes) == [(6, Action.BUY), (10, Action.CLOSE)]


def test_the_ema_cross_crosses_where_the_averages_of_ta_lib_do() -> None:
    closes = 100 + np.cumsum(np.sin(np.arange(400) / 9) + np.cos(np.arange(400) / 4))
    spread = talib.EMA(closes, 5) - talib.EMA(closes, 13)
    crossed_up = {i for i in range(13, 400) if spread[i - 1] <= 0 < spread[i]}

    wishes = trade("ema_cross", closes.tolist(), fast=5, slow=13)

    assert {i for i, action in wishes if action is Action.BUY} == crossed_up
    assert len(wishes) > 10


def test_the_rsi_buys_the_return_from_oversold_and_closes_the_overbought() -> None:
    closes = [100.0, 99, 98, 97, 96, 95, 97, 99, 101, 103, 105]
    rsi = talib.RSI(np.array(closes), 3)

    wishes = trade("rsi_reversion", closes)

    (bought, _), (closed, _) = wishes
    assert rsi[bought - 1] < 30 <= rsi[bought]
    assert rsi[closed] > 70
    assert all(value <= 70 for value in rsi[bought:closed])


def test_the_breakout_buys_above_the_channel_before_it_and_closes_below_its_exit() -> None:
    closes = [100.0, 101, 100, 101, 102, 103.5, 104, 102.5, 101]

    # Highs are one above closes: 103 is the high of the four bars before the sixth.
    assert trade("donchian_breakout", closes) == [(5, Action.BUY), (8, Action.CLOSE)]


@pytest.mark.parametrize("kind", list(KINDS))
def test_nothing_is_wished_while_indicators_warm_up_or_nothing_moves(kind: str) -> None:
    assert trade(kind, [100.0] * 50) == []
    assert trade(kind, [100.0, 105.0]) == []


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_exit_that_did_not_happen_is_asked_for_again(kind: str) -> None:
    closes = [100.0 - 3 * i for i in range(20)] if kind != "rsi_reversion" else [100.0 + i for i in range(20)]
    strategy = KINDS[kind].build(PARAMS[kind])

    actions = [wish.action for bar in bars_of(closes) if (wish := strategy.on_bar(bar, HELD))]

    assert len(actions) > 10
    assert set(actions) == {Action.CLOSE}


@pytest.mark.parametrize("kind", list(KINDS))
@given(closes=st.lists(st.integers(50, 150), min_size=1, max_size=120), cut=st.integers(0, 120), held=st.booleans())
@settings(max_examples=40, deadline=None)
def test_no_strategy_looks_ahead(kind: str, closes: list[int], cut: int, held: bool) -> None:
    position = HELD if held else FLAT

    def wishes(bars: list[Bar]) -> list[Wish | None]:
        strategy = KINDS[kind].build(PARAMS[kind])
        return [strategy.on_bar(bar, position) for bar in bars]

    bars = bars_of(closes)
    assert wishes(bars[:cut]) == wishes(bars)[:cut]


@pytest.mark.parametrize(
    ("kind", "params", "field"),
    [
        ("ema_cross", {"fast": 13, "slow": 5}, "fast"),
        ("ema_cross", {"fast": "many"}, "fast"),
        ("ema_cross", {"fast": 1}, "fast"),
        ("ema_cross", {"slow": 501}, "slow"),
        ("ema_cross", {"speed": 3}, "speed"),
        ("rsi_reversion", {"oversold": 80}, "oversold"),
        ("rsi_reversion", {"period": "nan"}, "period"),
        ("rsi_reversion", {"overbought": "inf"}, "overbought"),
        ("donchian_breakout", {"entry": 0}, "entry"),
        ("donchian_breakout", {"stop_pct": "-1"}, "stop_pct"),
        ("donchian_breakout", {"target_pct": "NaN"}, "target_pct"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(kind: str, params: dict[str, object], field: str) -> None:
    with pytest.raises(ParamsError, match=field):
        KINDS[kind].build(params)


def test_parameters_may_come_as_text() -> None:
    assert trade("donchian_breakout", [100.0, 101, 100, 101, 102, 103.5], entry="4", exit="2") == [(5, Action.BUY)]  # type: ignore[arg-type]
