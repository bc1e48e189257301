"""How fills and order events move the book.

Fills, order events, and positions come on queues of their own, so in any order. The one rule that holds in every
order: a fill moves the position and shrinks its order's reservation in the same transaction, and an order event only
says how much of the order will never fill. So position and reservation together are never less than the truth.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.situation import ZERO
from sigmax.schemas.market import base_of, quote_of
from sigmax.schemas.orders import Fill, OrderApproved, OrderEvent
from sigmax.schemas.types import OrderStatus, OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class FillEffect:
    """What one fill does to what is held, in base units and in the quote currency."""

    position_change: Decimal
    cash_change: Decimal
    cash_currency: str


def effect_of(fill: Fill) -> FillEffect:
    """Compute what a fill moves. A fee is taken from the asset it was paid in; a third asset is no part of the book."""
    sign = fill.side.sign
    position = sign * fill.quantity
    cash = -sign * fill.quantity * fill.price
    currency = quote_of(fill.instrument_id)
    if fill.fee_currency == currency:
        cash -= fill.fee
    elif fill.fee_currency == base_of(fill.instrument_id):
        position -= fill.fee
    return FillEffect(position, cash, currency)


def moves_book(recorded_at: datetime, reconciled_at: datetime | None) -> bool:
    """Say whether a fill is not yet in the figures of the last reconciliation."""
    return reconciled_at is None or recorded_at > reconciled_at


def final_quantity(event: OrderEvent) -> Decimal | None:
    """Give how much of the order will have filled once all its fills are here; None while it may still fill more."""
    if not event.status.is_terminal:
        return None
    return event.quantity if event.status is OrderStatus.FILLED else event.filled_quantity


def leaves_after(quantity: Decimal, filled_quantity: Decimal, final: Decimal | None) -> Decimal:
    """Give what stays reserved: what may still fill, or has filled and is not yet in our book."""
    return max((quantity if final is None else min(final, quantity)) - filled_quantity, ZERO)


def cash_needed(side: Side, quantity: Decimal, limit_price: Decimal, fee_bps: Decimal) -> Decimal:
    """Give the most cash an order can take, fees included; a sale takes none."""
    if side is Side.SELL:
        return ZERO
    return quantity * limit_price * (1 + fee_bps / 10_000)


def working_until(approved: OrderApproved, limits: RiskLimits | None) -> datetime | None:
    """Give when the time of a resting entry is over; None for an order that does not wait, and for a resting stop."""
    rests = (approved.order_type, approved.time_in_force) == (OrderType.LIMIT, TimeInForce.GTC)
    if limits is None or not rests or approved.reduce_only:
        return None
    return approved.occurred_at + timedelta(seconds=limits.working_s_max)
