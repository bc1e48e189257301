"""What a venue holds an order against before it takes it, and what the order then locks."""

from decimal import Decimal

from sigmax.domain.depth import Depth, Walk
from sigmax.domain.fees import EXACT
from sigmax.domain.trading_rules import Refusal, TradingRules
from sigmax.domain.venue_orders import OrderRequest, VenueOrder
from sigmax.schemas.types import Side

_ZERO = Decimal(0)


def broken_filter(request: OrderRequest, rules: TradingRules, last: Decimal) -> Refusal | None:
    """Name the first of the instrument's filters that an order breaks; `last` is the last traded price."""
    reason: Refusal | None = None
    if request.stop_price is not None:
        reason = rules.broken_by_stop_price(request.stop_price)
    if reason is None and request.price is not None:
        reason = rules.broken_by_price(request.price, last)
    if reason is None and request.quantity is not None:
        reason = rules.broken_by_quantity(request.quantity)
    if reason is None:
        worth = request.notional
        if worth is None:
            worth = EXACT.multiply(request.price or request.stop_price or last, request.quantity or _ZERO)
        reason = rules.broken_by_notional(worth)
    return reason


def walk_of(request: OrderRequest, depth: Depth) -> Walk:
    """Say what an order would take from the book at once: nothing, where it is a stop.

    Raises `ValueError` for one without a quantity.
    """
    if request.kind.is_stop:
        return Walk((), is_exhausted=False)
    if request.quantity is not None:
        return depth.walk(request.side, request.quantity, request.price)
    if request.notional is not None:
        return depth.walk_notional(request.side, request.notional)
    raise ValueError("an order needs a quantity or a notional")


def funds_of(order: VenueOrder, walk: Walk, rules: TradingRules) -> tuple[str, Decimal]:
    """Give the asset and the amount to lock at acceptance."""
    if order.price is not None or order.side is Side.SELL or order.is_waiting:
        return held_by(order, rules)
    return rules.quote, order.notional if order.notional is not None else walk.notional


def held_by(order: VenueOrder, rules: TradingRules) -> tuple[str, Decimal]:
    """Give the asset and the amount that the unfilled part of an order holds."""
    if order.side is Side.SELL:
        return rules.base, order.leaves
    return rules.quote, EXACT.multiply(order.price or order.stop_price or _ZERO, order.leaves)
