"""Control 28: each fill against its approval."""

from dataclasses import dataclass
from decimal import Decimal

from risk_gate.domain.facts import Latch
from sigmax.schemas.orders import Fill
from sigmax.schemas.types import DenialCode, OrderType, Scope, Side

_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class ApprovedOrder:
    """What was approved, and how much of it has filled."""

    client_order_id: str
    account_id: str
    instrument_id: str
    side: Side
    quantity: Decimal
    limit_price: Decimal
    order_type: OrderType
    filled_quantity: Decimal


def fill_breach(fill: Fill, approved: ApprovedOrder | None, tolerance_bps: Decimal) -> str | None:
    """Say what a fill did that its order was not approved for; None for nothing.

    `approved` is as it was before the fill. A price may be better than the limit, and worse by the tolerance at most;
    an order that ends at the market has no limit to hold it against.
    """
    if approved is None:
        return f"no order {fill.client_order_id} was approved"
    for name, filled, wanted in (
        ("account", fill.account_id, approved.account_id),
        ("instrument", fill.instrument_id, approved.instrument_id),
        ("side", str(fill.side), str(approved.side)),
    ):
        if filled != wanted:
            return f"the {name} is {filled}, approved was {wanted}"
    total = approved.filled_quantity + fill.quantity
    if total > approved.quantity:
        return f"{total} were filled, approved were {approved.quantity}"
    if approved.order_type in {OrderType.MARKET, OrderType.STOP}:
        return None
    worst = approved.limit_price * (1 + approved.side.sign * tolerance_bps / _BPS)
    if approved.side.sign * (fill.price - worst) > 0:
        return f"the price is {fill.price}, the limit was {approved.limit_price}"
    return None


def breach_latch(fill: Fill, breach: str) -> Latch:
    """Give the latch that keeps an account from adding exposure until a person has looked."""
    reason = f"fill {fill.execution_id} of order {fill.client_order_id}: {breach}"
    return Latch(Scope.ACCOUNT, fill.account_id, DenialCode.FILL_UNEXPLAINED, reason)
