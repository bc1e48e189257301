"""What a protective exit asks of the decision, beyond closing a position."""

from dataclasses import dataclass
from decimal import Decimal

from sigmax.schemas.types import DenialCode, ExitKind

_C = DenialCode
ENTRY_GUARDS = frozenset(
    {
        _C.BUILD_MIXED,
        _C.JUDGEMENT_INVALID,
        _C.JUDGEMENT_REFUSED,
        _C.JUDGEMENT_UNCLEAN,
        _C.JUDGEMENT_UNRECORDED,
        _C.JUDGEMENT_BUDGET_EXCEEDED,
        _C.NEWS_UNCONFIRMED,
        _C.INSTRUMENT_NEW_IN_CAUTION,
        _C.VENUE_SILENT,
        _C.ALERTING_DOWN,
        _C.FILL_UNEXPLAINED,
        _C.UNKNOWN_SUBMISSION,
        _C.LOSS_EXCEEDED,
        _C.LOSING_STREAK,
        _C.CANCEL_RATIO_EXCEEDED,
        _C.QUANTITY_EXCEEDS_MAX,
        _C.POSITION_EXCEEDS_MAX,
        _C.EXPOSURE_EXCEEDS_MAX,
        _C.CONCENTRATION_EXCEEDS_MAX,
        _C.POSITIONS_EXCEED_MAX,
        _C.DCA_EXCEEDED,
        _C.BUYING_POWER_EXCEEDED,
        _C.OPEN_ORDERS_EXCEEDED,
        _C.ORDER_RATE_EXCEEDED,
        _C.ORDER_COUNT_EXCEEDED,
        _C.TURNOVER_EXCEEDED,
        _C.ORDER_DUPLICATED,
        _C.PRICE_OUTSIDE_COLLAR,
    }
)
"""What guards exposure that is added, and so holds up no exit. The collar is asked of an exit in its own way: it grows
with each attempt. An exit's size is cut to the largest order, so no control of sizes has anything to say either."""

MARKET_FROM = 3
"""After so many attempts that did not sell all, the order goes without a limit."""


@dataclass(frozen=True, slots=True)
class Resting:
    """A stop that rests at the venue."""

    trigger_price: Decimal


@dataclass(frozen=True, slots=True)
class ExitWish:
    """Why a position is closed, and how hard to try."""

    kind: ExitKind
    escalation: int = 0
    """Attempts before this one that did not sell all they asked for: each widens the collar, then it is the market."""
    slippage_max_pct: Decimal = Decimal(5)
    """How far the best bid may lie below the last trade for an order without a limit."""
    resting: Resting | None = None
    """None sells now."""
