"""When a position is closed without anybody asking, and what is done next about one that is being closed.

Pure: a protection, a price, and the time in; a word out. A backtest and a test ask the same functions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from risk_gate.domain.protection import ZERO, Protection, ProtectionState, below
from sigmax.schemas.types import ExitKind, Side

TICK_AGE_MAX_NS = 2_000_000_000
"""An older tick tells what the price was: a level it reaches fires nothing."""
_TICK_FUTURE_MAX_NS = 1_000_000_000
STOPS = frozenset({ExitKind.STOP_LOSS, ExitKind.TRAILING_STOP})


class ExitPolicy(StrEnum):
    """Who is asked before a level closes a position."""

    IMMEDIATE = "immediate"
    VOTE = "vote"
    """Judgement may hold it up, once and by a clear no before the deadline."""


@dataclass(frozen=True, slots=True)
class ExitRules:
    """How hard an exit tries, and how long it waits for others."""

    policy: ExitPolicy = ExitPolicy.IMMEDIATE
    vote: timedelta = timedelta(seconds=2)
    retry: timedelta = timedelta(seconds=2)
    """From one attempt to the next."""
    cancel_bound: timedelta = timedelta(seconds=5)
    """How long an exit waits for other sales of its position to end."""
    slippage_max_pct: Decimal = Decimal(5)
    rests_stops: bool = False
    """The venue has stop orders, and one rests there for each position."""
    flatten: timedelta = timedelta(seconds=60)
    """After which a flatten says what is left."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest tick of an instrument."""

    received_ns: int
    sequence: int
    price: Decimal


def is_news(seen: Seen | None, received_ns: int, sequence: int, now_ns: int) -> bool:
    """Say whether a tick tells what the price is now: not old, not from the future, not seen, not overtaken."""
    if not now_ns - TICK_AGE_MAX_NS <= received_ns <= now_ns + _TICK_FUTURE_MAX_NS:
        return False
    return seen is None or (received_ns, sequence) > (seen.received_ns, seen.sequence)


def exit_kind(known: Protection, price: Decimal, now: datetime) -> ExitKind | None:
    """Say which level a price or the time has reached, if any: the one that limits the loss first.

    A price that jumps over a level has reached it. What judgement spared fires again at its own, lower price.
    """
    if known.state is not ProtectionState.OPEN or price <= 0:
        return None
    if known.spared_price is not None and price <= known.spared_price:
        return known.spared
    trailing = known.trailing_price
    reached = (
        (ExitKind.STOP_LOSS, price <= known.stop_price),
        (ExitKind.TRAILING_STOP, trailing is not None and price <= trailing),
        (ExitKind.TAKE_PROFIT, price >= known.target_price),
        (ExitKind.TIME_STOP, known.closes_at is not None and now >= known.closes_at),
    )
    return next((kind for kind, is_reached in reached if is_reached and kind is not known.spared), None)


def unasked_price(known: Protection, kind: ExitKind, policy: ExitPolicy) -> Decimal | None:
    """Give the price at or below which a stop goes without asking anybody; None for a stop that is not there."""
    level = known.trailing_price if kind is ExitKind.TRAILING_STOP else known.stop_price
    if level is None:
        return None
    if kind is known.spared and known.spared_price is not None:
        return known.spared_price
    return below(known, kind) if policy is ExitPolicy.VOTE else level


def asks_first(known: Protection, kind: ExitKind, policy: ExitPolicy) -> bool:
    """Say whether judgement is asked before this exit. What was spared once goes unasked."""
    return policy is ExitPolicy.VOTE and kind is not known.spared


def gives_up(known: Protection, price: Decimal) -> bool:
    """Say whether an exit under way is dropped: only a profit that is no longer there to take."""
    return known.exit_kind is ExitKind.TAKE_PROFIT and price < known.target_price


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that may still fill: a position's own, or another strategy's buy of the same instrument."""

    client_order_id: str
    side: Side
    leaves_quantity: Decimal
    approved_at: datetime
    is_resting: bool = False
    wanted_quantity: Decimal | None = None
    """Of a resting stop: what it was asked to sell, before it was cut to the largest order."""
    trigger_price: Decimal | None = None
    cancel_asked_at: datetime | None = None
    is_own: bool = True
    is_passive: bool = False
    """It stays in the venue's book until its price comes."""


class Step(StrEnum):
    """What is done next."""

    WAIT = "wait"
    CANCEL = "cancel"
    """Take the resting stop, and the buys that a sale would meet, off the venue."""
    SELL = "sell"
    REST = "rest"
    """Place a stop at the venue, see `risk_gate.domain.resting`."""
    STUCK = "stuck"
    """Nothing is free to sell, and what holds it does not end: people must look."""


def next_step(known: Protection, orders: Iterable[OpenOrder], now: datetime, rules: ExitRules) -> Step:
    """Say what an exit does next. It never sells what another sale may still fill.

    A resting stop and buys of the instrument are canceled and seen canceled first, and other sales are waited for;
    after the bound only what they leave is sold.
    """
    known_orders = list(orders)
    if any(must_go(order) and order.cancel_asked_at is None for order in known_orders):
        return Step.CANCEL
    if any(now - (order.cancel_asked_at or order.approved_at) < rules.cancel_bound for order in known_orders):
        return Step.WAIT
    if free_quantity(known, known_orders) <= 0:
        return Step.STUCK
    if known.next_attempt_at is not None and now < known.next_attempt_at:
        return Step.WAIT
    return Step.SELL


def must_go(order: OpenOrder) -> bool:
    """Say whether an order is canceled before an exit sells: it would sell the same, or trade with the exit."""
    return order.is_resting or order.side is Side.BUY


def stands_in_way(order: OpenOrder) -> bool:
    """Say whether an order leaves the venue before a strategy's sale: it would sell the same, or trade with it."""
    return order.is_resting or (order.side is Side.BUY and order.is_passive)


def free_quantity(known: Protection, orders: Sequence[OpenOrder]) -> Decimal:
    """Give what no other sale of the position may still fill."""
    sold = sum((order.leaves_quantity for order in orders if order.side is Side.SELL), ZERO)
    return max(known.quantity - sold, ZERO)
