"""Controls 3, 5, 6, and 7 of a sized order, and how often a position may be added to."""

from decimal import Decimal

from risk_gate.domain.controls.rows import HUNDRED, guard, money, row
from risk_gate.domain.situation import ZERO, Grounds
from risk_gate.domain.sizing import Order, percent_of
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import Action, DenialCode, Side


def size_checks(signal: Signal, order: Order, grounds: Grounds) -> list[Check]:
    """Hold the quantity and what it is worth against the least and the most."""
    limits, instrument = grounds.limits, grounds.instrument
    quantity = order.quantity
    quantity_min = max(instrument.quantity_min, instrument.lot_size)
    seen = f"{quantity} ({order.note})" if order.note else str(quantity)
    lowest = quantity * min(order.limit_price, order.reference_price)
    checks = [
        row(5, DenialCode.QUANTITY_BELOW_MIN, quantity >= quantity_min, seen, quantity_min),
        row(
            5, DenialCode.NOTIONAL_BELOW_MIN, lowest >= instrument.notional_min, money(lowest), instrument.notional_min
        ),
        row(
            6,
            DenialCode.NOTIONAL_EXCEEDS_MAX,
            order.notional <= limits.order_notional_max,
            money(order.notional),
            limits.order_notional_max,
        ),
    ]
    quantity_max = limits.order_quantity_max.get(signal.instrument_id)
    if quantity_max is not None:
        checks.append(row(6, DenialCode.QUANTITY_EXCEEDS_MAX, quantity <= quantity_max, quantity, quantity_max))
    if signal.action is Action.CLOSE:
        checks.append(row(22, DenialCode.NOTHING_TO_CLOSE, quantity > 0, seen, "a holding of one lot or more"))
    else:
        # Who wants out gets out, however thin the market: an exit is not held against the volume.
        volume = percent_of(grounds.quote.minute_volume, limits.volume_share_max_pct)
        limit = f"{volume} ({limits.volume_share_max_pct} % of the last minute)"
        checks.append(row(6, DenialCode.QUANTITY_EXCEEDS_MAX, quantity <= volume, quantity, limit))
    return checks


def collar_check(signal: Signal, order: Order, grounds: Grounds) -> Check:
    """Hold the limit against the market's last price and against the price the strategy saw: the further one counts."""
    references = (grounds.quote.last, signal.reference_price)
    furthest = max(abs(order.limit_price / reference - 1) for reference in references) * HUNDRED
    return row(
        7,
        DenialCode.PRICE_OUTSIDE_COLLAR,
        furthest <= grounds.limits.price_collar_pct,
        f"{furthest:.3f} % from the reference",
        f"{grounds.limits.price_collar_pct} %",
    )


def price_limit_check(signal: Signal, order: Order, grounds: Grounds) -> Check:
    """Hold the limit against the market's daily limits, where it has some: the venue would.

    Where nobody knows what they are measured from, nothing is entered; what is held may still be sold.
    """
    market, close = grounds.instrument.market, grounds.close_previous
    limit_pct = grounds.limits.price_limit_pct.get(market)
    code = DenialCode.PRICE_OUTSIDE_COLLAR
    if limit_pct is None:
        return row(3, code, True, f"{market} has no daily limits", "none")
    if close is None:
        return guard(signal, row(3, code, False, "the last close is not known", f"{limit_pct} % of it"))
    away = abs(order.limit_price / close - 1) * HUNDRED
    return row(3, code, away <= limit_pct, f"{away:.3f} %", f"{limit_pct} % from the last close {close}")


def dca_checks(signal: Signal, order: Order, grounds: Grounds) -> list[Check]:
    """See that a position is added to only so often, only well below the last entry, and only so far."""
    if signal.action is not Action.DCA:
        return []
    limits, adds = grounds.limits, grounds.facts.adds
    count = adds.count + 1
    below = _below_pct(adds.last_price, order.reference_price)
    price = max(order.limit_price, order.reference_price)
    held = max(grounds.book.own.get(signal.instrument_id, ZERO), ZERO)
    held += grounds.book.leaves(signal.instrument_id, Side.BUY, signal.strategy_id)
    size, size_max = (held + order.quantity) * price, percent_of(grounds.equity, limits.dca_size_max_pct)
    passed = count <= limits.dca_adds_max and (below is None or below >= limits.dca_spacing_pct) and size <= size_max
    spacing = "the first entry" if below is None else f"{below:.3f} % below the last"
    return [
        row(
            6,
            DenialCode.DCA_EXCEEDED,
            passed,
            f"addition {count}, {spacing}, {money(size)} in all",
            f"{limits.dca_adds_max} additions, {limits.dca_spacing_pct} % below, {money(size_max)} in all",
        )
    ]


def _below_pct(last_price: Decimal | None, price: Decimal) -> Decimal | None:
    return None if last_price is None else (1 - price / last_price) * HUNDRED
