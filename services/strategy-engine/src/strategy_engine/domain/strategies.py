"""The first strategies. Long only: they buy when flat and close what they hold.

An entry is an event, such as a crossing, and happens once. An exit is a condition, and stands for as long as it is
true: an exit that was denied, or came while an order was on its way, is asked for again with the next bar.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from sigmax.schemas.market import Bar
from sigmax.schemas.types import Action
from strategy_engine.domain.indicators import Atr, Ema, Highest, Lowest, Rsi
from strategy_engine.domain.params import DonchianParams, EmaCrossParams, Params, RsiReversionParams, validated


@dataclass(frozen=True, slots=True)
class Position:
    """What a strategy holds of one instrument."""

    quantity: Decimal = Decimal(0)
    """Base units."""
    is_held: bool = False
    """False also for dust: less than the venue would let us sell."""


FLAT = Position()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a strategy wants done about the bar it was given."""

    action: Action
    strength: float
    """How clearly the market said so, 0 to 1."""
    reason: str
    features: dict[str, float] = field(default_factory=dict)
    """The numbers it decided on."""


class Strategy(Protocol):
    """One strategy on one instrument. It learns of the market by bars alone and keeps no more than its indicators."""

    def on_bar(self, bar: Bar, position: Position) -> Wish | None:
        """Take the next closed bar; give a wish, or None. It is called with every bar, wanted or not."""
        ...


class EmaCross:
    """Buys when the fast average crosses above the slow one, closes while it is below."""

    def __init__(self, params: EmaCrossParams) -> None:
        self._fast, self._slow = Ema(params.fast), Ema(params.slow)
        self._atr = Atr(params.slow)
        self._spread: float | None = None

    def on_bar(self, bar: Bar, position: Position) -> Wish | None:
        """Take the next closed bar; see the class."""
        close = float(bar.close)
        fast, slow = self._fast.update(close), self._slow.update(close)
        reach = self._atr.update(float(bar.high), float(bar.low), close)
        if fast is None or slow is None:
            return None
        spread, previous = fast - slow, self._spread
        self._spread = spread
        if previous is None:
            return None
        features = {"ema_fast": fast, "ema_slow": slow, "atr": reach or 0.0}
        # How fast the averages part, in usual bars.
        strength = _share(abs(spread - previous), reach or 0.0)
        if not position.is_held and previous <= 0 < spread:
            return Wish(Action.BUY, strength, "the fast average crossed above the slow one", features)
        if position.is_held and spread < 0:
            return Wish(Action.CLOSE, strength, "the fast average is below the slow one", features)
        return None


class RsiReversion:
    """Buys when the index comes back up through the oversold level, closes while it is overbought."""

    def __init__(self, params: RsiReversionParams) -> None:
        self._rsi = Rsi(params.period)
        self._oversold, self._overbought = params.oversold, params.overbought
        self._previous: float | None = None
        self._lowest = 100.0

    def on_bar(self, bar: Bar, position: Position) -> Wish | None:
        """Take the next closed bar; see the class."""
        rsi, previous = self._rsi.update(float(bar.close)), self._previous
        self._previous = rsi
        if rsi is None:
            return None
        lowest = self._lowest
        self._lowest = min(lowest, rsi) if rsi < self._oversold else 100.0
        if not position.is_held and previous is not None and previous < self._oversold <= rsi:
            features = {"rsi": rsi, "rsi_lowest": lowest, "oversold": self._oversold}
            strength = _share(self._oversold - lowest, self._oversold)
            return Wish(Action.BUY, strength, "the index came back above its oversold level", features)
        if position.is_held and rsi > self._overbought:
            features = {"rsi": rsi, "overbought": self._overbought}
            strength = _share(rsi - self._overbought, 100.0 - self._overbought)
            return Wish(Action.CLOSE, strength, "the index is overbought", features)
        return None


class DonchianBreakout:
    """Buys above the highest high of the last `entry` bars, closes below the lowest low of the last `exit` bars."""

    def __init__(self, params: DonchianParams) -> None:
        self._highest, self._floor = Highest(params.entry), Lowest(params.entry)
        self._lowest = Lowest(params.exit)

    def on_bar(self, bar: Bar, position: Position) -> Wish | None:
        """Take the next closed bar; see the class. The channel is that of the bars before it."""
        highest, floor, lowest = self._highest.value, self._floor.value, self._lowest.value
        close, low = float(bar.close), float(bar.low)
        self._highest.update(float(bar.high))
        self._floor.update(low)
        self._lowest.update(low)
        if not position.is_held and highest is not None and floor is not None and close > highest:
            features = {"channel_high": highest, "channel_low": floor}
            strength = _share(close - highest, highest - floor)
            return Wish(Action.BUY, strength, "the close broke the channel's high", features)
        if position.is_held and lowest is not None and close < lowest:
            width = highest - lowest if highest is not None else 0.0
            features = {"exit_low": lowest}
            return Wish(Action.CLOSE, _share(lowest - close, width), "the close broke the exit channel's low", features)
        return None


def _share(part: float, whole: float) -> float:
    """Give part of whole, kept within 0 and 1; 1 where there is no whole to measure by."""
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of strategy: what it may be told, and how to make one."""

    params: type[Params]
    strategy: Callable[[Any], Strategy]

    def build(self, values: Mapping[str, object]) -> Strategy:
        """Make a strategy that has seen nothing yet. Raises `ParamsError`."""
        return self.strategy(validated(self.params, values))


KINDS: dict[str, Kind] = {
    "ema_cross": Kind(EmaCrossParams, EmaCross),
    "rsi_reversion": Kind(RsiReversionParams, RsiReversion),
    "donchian_breakout": Kind(DonchianParams, DonchianBreakout),
}
