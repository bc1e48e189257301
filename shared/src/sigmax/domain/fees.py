"""What a venue keeps of each fill."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
"""Money is computed here: wide enough for the product of any two numbers that messages allow, so nothing is rounded
unless a rule says so."""

_UNIT = Decimal("0.00000001")
_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Rates in basis points of the asset that a fill brings in."""

    maker_bps: Decimal = Decimal(10)
    taker_bps: Decimal = Decimal(10)

    def __post_init__(self) -> None:
        for name in ("maker_bps", "taker_bps"):
            rate = getattr(self, name)
            if not rate.is_finite() or not -_BPS < rate < _BPS:
                raise ValueError(f"{name} must lie between -10000 and 10000, not {rate}")

    def rate(self, *, is_maker: bool) -> Decimal:
        """Give the rate as a plain factor: 10 bps is 0.001."""
        return (self.maker_bps if is_maker else self.taker_bps) / _BPS

    def commission(self, received: Decimal, *, is_maker: bool) -> Decimal:
        """Give what is kept of `received`, in the same asset, to eight decimals; never more than was received."""
        owed = EXACT.quantize(EXACT.multiply(received, self.rate(is_maker=is_maker)), _UNIT)
        return min(owed, received)
