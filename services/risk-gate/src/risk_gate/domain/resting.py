"""The stop that rests at the venue: where it belongs, and when it is placed, left, or replaced.

It stands where the gate itself would sell without asking anybody, so the two agree; and it follows the gate's level in
steps, for each replacement is a cancel, its end, and a new order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from risk_gate.domain.exits import ExitPolicy, OpenOrder, Step, unasked_price
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.protection import ZERO, Protection, ProtectionState
from risk_gate.domain.sizing import floor_quantity
from sigmax.schemas.market import Instrument
from sigmax.schemas.types import ExitKind, Side

SETTLING = timedelta(seconds=1)
"""The fills of a buy come in a burst: so long the first stop waits for them."""
NAKED_MAX = timedelta(seconds=5)
"""A position is without a stop at the venue, and without an exit order, for no longer; else people are told."""
_RETRY = timedelta(seconds=5)
_RETRY_MAX = timedelta(seconds=30)
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class RestingWish:
    """The stop that should rest at the venue now."""

    quantity: Decimal
    """0 where it would be smaller than the smallest order."""
    trigger_price: Decimal
    step: Decimal = ZERO
    """In quote currency: so far the one that rests may be from `trigger_price`."""
    apart: timedelta = timedelta(0)
    """From one stop to the next that only follows the price, or a position that still grows."""


def resting_wish(
    known: Protection, orders: Sequence[OpenOrder], instrument: Instrument, limits: RiskLimits, policy: ExitPolicy
) -> RestingWish:
    """Give the stop that should rest: all that no other sale may still fill, on the tick that risks less."""
    sales = [each.leaves_quantity for each in orders if each.side is Side.SELL and not each.is_resting]
    ticks = (resting_level(known, policy) / instrument.tick_size).to_integral_value(ROUND_CEILING)
    trigger = max(ticks, Decimal(1)) * instrument.tick_size
    quantity = floor_quantity(known.quantity - sum(sales, ZERO), instrument.lot_size)
    is_enough = quantity >= instrument.quantity_min and quantity * trigger >= instrument.notional_min
    return RestingWish(
        quantity if is_enough else ZERO,
        trigger,
        step=trigger * limits.resting_step_pct / _HUNDRED,
        apart=timedelta(seconds=limits.resting_apart_s_min),
    )


def resting_level(known: Protection, policy: ExitPolicy) -> Decimal:
    """Give the highest price at which the gate's own stops, the trailing one too, sell without asking anybody."""
    kinds = (ExitKind.STOP_LOSS, ExitKind.TRAILING_STOP)
    return max(price for kind in kinds if (price := unasked_price(known, kind, policy)) is not None)


def resting_step(
    known: Protection, wish: RestingWish, orders: Sequence[OpenOrder], last_price: Decimal | None, now: datetime
) -> Step:
    """Keep the resting stop in step with the position: take a wrong one off, and place one where there is none.

    Nothing is placed at or above the market, where the venue would refuse it, and the gate's own stop is firing.
    """
    if known.state is not ProtectionState.OPEN:
        return Step.WAIT
    can_rest = last_price is not None and last_price > wish.trigger_price
    resting = next((order for order in orders if order.is_resting), None)
    if resting is not None:
        is_left = resting.cancel_asked_at is not None or not _is_wrong(resting, wish, orders, can_rest, now)
        return Step.WAIT if is_left else Step.CANCEL
    if any(now - order.approved_at < SETTLING for order in orders if _adds(order)) or wish.quantity <= 0:
        return Step.WAIT
    if known.next_resting_at is not None and now < known.next_resting_at:
        return Step.WAIT
    return Step.REST if can_rest else Step.WAIT


def is_too_large(orders: Sequence[OpenOrder], wish: RestingWish) -> bool:
    """Say whether the stop that rests would sell more than there is to sell: it goes, whatever comes after it."""
    return any(
        order.wanted_quantity is None or order.wanted_quantity > wish.quantity for order in orders if order.is_resting
    )


def resting_retry(refusals: int) -> timedelta:
    """Give the wait after so many refusals in a row, by the gate or by the venue: doubling up to half a minute."""
    wait: timedelta = _RETRY * 2 ** min(max(refusals - 1, 0), 10)
    return min(wait, _RETRY_MAX)


def is_to_be_told(known: Protection, now: datetime) -> bool:
    """Say whether people are to hear that no stop has rested for too long; once is enough."""
    return known.naked_since is not None and not known.is_naked_told and now - known.naked_since >= NAKED_MAX


def naked(known: Protection, since: datetime) -> Protection:
    """Begin to count how long neither a stop nor an exit order is at the venue."""
    return known if known.naked_since is not None else replace(known, naked_since=since, version=known.version + 1)


def covered(known: Protection) -> Protection:
    """Note that a stop or an exit order is at the venue."""
    return replace(known, naked_since=None, is_naked_told=False, resting_refusals=0, version=known.version + 1)


def told_naked(known: Protection) -> Protection:
    """Note that people were told that no stop has rested for too long."""
    return replace(known, is_naked_told=True, version=known.version + 1)


def rested(known: Protection) -> Protection:
    """Note that a stop was approved to rest at the venue; until it is there, the position is naked."""
    return replace(known, resting_attempts=known.resting_attempts + 1, next_resting_at=None, version=known.version + 1)


def resting_refused(known: Protection, until: datetime, *, attempts: int = 0) -> Protection:
    """Note that a resting stop was denied, which is an attempt that made no order, or refused by the venue."""
    return replace(
        known,
        resting_attempts=known.resting_attempts + attempts,
        resting_refusals=known.resting_refusals + 1,
        next_resting_at=until,
        version=known.version + 1,
    )


def _is_wrong(
    resting: OpenOrder, wish: RestingWish, orders: Sequence[OpenOrder], can_rest: bool, now: datetime
) -> bool:
    if resting.wanted_quantity is None or resting.trigger_price is None or resting.wanted_quantity > wish.quantity:
        return True
    if not can_rest:
        return False
    is_young = now - resting.approved_at < wish.apart
    if resting.wanted_quantity < wish.quantity:
        return not is_young or not any(_adds(order) for order in orders)
    return not is_young and abs(wish.trigger_price - resting.trigger_price) > wish.step


def _adds(order: OpenOrder) -> bool:
    return order.side is Side.BUY and order.is_own
