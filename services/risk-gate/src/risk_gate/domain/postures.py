"""How boldly to trade: from the market's weather, by hand, or forced by stops in a row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from statistics import median

from sigmax.schemas.types import Posture

EVALUATED_EVERY = timedelta(minutes=30)
FORCED_FOR = timedelta(hours=2)
"""How long a forced posture stands before the market's weather is asked again."""
STOPS_IN_A_ROW = 3
AUTOMATIC = "auto"
VIX_AGE_MAX = timedelta(days=4)
"""A long weekend: what closed on Friday is the newest there is on Tuesday morning."""

_VIX_CALM = Decimal(15)
_VIX_STORMY = Decimal(25)
_PERCENTILE_CALM = 30.0
_PERCENTILE_STORMY = 70.0
_TREND_STRONG = 0.3
"""Of the way that prices went, the part that led somewhere; a random walk over the window shows a third of it."""
WINDOW_BARS = 30
"""Over which one volatility is taken."""
_WINDOWS_MIN = 10
"""Fewer windows have no percentile worth the name."""
_TREND_BARS = 120
BARS_MAX = 960
"""Of each instrument: sixteen hours of minutes."""


class PostureCause(StrEnum):
    """Why a posture is what it is."""

    EVALUATED = "evaluated"
    BY_HAND = "by_hand"
    RELEASED = "released"
    """A person gave it back to the weather."""
    FORCED = "forced"


@dataclass(frozen=True, slots=True)
class PostureRow:
    """The posture of one account, and when the weather is to be asked again."""

    account_id: str
    posture: Posture
    cause: PostureCause
    reason: str
    changed_by: str
    changed_at: datetime
    evaluate_at: datetime | None
    """None while a person holds it."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the market is like. None is what cannot be measured."""

    vix: Decimal | None = None
    volatility_percentile: float | None = None
    """0 to 100: the newest volatility among those before."""
    trend: float | None = None
    """-1 straight down to 1 straight up."""


def weather(vix: tuple[Decimal, datetime] | None, closes: Mapping[str, Sequence[Decimal]], now: datetime) -> Weather:
    """Measure the market: a young VIX where there is one, and the middle of the instruments' own figures.

    `closes` are those of each instrument's newest bars, the oldest first.
    """
    young = vix[0] if vix is not None and now - vix[1] <= VIX_AGE_MAX else None
    steps = [_steps(prices[-BARS_MAX:]) for prices in closes.values()]
    percentiles = [value for each in steps if (value := _percentile(each)) is not None]
    trends = [value for each in steps if (value := _trend(each)) is not None]
    return Weather(young, median(percentiles) if percentiles else None, median(trends) if trends else None)


def _steps(prices: Sequence[Decimal]) -> list[float]:
    logs = [math.log(price) for price in prices if price > 0]
    return [after - before for before, after in pairwise(logs)]


def _percentile(steps: Sequence[float]) -> float | None:
    """Rank the newest volatility among those of the windows before it."""
    count = len(steps) // WINDOW_BARS
    if count <= _WINDOWS_MIN:
        return None
    newest = steps[len(steps) - count * WINDOW_BARS :]
    volatilities = [
        math.sqrt(sum(step * step for step in newest[at : at + WINDOW_BARS]) / WINDOW_BARS)
        for at in range(0, len(newest), WINDOW_BARS)
    ]
    *before, last = volatilities
    return 100 * sum(each < last for each in before) / len(before)


def _trend(steps: Sequence[float]) -> float | None:
    newest = steps[-_TREND_BARS:]
    way = sum(abs(step) for step in newest)
    return sum(newest) / way if len(newest) == _TREND_BARS and way > 0 else None


def evaluate(seen: Weather, current: Posture) -> tuple[Posture, str]:
    """Give the posture that fits the weather, and why. Boldness needs evidence; doubt never makes bolder."""
    told = _told(seen)
    storm, calm = _is_stormy(seen), _is_calm(seen)
    if storm or (seen.trend is not None and seen.trend <= -_TREND_STRONG):
        return Posture.DEFENSIVE, told
    if calm and seen.trend is not None and seen.trend >= _TREND_STRONG:
        return Posture.OFFENSIVE, told
    if calm is None and current is Posture.DEFENSIVE:
        return current, told
    return Posture.GUERRILLA, told


def _is_stormy(seen: Weather) -> bool:
    if seen.vix is not None:
        return seen.vix > _VIX_STORMY
    return seen.volatility_percentile is not None and seen.volatility_percentile > _PERCENTILE_STORMY


def _is_calm(seen: Weather) -> bool | None:
    if seen.vix is not None:
        return seen.vix < _VIX_CALM
    return None if seen.volatility_percentile is None else seen.volatility_percentile < _PERCENTILE_CALM


def _told(seen: Weather) -> str:
    percentile = seen.volatility_percentile
    measure = f"volatility at percentile {percentile:.0f}" if percentile is not None else "no measure of volatility"
    fear = measure if seen.vix is None else f"VIX {seen.vix}"
    return f"{fear}, {'no measure of trend' if seen.trend is None else f'trend {seen.trend:+.2f}'}"


def is_due(row: PostureRow | None, now: datetime) -> bool:
    """Say whether the weather is to be asked."""
    return row is None or (row.evaluate_at is not None and now >= row.evaluate_at)
