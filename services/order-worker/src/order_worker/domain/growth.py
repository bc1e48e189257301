"""Fills of a venue whose trades have no ids: what an order has filled in all grows, and each growth is one fill."""

import hashlib
from datetime import datetime
from decimal import Decimal

from order_worker.domain.order import Order
from order_worker.domain.sightings import Sighting, Trade
from sigmax.schemas.market import quote_of
from sigmax.schemas.types import Liquidity

_ZERO = Decimal(0)


def execution_id(account_id: str, venue_order_id: str, cumulative_after: Decimal) -> str:
    """Name a growth by where it ends: whoever sees the same total again makes the same name."""
    total = format(cumulative_after.normalize(), "f")
    text = f"{account_id}\n{venue_order_id}\n{total}"
    return f"growth-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


def growth(order: Order, sighting: Sighting, now: datetime) -> tuple[Trade, ...]:
    """Give what a sighting counts beyond the fills we hold, as one trade; nothing where it counts no more.

    `order` is the row as it is locked, with the sum of its fills: then late, doubled, and reversed sightings all come
    to the same sums. A total without its price is no fill yet: the order misses fills until a poll tells both.
    """
    total, notional = sighting.word.filled_quantity, sighting.filled_notional
    quantity = total - order.filled_quantity
    if quantity <= 0 or notional is None:
        return ()
    price = (notional - order.filled_quantity * (order.average_price or _ZERO)) / quantity
    if price <= 0:
        return ()
    approved = order.approved
    return (
        Trade(
            execution_id=execution_id(approved.account_id, sighting.venue_order_id, total),
            venue_order_id=sighting.venue_order_id,
            symbol=order.symbol,
            side=approved.side,
            price=price,
            quantity=quantity,
            fee=_ZERO,  # the market's own rules say it
            fee_currency=quote_of(approved.instrument_id),
            liquidity=Liquidity.TAKER,
            executed_at=sighting.changed_at or now,
        ),
    )
