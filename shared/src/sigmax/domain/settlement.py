"""When a trade's money is there, and what the market keeps of it where the venue does not say."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_DOWN, Decimal

from sigmax.domain.fees import EXACT
from sigmax.schemas.types import Side

_BPS = Decimal(10_000)
_ZERO = Decimal(0)
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days a market settles on: weekdays but for these."""

    holidays: frozenset[date] = frozenset()

    def is_business_day(self, day: date) -> bool:
        """Say whether the market settles on this day."""
        return day.weekday() < _SATURDAY and day not in self.holidays

    def after(self, day: date, business_days: int) -> date:
        """Give the day so many business days after another one, which may be any day."""
        left = business_days
        while left:
            day += timedelta(days=1)
            left -= self.is_business_day(day)
        return day


@dataclass(frozen=True, slots=True)
class Market:
    """How trades are settled and charged."""

    settlement_days: int = 0
    """Business days from the trade to its money; 0 settles with the trade."""
    utc_offset: timedelta = timedelta(0)
    """Of the market's own clock, which decides what a day is. It knows no summer time."""
    settled_at: time = time(0)
    """By the market's clock, on the day of settlement."""
    fee_bps: Decimal | None = None
    """Of the notional, where the venue does not tell its fee with the trade; None where it does."""
    sell_tax_bps: Decimal = _ZERO
    """Of the notional of a sale."""
    money_step: Decimal = Decimal("0.00000001")
    """What charges are cut to."""

    def fee(self, told: Decimal, notional: Decimal) -> Decimal:
        """Give what the venue keeps of a trade: what it told, or what it is known to keep."""
        return told if self.fee_bps is None else self._part(notional, self.fee_bps)

    def tax(self, side: Side, notional: Decimal) -> Decimal:
        """Give what the state keeps of a trade, in the quote currency."""
        return self._part(notional, self.sell_tax_bps) if side is Side.SELL else _ZERO

    def _part(self, notional: Decimal, bps: Decimal) -> Decimal:
        owed = EXACT.multiply(notional, bps) / _BPS
        return (owed / self.money_step).to_integral_value(ROUND_DOWN) * self.money_step


CRYPTO = Market()
KRX = Market(
    settlement_days=2,
    utc_offset=timedelta(hours=9),
    settled_at=time(16),
    fee_bps=Decimal("1.5"),
    sell_tax_bps=Decimal(20),
    money_step=Decimal(1),
)
"""Korean stocks: T+2, a broker's usual fee online, and the transaction tax on sales; charges are cut to whole won.
Fee and tax are the settings' to say: both change."""
MARKETS = {"crypto": CRYPTO, "krx": KRX}


def settles_at(market: Market, executed_at: datetime, calendar: Calendar) -> datetime:
    """Give when the money of a trade is there, UTC: the end of settlement on the n-th business day after the trade's.

    >>> settles_at(CRYPTO, datetime(2026, 1, 5, tzinfo=UTC), Calendar()).isoformat()
    '2026-01-05T00:00:00+00:00'
    """
    if not market.settlement_days:
        return executed_at
    zone = timezone(market.utc_offset)
    day = calendar.after(executed_at.astimezone(zone).date(), market.settlement_days)
    return datetime.combine(day, market.settled_at, zone).astimezone(UTC)
