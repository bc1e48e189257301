"""Keeps protections in step with fills and orders, within the transaction that enters them."""

from datetime import datetime
from decimal import Decimal

from risk_gate.domain import protection as protections
from risk_gate.domain import resting
from risk_gate.domain.assess import UNJUDGED
from risk_gate.domain.exit_wish import ExitWish, Resting
from risk_gate.domain.exits import Step
from risk_gate.domain.limits import POSTURES, START_LIMITS, PostureRule
from risk_gate.domain.protection import Bought, Levels, Protection, ProtectionState
from risk_gate.domain.situation import Judgement
from risk_gate.handlers import deciding
from risk_gate.handlers.exits import advance, end, newest, signal_of
from risk_gate.handlers.making_way import cancel_all, key_of, posture_rule
from risk_gate.ports import LedgerPort, World
from risk_gate.ports.exits import ExitOrder, PositionKey
from sigmax.schemas.orders import Fill, OrderApproved, OrderEvent
from sigmax.schemas.types import ExitKind, OrderStatus, Side, Submission


async def follow_fill(fill: Fill, ledger: LedgerPort, world: World) -> Protection | None:
    """Open, change, or close the protection of the position that a fill moved. The account is locked.

    What is held is a sum over fills, and the protection follows the sum: a fill that came twice moves neither.
    """
    key = PositionKey(fill.account_id, fill.strategy_id, fill.instrument_id)
    known = await ledger.protection_of(key)
    held = await ledger.held_by(key)
    if fill.side is Side.BUY:
        after = await _bought(known, fill, held, ledger, world)
    else:
        after = None if known is None else await _sold(known, fill, held, ledger, world)
    if after is not None:
        await ledger.keep_protection(after)
    return after


async def _bought(
    known: Protection | None, fill: Fill, held: Decimal, ledger: LedgerPort, world: World
) -> Protection | None:
    grown = held - (known.quantity if known else 0)
    if grown <= 0:
        return None
    levels = await ledger.levels(fill.client_order_id)
    rule = await _rule_for(fill.account_id, levels, ledger)
    bought = Bought(
        account_id=fill.account_id,
        strategy_id=fill.strategy_id,
        instrument_id=fill.instrument_id,
        price=fill.price,
        quantity=grown,
        at=fill.executed_at,
        key=f"{fill.venue}:{fill.execution_id}",
    )
    if known is not None:
        return protections.added_to(known, bought, levels, rule)
    return uncovered(protections.opened(bought, levels, rule), fill.executed_at, world)


def uncovered(known: Protection, since: datetime, world: World) -> Protection:
    """Begin to count how long no stop rests at the venue, where stops rest at all."""
    return resting.naked(known, min(since, world.clock.now())) if world.exits.rules.rests_stops else known


async def _rule_for(account_id: str, levels: Levels, ledger: LedgerPort) -> PostureRule:
    """Give the posture's numbers where the approval has none; else nobody asks for them."""
    if levels.stop_price is not None and levels.target_price is not None:
        return POSTURES[START_LIMITS.posture]
    return await posture_rule(account_id, ledger)


async def _sold(known: Protection, fill: Fill, held: Decimal, ledger: LedgerPort, world: World) -> Protection | None:
    if held >= known.quantity:
        return None
    order = await ledger.exit_order(fill.client_order_id)
    if order is not None:
        known = at_venue(known, world)
    if order is not None and order.is_resting and known.state is not ProtectionState.EXITING:
        # The venue was faster than our own watch: what it leaves is ours to sell.
        known = protections.exiting(known, ExitKind.STOP_LOSS, fill.price)
    known = protections.sold_from(known, fill.price, held)
    if not known.is_live:
        return await end(known, ledger, world)
    return await advance(known, None, ledger, world) if known.state is ProtectionState.EXITING else known


