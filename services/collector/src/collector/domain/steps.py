"""In which steps an instrument trades, read off what it traded at."""

from dataclasses import dataclass
from decimal import Decimal

_STEPS = (25, 5, 2)
"""Besides powers of ten, the steps that exchanges use: 0.25, 0.5, 0.2, ..."""
_DISTINCT_MIN = 20
"""Fewer different prices prove no step wider than their last digit."""

_NOTIONAL_MIN = {"USD": "5", "USDT": "5", "USDC": "5", "FDUSD": "5", "EUR": "5", "KRW": "5000", "BTC": "0.0001"}


@dataclass(frozen=True, slots=True)
class Grid:
    """The numbers of one column for one instrument: `digits` after the point hold all of them exactly.

    `divisor` is the greatest common divisor of the numbers as whole multiples of `10 ** -digits`.
    """

    digits: int
    divisor: int
    distinct: int


def tick_size(grid: Grid) -> Decimal:
    """Give the smallest price step: 0.25 for E-mini futures, else a power of ten or a usual multiple of it."""
    unit = Decimal(1).scaleb(-grid.digits)
    if grid.distinct < _DISTINCT_MIN:
        return unit
    for step in _STEPS:
        if grid.divisor % step == 0:
            return unit * step
    return unit


def lot_size(grid: Grid, asset_class: str, price_max: Decimal) -> Decimal:
    """Give the smallest quantity step.

    Coins are divisible by nature, although the volumes of a recording may be rounded: their lot is worth one unit of
    the quote asset at the most.
    """
    lot = Decimal(1).scaleb(-grid.digits)
    if asset_class != "crypto":
        return lot
    affordable = Decimal(1).scaleb(-price_max.adjusted() - 1)
    return min(lot, affordable)


def notional_min(quote: str, asset_class: str) -> Decimal:
    """Give the smallest worth of an order in a recorded market, as crypto exchanges have one."""
    return Decimal(_NOTIONAL_MIN.get(quote, "0")) if asset_class == "crypto" else Decimal(0)


def price_age_max_s(asset_class: str, bar_seconds: int | None, speed: float) -> float:
    """Give how long a price of a recording may stand, seconds of wall time.

    A recording of trades follows the rule of its market: 2 s for crypto, 5 s else. One of bars has a price every
    quarter of a bar: two quarters at its speed, and no less than the rule.
    """
    rule = 2.0 if asset_class == "crypto" else 5.0
    if bar_seconds is None or speed <= 0:
        return rule
    return max(rule, bar_seconds / 4 / speed * 2)
