"""Which venue order is ours, where the venue does not keep our ids: told by what it looks like, and never guessed."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from order_worker.domain.order import Order
from order_worker.domain.sightings import Sighting
from sigmax.schemas.types import OrderType, Side, Submission

CLOCKS = timedelta(seconds=2)
"""How much earlier than its claim an order may seem to have been placed: clocks differ, and some tell whole seconds."""
REMEMBERED = timedelta(seconds=60)
"""How far back the venue's orders are read before a send; what is older than `CLOCKS` could not be mistaken for it."""
LATE_MAX = timedelta(hours=1)
"""How long after its claim an absent order is still expected. Later the same row is a stranger, which halts as well."""

_AT_MARKET = frozenset({OrderType.MARKET, OrderType.STOP})


@dataclass(frozen=True)
class Listed:
    """One row of the venue's own list of orders: what was asked for, and what has become of it."""

    sighting: Sighting
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    trigger_price: Decimal | None
    placed_at: datetime

    @property
    def venue_order_id(self) -> str:
        """Give the venue's id."""
        return self.sighting.venue_order_id


class Verdict(StrEnum):
    """What a comparison with the venue's list comes to."""

    FOUND = "found"
    """One row is this order, and can be no other of ours."""
    NOTHING = "nothing"
    IN_FLIGHT = "in_flight"
    """Another request is still on its way, and a row may be that one's: its answer decides."""
    SEVERAL = "several"
    """More than one row, or more than one order of ours: a person decides."""


@dataclass(frozen=True)
class Match:
    """One order held against the venue's list."""

    verdict: Verdict
    rows: tuple[Listed, ...] = ()
    """Those that it may be: exactly one where it was found."""


def may_be(order: Order, row: Listed) -> bool:
    """Say whether a row can be this order: sent alike, not before it was claimed, and not there already by then."""
    approved = order.approved
    if order.claimed_at is None or row.venue_order_id in order.known_ids:
        return False
    limit_price = None if approved.order_type in _AT_MARKET else approved.limit_price
    asked = (order.symbol, approved.side, approved.quantity, approved.order_type, limit_price, approved.trigger_price)
    shown = (row.symbol, row.side, row.quantity, row.order_type, row.limit_price, row.trigger_price)
    return asked == shown and row.placed_at >= order.claimed_at - CLOCKS


def match(order: Order, rivals: Iterable[Order], listing: Iterable[Listed], owned: Collection[str]) -> Match:
    """Find an order among the venue's. `owned` are the venue orders of which we know whose they are.

    `rivals` are all our orders that may be at the venue and have no venue id yet: in flight, unknown, or proven absent
    not long ago. A row that may be one of theirs is nobody's yet.
    """
    rows = tuple(row for row in listing if row.venue_order_id not in owned and may_be(order, row))
    if not rows:
        return Match(Verdict.NOTHING)
    contested = [
        rival
        for rival in rivals
        if rival.client_order_id != order.client_order_id and any(may_be(rival, row) for row in rows)
    ]
    if any(rival.submission is Submission.SENDING for rival in contested):
        return Match(Verdict.IN_FLIGHT, rows)
    if contested or len(rows) > 1:
        return Match(Verdict.SEVERAL, rows)
    return Match(Verdict.FOUND, rows)


def missing(order: Order, listing: Iterable[Listed]) -> frozenset[str]:
    """Name the venue orders that were there before the send and are not listed: a list with holes proves nothing."""
    return order.known_ids - {row.venue_order_id for row in listing}


def remembered(listing: Sequence[Listed]) -> frozenset[str]:
    """Give what is kept of the venue's list before a send."""
    return frozenset(row.venue_order_id for row in listing)


def listed_from(orders: Iterable[Order]) -> dict[str, datetime]:
    """Say, by symbol, from when on the list is read so that it shows these orders and all that was there before."""
    starts: dict[str, datetime] = {}
    for order in orders:
        if order.claimed_at is not None:
            start = order.claimed_at - 2 * REMEMBERED
            starts[order.symbol] = min(starts.get(order.symbol, start), start)
    return starts
