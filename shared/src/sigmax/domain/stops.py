"""Stop orders that wait for their price: which trade wakes up which of them, and in what order.

A stop either waits for the price to rise to its stop price or for it to fall to it. Only a trade wakes it up, never a
book or the clock. What has woken up is taken out here, so that nothing wakes up twice.
"""

from bisect import insort
from decimal import Decimal

from sigmax.domain.venue_orders import OrderKind, VenueOrder
from sigmax.schemas.types import Side


def waits_for_rise(kind: OrderKind, side: Side) -> bool:
    """Say whether a stop wakes up at or above its price: a stop loss of a buyer, or a seller's target."""
    return kind.is_stop_loss is (side is Side.BUY)


def is_reached(kind: OrderKind, side: Side, stop_price: Decimal, price: Decimal) -> bool:
    """Say whether a trade at `price` wakes up a stop."""
    return price >= stop_price if waits_for_rise(kind, side) else price <= stop_price


class WaitingStops:
    """The stops of one market."""

    def __init__(self) -> None:
        self._rising: list[tuple[Decimal, int]] = []
        """Stop price and order id, lowest price first."""
        self._falling: list[tuple[Decimal, int]] = []
        """Stop price, negated, and order id: highest price first."""

    def __len__(self) -> int:
        return len(self._rising) + len(self._falling)

    @property
    def order_ids(self) -> list[int]:
        """Give the orders that wait."""
        return [order_id for _, order_id in (*self._rising, *self._falling)]

    def add(self, order: VenueOrder) -> None:
        """Let a stop wait."""
        insort(self._line_of(order), _place(order))

    def remove(self, order: VenueOrder) -> None:
        """Take a stop out that waits. Raises `ValueError` when it does not."""
        self._line_of(order).remove(_place(order))

    def take_reached(self, price: Decimal) -> list[int]:
        """Take out the stops that a trade at this price wakes up: the ones it came to first, then the oldest."""
        reached = _cut(self._rising, price)
        return reached + _cut(self._falling, -price)

    def _line_of(self, order: VenueOrder) -> list[tuple[Decimal, int]]:
        return self._rising if waits_for_rise(order.kind, order.side) else self._falling


def _place(order: VenueOrder) -> tuple[Decimal, int]:
    if order.stop_price is None:
        raise ValueError(f"order {order.order_id} has no stop price")
    is_rising = waits_for_rise(order.kind, order.side)
    return (order.stop_price if is_rising else -order.stop_price, order.order_id)


def _cut(line: list[tuple[Decimal, int]], up_to: Decimal) -> list[int]:
    reached = []
    while line and line[0][0] <= up_to:
        reached.append(line.pop(0)[1])
    return reached
