"""An order as this service holds it: what was approved, and what has become of it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from order_worker.domain.terms import Terms
from sigmax.domain.orders import VenueWord, leaves_quantity, misses_fills, step
from sigmax.schemas.market import symbol_of
from sigmax.schemas.orders import OrderApproved, OrderEvent
from sigmax.schemas.types import OrderStatus, Submission


@dataclass(frozen=True)
class Looks:
    """How often the venue was asked for an order that it may have, and did not show it."""

    count: int = 0
    """Looks of any result: these set the pace."""
    absences: int = 0
    """Successful looks that did not find it: only these prove anything."""
    absent_since: datetime | None = None
    next_at: datetime | None = None
    is_unclear: bool = False
    """The last look found more than one venue order that it may be: a person says which."""


@dataclass(frozen=True)
class Order:
    """One row. The approval never changes; everything else follows from what happened."""

    approved: OrderApproved
    client_ids: bool = True
    """Whether the venue keeps our id of it, as it was when the row was recorded."""
    status: OrderStatus = OrderStatus.PENDING_NEW
    submission: Submission = Submission.READY
    sequence: int = 1
    fence: int = 0
    attempts: int = 0
    cancel_wanted: bool = False
    venue_order_id: str | None = None
    venue_reference: str | None = None
    """What a cancel needs beside the venue's id; it came from the same row."""
    word: VenueWord = field(default_factory=VenueWord)
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    reason: str = ""
    not_before: datetime | None = None
    claimed_at: datetime | None = None
    send_deadline: datetime | None = None
    known_ids: frozenset[str] = frozenset()
    """The venue orders that were there before this one was sent: none of them is it. Only without client ids."""
    sent_at: datetime | None = None
    acked_at: datetime | None = None
    looks: Looks = field(default_factory=Looks)

    @property
    def client_order_id(self) -> str:
        """Give our id of it."""
        return self.approved.client_order_id

    @property
    def key(self) -> tuple[str, str]:
        """Give the account and instrument: one request in flight for each such pair."""
        return (self.approved.account_id, self.approved.instrument_id)

    @property
    def symbol(self) -> str:
        """Give the venue's unified symbol, `BTC/USDT`."""
        return symbol_of(self.approved.instrument_id)

    @property
    def is_open(self) -> bool:
        """Say whether the order rests, or may rest, at the venue."""
        return not self.status.is_terminal

    @property
    def leaves_quantity(self) -> Decimal:
        """Give what may still fill."""
        return leaves_quantity(self.status, self.approved.quantity, self.filled_quantity)

    @property
    def misses_fills(self) -> bool:
        """Say whether the venue counts fills that we do not hold."""
        return misses_fills(self.word, self.filled_quantity, self.approved.quantity)

    @property
    def may_go_again(self) -> bool:
        """Say whether it may be sent once more after the venue proved that it had no room for it.

        Not at the market where the venue keeps no client ids: what it would be taken for could not be told apart.
        """
        return self.client_ids or self.approved.limit_price is not None

    @property
    def needs_cancel(self) -> bool:
        """Say whether the venue is still to be told of a wish to cancel."""
        return self.cancel_wanted and self.submission is Submission.ACKED and self.is_open

    def lets_exits_pass(self, now: datetime, terms: Terms) -> bool:
        """Say whether an exit waits no longer for this unknown order: it was looked for once, or should have been."""
        is_overdue = self.claimed_at is not None and now - self.claimed_at >= terms.exit_waits_max
        return self.looks.count > 0 or is_overdue

    def unplaced(self, reason: str) -> "Order":
        """End an order that never reached the venue."""
        submission = step(self.submission, Submission.ABSENT)
        return replace(self, submission=submission, status=OrderStatus.UNPLACED, reason=reason)

    def refused(self, reason: str) -> "Order":
        """End an order that the venue provably did not accept."""
        submission = step(self.submission, Submission.REFUSED)
        return replace(self, submission=submission, status=OrderStatus.REJECTED, reason=reason)

    def unknown(self, reason: str, look_at: datetime) -> "Order":
        """Say that the venue may or may not have it; the resolver asks from `look_at` on."""
        submission = step(self.submission, Submission.UNKNOWN)
        return replace(self, submission=submission, reason=reason, looks=Looks(next_at=look_at))

    def not_sent(self, reason: str, now: datetime, terms: Terms) -> "Order":
        """Put an order back, of which no byte left the host; after too many tries it is unplaced."""
        attempts = self.attempts + 1
        if attempts >= terms.attempts_max:
            return replace(self, attempts=attempts).unplaced(f"not sent in {attempts} tries: {reason}")
        submission = step(self.submission, Submission.READY)
        wait: timedelta = terms.retry_after * attempts
        return replace(self, submission=submission, attempts=attempts, reason=reason, not_before=now + wait)

    def limited(self, reason: str, until: datetime) -> "Order":
        """Put back an order that the venue had no room for; its approval's time bounds how often."""
        submission = step(self.submission, Submission.READY)
        return replace(self, submission=submission, reason=reason, not_before=until)

    def event(self, now: datetime) -> OrderEvent:
        """Tell the others how the order stands."""
        approved = self.approved
        return OrderEvent(
            **OrderEvent.after(approved, now, part=str(self.sequence)),
            client_order_id=approved.client_order_id,
            sequence=self.sequence,
            signal_id=approved.signal_id,
            account_id=approved.account_id,
            venue=approved.venue,
            strategy_id=approved.strategy_id,
            instrument_id=approved.instrument_id,
            side=approved.side,
            order_type=approved.order_type,
            quantity=approved.quantity,
            limit_price=approved.limit_price,
            trigger_price=approved.trigger_price,
            status=self.status,
            submission=self.submission,
            filled_quantity=self.filled_quantity,
            leaves_quantity=self.leaves_quantity,
            average_price=self.average_price,
            venue_order_id=self.venue_order_id,
            reason=self.reason,
        )


def is_news(before: Order, after: Order) -> bool:
    """Say whether a change is one that the others are told of."""
    return (before.status, before.submission, before.filled_quantity, before.venue_order_id) != (
        after.status,
        after.submission,
        after.filled_quantity,
        after.venue_order_id,
    )


def renumbered(before: Order, after: Order) -> Order:
    """Give the changed order its next sequence number, or the same when there is nothing to tell."""
    return replace(after, sequence=before.sequence + 1) if is_news(before, after) else after