async def follow_event(event: OrderEvent, order: ExitOrder, ledger: LedgerPort, world: World) -> Protection | None:
    """Go on when an order of a protection has reached the venue or has ended. At an end the account is locked."""
    is_at_venue = event.submission is Submission.ACKED and not event.status.is_terminal
    if not is_at_venue and not event.status.is_terminal:
        return None
    known = await ledger.protection(order.protection_id)
    if known is None or (is_at_venue and (known.naked_since is None or order.ended_at is not None)):
        return None
    if is_at_venue:
        known = at_venue(known, world)
    if event.status.is_terminal and await ledger.exit_order_ended(order.client_order_id, world.clock.now()):
        known = await _ended(known, order, event, ledger, world)
    await ledger.keep_protection(known)
    return known


def at_venue(known: Protection, world: World) -> Protection:
    """Note that a stop or an exit order is at the venue: the position is naked no longer."""
    if known.naked_since is None:
        return known
    world.exits.meter.naked((world.clock.now() - known.naked_since).total_seconds())
    return resting.covered(known)


async def _ended(
    known: Protection, order: ExitOrder, event: OrderEvent, ledger: LedgerPort, world: World
) -> Protection:
    now = world.clock.now()
    if order.is_resting and known.is_live and event.status is not OrderStatus.FILLED:
        known = resting.naked(known, min(event.occurred_at, now))
        if event.status is not OrderStatus.CANCELED:
            known = resting.resting_refused(known, now + resting.resting_retry(known.resting_refusals + 1))
        await decide_waiting(key_of(known), ledger, world)
        if known.state is ProtectionState.OPEN:
            # The next one goes in the same transaction: nothing shortens a naked time more.
            return await keep_in_step(known, ledger, world)
    elif not order.is_resting and event.filled_quantity < event.quantity:
        known = protections.fell_short(known)
    return await advance(known, None, ledger, world) if known.state is ProtectionState.EXITING else known


async def decide_waiting(key: PositionKey, ledger: LedgerPort, world: World) -> None:
    """Decide on the sales that waited; while something is still in their way, they wait again."""
    for sale in await ledger.waiting(key):
        await ledger.waits_no_more(sale.signal.message_id)
        await deciding.decide(sale.signal, Judgement(size_factor=sale.size_factor), ledger, world)


async def keep_in_step(known: Protection, ledger: LedgerPort, world: World) -> Protection:
    """Take a resting stop off that does not fit the position any more, or place one where there is none."""
    now, rules = world.clock.now(), world.exits.rules
    instrument, quote = await world.market.look(known.instrument_id)
    limits = await ledger.limits_of(known.account_id)
    if instrument is None or limits is None or not rules.rests_stops:
        return known
    orders = list(await ledger.orders_of(key_of(known)))
    wish = resting.resting_wish(known, orders, instrument, limits, rules.policy)
    step = resting.resting_step(known, wish, orders, quote.last if quote else None, now)
    seen = await newest(known.instrument_id, world)
    if step is Step.WAIT or seen is None or await ledger.waiting(key_of(known)):
        return known
    asked = ExitWish(ExitKind.STOP_LOSS, resting=Resting(wish.trigger_price))
    signal = signal_of(known, protections.RESTING, seen, now)
    if step is Step.CANCEL:
        # One that would only be better elsewhere stays, as long as its successor would be denied.
        if resting.is_too_large(orders, wish) or await deciding.stands(signal, ledger, world, asked):
            await cancel_all(known, [order for order in orders if order.is_resting], ledger, world)
        return known
    verdict = await deciding.decide(signal, UNJUDGED, ledger, world, asked)
    if isinstance(verdict, OrderApproved):
        note = ExitOrder(
            verdict.client_order_id,
            known.protection_id,
            ExitKind.STOP_LOSS,
            True,
            wish.quantity,
            wish.trigger_price,
            now,
        )
        await ledger.keep_exit_order(note)
        known = resting.rested(known)
    else:
        until = now + resting.resting_retry(known.resting_refusals + 1)
        known = resting.resting_refused(known, until, attempts=1)
    known = resting.naked(known, now)
    await ledger.keep_protection(known)
    return known
