"""Controls 8, 9, 10, and 22, and the posture's count of positions: what would be held."""

from risk_gate.domain.book import cash_needed
from risk_gate.domain.controls.rows import money, row
from risk_gate.domain.situation import ZERO, Grounds
from risk_gate.domain.sizing import Order, percent_of
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Side


def exposure_checks(signal: Signal, order: Order, grounds: Grounds) -> list[Check]:
    """Value what would be held if every open order and this one filled. What reduces always passes."""
    limits, book, prices, equity = grounds.limits, grounds.book, grounds.prices, grounds.equity
    positions_max = limits.posture_positions_max[grounds.posture]
    positions_limit = f"{positions_max} ({grounds.posture})"
    if order.reduce_only:
        return [
            row(8, DenialCode.POSITION_EXCEEDS_MAX, True, "reduces", money(limits.position_notional_max)),
            row(9, DenialCode.EXPOSURE_EXCEEDS_MAX, True, "reduces", f"{limits.leverage_max} x equity"),
            row(9, DenialCode.EXPOSURE_EXCEEDS_MAX, True, "reduces", f"net {limits.net_leverage_max} x equity"),
            row(9, DenialCode.CONCENTRATION_EXCEEDS_MAX, True, "reduces", f"{limits.concentration_max_pct} %"),
            row(9, DenialCode.POSITIONS_EXCEED_MAX, True, "reduces", positions_limit),
        ]
    price = max(prices[signal.instrument_id], order.limit_price, order.reference_price)
    before = book.exposed_quantity(signal.instrument_id)
    position = (before + order.quantity) * price
    added = position - before * prices[signal.instrument_id]
    gross, net = book.gross_exposure(prices) + added, book.net_exposure(prices) + added
    gross_max, net_max = equity * limits.leverage_max, equity * limits.net_leverage_max
    concentration_max = percent_of(equity, limits.concentration_max_pct)
    positions = len(book.instruments | {signal.instrument_id})
    return [
        row(
            8,
            DenialCode.POSITION_EXCEEDS_MAX,
            position <= limits.position_notional_max,
            money(position),
            limits.position_notional_max,
        ),
        row(
            9,
            DenialCode.EXPOSURE_EXCEEDS_MAX,
            gross <= gross_max,
            f"gross {money(gross)}",
            f"{money(gross_max)} ({limits.leverage_max} x equity)",
        ),
        row(
            9,
            DenialCode.EXPOSURE_EXCEEDS_MAX,
            net <= net_max,
            f"net {money(net)}",
            f"{money(net_max)} ({limits.net_leverage_max} x equity)",
        ),
        row(
            9,
            DenialCode.CONCENTRATION_EXCEEDS_MAX,
            position <= concentration_max,
            money(position),
            f"{money(concentration_max)} ({limits.concentration_max_pct} % of equity)",
        ),
        row(9, DenialCode.POSITIONS_EXCEED_MAX, positions <= positions_max, positions, positions_limit),
    ]


def cash_check(order: Order, grounds: Grounds) -> Check:
    """See that an entry can be paid, with fees, out of what no other order has taken and no buffer keeps."""
    book, limits = grounds.book, grounds.limits
    needed = cash_needed(order.side, order.quantity, order.limit_price, limits.fee_bps)
    buffer = percent_of(max(grounds.equity, ZERO), limits.cash_buffer_pct)
    free = book.cash - book.reserved_cash() - buffer
    is_affordable = order.side is Side.SELL or needed <= free
    return row(10, DenialCode.BUYING_POWER_EXCEEDED, is_affordable, money(needed), money(free))


def short_check(signal: Signal, order: Order, grounds: Grounds) -> Check:
    """See that a sale sells what is there: positions below zero are not opened, and a closing order may not flip."""
    if order.side is Side.BUY:
        return row(22, DenialCode.SHORT_NOT_ALLOWED, True, "buys", "sells only what is held")
    sellable = grounds.book.sellable_quantity(signal.instrument_id, signal.strategy_id)
    return row(22, DenialCode.SHORT_NOT_ALLOWED, order.quantity <= sellable, order.quantity, f"{sellable} held")
