"""The order of a protective exit: how much, at which price at worst, and what still holds it up."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from risk_gate.domain.exit_wish import ENTRY_GUARDS, MARKET_FROM, ExitWish
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.situation import Grounds
from risk_gate.domain.sizing import Order, floor_quantity, largest_order, market_reference, marketable_price
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, OrderType, Side, TimeInForce

_BPS_PER_PCT = Decimal(100)
_HUNDRED = Decimal(100)


def asked_of_exits(checks: Iterable[Check]) -> list[Check]:
    """Leave out what guards exposure that is added."""
    return [check for check in checks if check.code not in ENTRY_GUARDS]


def exit_offset_bps(escalation: int, limits: RiskLimits) -> Decimal:
    """Give how far through the market an exit's limit reaches: from the usual offset to the collar, half and whole."""
    widest = max(limits.price_collar_pct * _BPS_PER_PCT, limits.limit_offset_bps)
    return limits.limit_offset_bps + (widest - limits.limit_offset_bps) * min(escalation, 2) / 2


def exit_order(signal: Signal, grounds: Grounds, wish: ExitWish) -> Order:
    """Size an exit: all that the strategy may sell, cut to the largest order. Every number must be finite."""
    limits, instrument = grounds.limits, grounds.instrument
    reference = market_reference(Side.SELL, grounds.quote)
    start = reference if wish.resting is None else wish.resting.trigger_price
    is_market = wish.resting is None and wish.escalation >= MARKET_FROM
    offset_bps = wish.slippage_max_pct * _BPS_PER_PCT if is_market else exit_offset_bps(wish.escalation, limits)
    limit_price = marketable_price(Side.SELL, start, offset_bps, instrument.tick_size)
    held = grounds.book.sellable_quantity(signal.instrument_id, signal.strategy_id)
    most = largest_order(limits, instrument, max(limit_price, reference, start))
    quantity = floor_quantity(min(held, most), instrument.lot_size)
    note = f"{wish.kind}, attempt {wish.escalation + 1}: closes {quantity} of {held} held"
    order_type, lives, trigger = OrderType.LIMIT, TimeInForce.IOC, None
    if wish.resting is not None:
        trigger = (start / instrument.tick_size).to_integral_value(ROUND_CEILING) * instrument.tick_size
        order_type, lives = OrderType.STOP_LIMIT, TimeInForce.GTC
    elif is_market:
        order_type = OrderType.MARKET
    return Order(
        Side.SELL,
        quantity,
        limit_price,
        reference,
        reduce_only=True,
        note=note,
        order_type=order_type,
        time_in_force=lives,
        trigger_price=trigger,
    )


def collar_check(order: Order, grounds: Grounds, wish: ExitWish) -> Check:
    """Hold the price an exit accepts against the market.

    A resting stop's is held against its trigger, a market order's best bid against the last trade. What the market has
    done since the entry holds up no exit.
    """
    limits = grounds.limits
    if order.order_type is OrderType.MARKET:
        accepted, start, at_most = order.reference_price, grounds.quote.last, wish.slippage_max_pct
    elif order.trigger_price is not None:
        accepted, start, at_most = order.limit_price, order.trigger_price, limits.price_collar_pct
    else:
        accepted, start, at_most = order.limit_price, order.reference_price, limits.price_collar_pct
    at_most = max(at_most, limits.limit_offset_bps / _BPS_PER_PCT)
    distance = (1 - accepted / start) * _HUNDRED
    return Check(
        control=7,
        code=DenialCode.PRICE_OUTSIDE_COLLAR,
        passed=distance <= at_most,
        seen=f"{distance:.3f} % below {start}",
        limit=f"{at_most} %",
    )
