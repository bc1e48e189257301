"""What the platform has done so far, and whether its books are right."""

from datetime import datetime
from decimal import Decimal

from api_gateway.domain.views.base import View
from api_gateway.domain.views.trading import AccountView, PositionView


class FiguresView(View):
    """One look at the platform. Counts are from `since` on; accounts and positions are as they stand now."""

    since: datetime
    as_of: datetime
    ticks: dict[str, int]
    """Prices that each collector accepted since it started, by replica; 0 again after a restart."""
    ticks_per_s: Decimal
    """Over the last seconds."""
    signals: int
    decisions: int
    approved: int
    denied: int
    denials: dict[str, int]
    """By code, the most frequent first."""
    orders: dict[str, int]
    """By status."""
    fills: int
    alerts: int
    tick_to_order_p50_ms: Decimal | None
    """From the tick at the collector to the order on its way to the venue; null before the first."""
    tick_to_order_p99_ms: Decimal | None
    accounts: list[AccountView]
    positions: list[PositionView]
    """Those that hold something."""


class FindingView(View):
    """One invariant of the books."""

    invariant: str
    holds: bool
    broken_by: list[str]
    """What breaks it, at most three; empty while it holds."""


class BooksView(View):
    """Whether nothing was lost and nothing doubled. What is under way breaks some of it for a moment."""

    are_right: bool
    findings: list[FindingView]
    as_of: datetime
