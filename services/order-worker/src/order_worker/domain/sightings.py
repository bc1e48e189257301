"""What the venue showed: an order, a trade, or an answer to a submit, and what such an answer proves."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sigmax.domain.orders import VenueWord
from sigmax.schemas.types import Liquidity, Side

DUPLICATE = "Duplicate order sent."


@dataclass(frozen=True)
class Capabilities:
    """What a venue keeps and tells of our orders."""

    client_ids: bool = True
    """It keeps our id of an order and can be asked by it. Where not, orders are told apart by what they look like, and
    one submission at a time is in flight per account."""
    execution_ids: bool = True
    """Each trade has an id. Where not, what an order has filled in all grows, and each growth counts as a trade."""


ALL_IDS = Capabilities()
"""What most venues keep."""


@dataclass(frozen=True)
class Trade:
    """One trade of ours as the venue tells it. Prices in quote per base, quantities in base units."""

    execution_id: str
    venue_order_id: str
    symbol: str
    """`BTC/USDT`."""
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    executed_at: datetime
    client_order_id: str | None = None
    """None where the source does not tell."""
    tax: Decimal = Decimal(0)
    """In the quote currency."""


@dataclass(frozen=True)
class Sighting:
    """One order as the venue has it."""

    venue_order_id: str
    word: VenueWord
    client_order_id: str | None = None
    symbol: str | None = None
    trades: tuple[Trade, ...] = ()
    reference: str | None = None
    """What the venue wants beside its id when the order is to be canceled: the branch at KIS."""
    filled_notional: Decimal | None = None
    """What the filled quantity cost in all; read only where trades have no ids."""
    changed_at: datetime | None = None
    """When the venue last changed it, where it tells."""


class Outcome(StrEnum):
    """What is proven about one submit."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The venue said no, by a word that it documents as not accepted."""
    LIMITED = "limited"
    """The venue said "too many requests": it did not take the order, and a later try may succeed."""
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    """No byte left the host, and a later try may succeed."""
    UNSENDABLE = "unsendable"
    """No byte left the host, and no later try can succeed."""


@dataclass(frozen=True)
class Answer:
    """What came of one submit."""

    outcome: Outcome
    reason: str = ""
    sighting: Sighting | None = None
    """Present exactly when accepted."""
    is_duplicate: bool = False
    """The venue says that it has an order of this id already: ask for it at once."""
    was_too_late: bool = False
    """Our own time ran out before the first byte: this says nothing of the venue."""
    sent_at: datetime | None = None
    """When the first byte was about to leave; None when none did."""
    retry_after_s: float | None = None
    """How long the venue wants to be left alone, where it was limited and said so."""


_PROOF_OF_REFUSAL = frozenset(
    {
        "InvalidOrder",
        "InsufficientFunds",
        "BadRequest",
        "OperationRejected",
        "AuthenticationError",
        "InvalidNonce",
    }
)
_TOO_MANY = frozenset({"DDoSProtection", "RateLimitExceeded"})
_KEY_REFUSED = "-2015"
"""ccxt calls a key that was refused after it had worked before a protection against floods."""
_PASSING = frozenset({"NetworkError", "OperationFailed", "TimeoutError", "OSError", "DeadlinePassedError"})


def classify(kinds: Collection[str], text: str, *, has_left: bool) -> Outcome:
    """Say what a failed submit proves.

    `kinds` are the names of the error's class and of its bases, `has_left` says whether any byte may have left the
    host. Whatever is not proven is unknown.
    """
    if not has_left:
        return Outcome.NOT_SENT if _PASSING.intersection(kinds) else Outcome.UNSENDABLE
    if DUPLICATE in text:
        return Outcome.UNKNOWN
    if _TOO_MANY.intersection(kinds):
        return Outcome.REFUSED if _KEY_REFUSED in text else Outcome.LIMITED
    return Outcome.REFUSED if _PROOF_OF_REFUSAL.intersection(kinds) else Outcome.UNKNOWN
