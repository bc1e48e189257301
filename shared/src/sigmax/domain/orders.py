"""The life of an order: one table of legal steps, and how what the venue says and what was filled make a status.

`submission` is ours and says whether the venue has the order; `status` is the venue's word. What the venue says about
one order arrives twice, late, and in any order, so it is merged: the merge of the same words is the same whichever
came first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sigmax.schemas.types import OrderStatus, Submission

_S = Submission
SUBMISSIONS: Mapping[Submission, frozenset[Submission]] = {
    # Never sent after all: halted, expired, canceled before the send.
    _S.READY: frozenset({_S.SENDING, _S.ABSENT, _S.ACKED}),
    # Back to ready only on proof that the venue does not have it: no byte left the host, or it had no room for it.
    _S.SENDING: frozenset({_S.READY, _S.ACKED, _S.REFUSED, _S.UNKNOWN, _S.ABSENT}),
    _S.UNKNOWN: frozenset({_S.ACKED, _S.ABSENT}),
    # Seen at the venue after all: a fact beats our proof, and people are told.
    _S.ABSENT: frozenset({_S.ACKED}),
    _S.REFUSED: frozenset({_S.ACKED}),
    _S.ACKED: frozenset(),
}
"""From each submission, the submissions that may follow."""

_O = OrderStatus
_AT_VENUE = frozenset({_O.NEW, _O.PARTIALLY_FILLED, _O.FILLED, _O.PENDING_CANCEL, _O.CANCELED, _O.EXPIRED, _O.REJECTED})
STATUSES: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    _O.PENDING_NEW: _AT_VENUE | {_O.UNPLACED},
    _O.NEW: _AT_VENUE - {_O.NEW},
    _O.PARTIALLY_FILLED: frozenset({_O.FILLED, _O.PENDING_CANCEL, _O.CANCELED, _O.EXPIRED}),
    # Back to new or partially filled: the cancel came too late or was refused.
    _O.PENDING_CANCEL: _AT_VENUE - {_O.PENDING_CANCEL},
    # A fill may still follow a cancel, and may complete the order.
    _O.CANCELED: frozenset({_O.FILLED}),
    _O.EXPIRED: frozenset({_O.FILLED}),
    _O.FILLED: frozenset(),
    _O.REJECTED: _AT_VENUE - {_O.REJECTED},
    _O.UNPLACED: _AT_VENUE,
}
"""From each status, the statuses that may follow; staying is always legal."""

_CERTAINTY = (_O.PENDING_NEW, _O.NEW, _O.PARTIALLY_FILLED, _O.REJECTED, _O.EXPIRED, _O.CANCELED, _O.FILLED)
"""Later words win over earlier ones: a venue never takes an end back."""


class IllegalStepError(Exception):
    """A step of ours that the table does not allow: a fault in our code, never in the venue's answer."""


@dataclass(frozen=True)
class VenueWord:
    """What the venue has said about one order so far."""

    status: OrderStatus = OrderStatus.PENDING_NEW
    """One of `pending_new` (nothing yet), `new`, `partially_filled`, `filled`, `canceled`, `expired`, `rejected`."""
    filled_quantity: Decimal = Decimal(0)
    """The largest cumulative quantity it has named."""

    def merge(self, other: "VenueWord") -> "VenueWord":
        """Join two words about one order: commutative, associative, and idempotent: arrival order does not matter."""
        status = max(self.status, other.status, key=_CERTAINTY.index)
        return VenueWord(status, max(self.filled_quantity, other.filled_quantity))


def may_follow(current: Submission, following: Submission) -> bool:
    """Say whether a submission may become another; staying is always legal."""
    return following is current or following in SUBMISSIONS[current]


def step(current: Submission, following: Submission) -> Submission:
    """Take a step of ours. Raises `IllegalStepError` for one that is not on the table."""
    if not may_follow(current, following):
        raise IllegalStepError(f"submission {current} may not become {following}")
    return following


def heed(current: OrderStatus, said: OrderStatus) -> OrderStatus:
    """Follow the venue's word where the table allows it; a word that contradicts an end is stale, and ignored."""
    return said if said in STATUSES[current] else current


def status_of(word: VenueWord, filled: Decimal, quantity: Decimal, *, is_cancel_pending: bool) -> OrderStatus:
    """Give the status of an order that the venue has, from its words and the sum of the fills we hold.

    The order ends only once every fill that the venue counts is here: until then its rest still counts as open, so
    that no exposure is released before the position that replaced it is known.
    """
    if filled >= quantity:
        return OrderStatus.FILLED
    if word.status in (_O.CANCELED, _O.EXPIRED, _O.REJECTED) and filled >= word.filled_quantity:
        return word.status
    if is_cancel_pending:
        return OrderStatus.PENDING_CANCEL
    return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW


def misses_fills(word: VenueWord, filled: Decimal, quantity: Decimal) -> bool:
    """Say whether the venue counts fills that we do not hold: they must be fetched."""
    return filled < word.filled_quantity or (word.status is OrderStatus.FILLED and filled < quantity)


def leaves_quantity(status: OrderStatus, quantity: Decimal, filled: Decimal) -> Decimal:
    """Give what may still fill: zero once the order has ended."""
    return Decimal(0) if status.is_terminal else max(quantity - filled, Decimal(0))
