"""How far a price usually moves in a day, measured from its last one-minute bars."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

RETURNS_MIN = 10
"""Fewer say nothing."""
RETURNS_MAX = 60
"""The last hour: what the market does now counts, and not what it did last week."""
TIMEFRAME_S = 60
_MINUTES_A_DAY = Decimal(1440)
"""Also for markets that close: it overstates their day, which makes sizes smaller."""


def volatility_pct(closes: Sequence[Decimal]) -> Decimal | None:
    """Give the standard deviation of a day's return in percent, from closes a minute apart, the oldest first.

    None where there are too few of them, or where one is no price.
    """
    newest = closes[-(RETURNS_MAX + 1) :]
    if len(newest) <= RETURNS_MIN or not all(price.is_finite() and price > 0 for price in newest):
        return None
    returns = [after / before - 1 for before, after in pairwise(newest)]
    mean = sum(returns, Decimal(0)) / len(returns)
    variance = sum(((each - mean) ** 2 for each in returns), Decimal(0)) / (len(returns) - 1)
    return (variance * _MINUTES_A_DAY).sqrt() * 100
