"""Closes positions without being asked: each function is one transaction, or a part of one that locked the account.

What an exit does follows from its row alone, so any replica goes on where another stopped: a tick, a fill, the end of
an order, and the sweep all end in the same `advance`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate.domain import protection as protections
from risk_gate.domain.assess import UNJUDGED
from risk_gate.domain.exit_wish import MARKET_FROM, ExitWish
from risk_gate.domain.exits import Step, asks_first, exit_kind, gives_up, must_go, next_step
from risk_gate.domain.protection import Protection
from risk_gate.domain.sizing import floor_quantity
from risk_gate.domain.stages import OWNER
from risk_gate.domain.watch import Hit
from risk_gate.handlers.deciding import decide
from risk_gate.handlers.making_way import cancel_all, key_of
from risk_gate.ports import LedgerPort, World
from risk_gate.ports.exits import ExitOrder
from sigmax.schemas.control import Alert
from sigmax.schemas.market import Instrument, moment
from sigmax.schemas.orders import OrderApproved, OrderDenied
from sigmax.schemas.signals import ExitJudgementRequested, Signal
from sigmax.schemas.types import Action, AlertLevel, ExitKind

_LIFETIME = timedelta(seconds=30)
_BY_PRICE = frozenset({ExitKind.STOP_LOSS, ExitKind.TRAILING_STOP, ExitKind.TAKE_PROFIT})


@dataclass(frozen=True, slots=True)
class Seen:
    """The price behind an exit, and since when the platform had it."""

    price: Decimal
    received_at: datetime
    market_time: datetime


async def on_hit(hit: Hit, world: World) -> None:
    """Close a position whose level a tick has reached, or ask first where the account's policy says so.

    The row decides: the copy in memory may be older than a fill, and another replica may have been faster.
    """
    seen = Seen(hit.price, moment(hit.received_ns), moment(hit.ts_ns))
    async with world.open_ledger() as ledger:
        await ledger.lock_account(hit.protection.account_id)
        known = await ledger.protection(hit.protection.protection_id)
        if known is None:
            return
        known = replace(known, best_price=max(known.best_price, hit.protection.best_price))
        after = await fire(known, seen, ledger, world)
    if after is not None:
        world.exits.watch.keep(after)


async def fire(known: Protection, seen: Seen, ledger: LedgerPort, world: World) -> Protection | None:
    """Act on a price: None where it reaches no level."""
    now = world.clock.now()
    kind = exit_kind(known, seen.price, now)
    if kind is None:
        return None
    if asks_first(known, kind, world.exits.rules.policy):
        after = _ask(known, kind, seen, ledger, world)
        await ledger.keep_protection(after)
        return after
    return await advance(protections.exiting(known, kind, seen.price, seen.received_at), seen, ledger, world)


async def advance(known: Protection, seen: Seen | None, ledger: LedgerPort, world: World) -> Protection:
    """Do the next thing for a position that is being closed, and store where it stands.

    Without `seen` the newest quote is taken; where there is none, nothing is sold, and the sweep comes again.
    """
    now, rules = world.clock.now(), world.exits.rules
    seen = seen or await newest(known.instrument_id, world)
    orders = await ledger.orders_of(key_of(known))
    step = next_step(known, orders, now, rules)
    if seen is not None and gives_up(known, seen.price):
        # At once, whatever it waits for: its stop is not watched as long as a profit is being taken.
        known = protections.stood_down(known)
    elif step is Step.CANCEL:
        await cancel_all(known, [order for order in orders if must_go(order)], ledger, world)
    elif step is Step.STUCK and not protections.is_held_up_told(known, now):
        ledger.publish(_not_filled(known, "other sales of it have not ended, and nothing is free", world))
        known = protections.held_up(known, now)
    elif step is Step.SELL and seen is not None:
        known = await _sell(known, seen, ledger, world)
    await ledger.keep_protection(known)
    return known


async def _sell(known: Protection, seen: Seen, ledger: LedgerPort, world: World) -> Protection:
    kind, now, rules = known.exit_kind or ExitKind.FLATTEN, world.clock.now(), world.exits.rules
    is_first = known.next_attempt_at is None
    if not is_first and await _is_dust(known, seen, world):
        # Most exits leave some, for fees are taken in the base asset; the first attempt is spared the look.
        return await end(protections.closed(known), ledger, world)
    if is_first and known.fired_at is not None:
        # Whatever it waited for meanwhile, this is how long the exit took.
        seen = replace(seen, received_at=known.fired_at)
    wish = ExitWish(kind, known.escalation, rules.slippage_max_pct)
    verdict = await decide(signal_of(known, kind, seen, now), UNJUDGED, ledger, world, wish)
    if isinstance(verdict, OrderApproved):
        await ledger.keep_exit_order(
            ExitOrder(verdict.client_order_id, known.protection_id, kind, False, None, None, now)
        )
        if is_first and kind in _BY_PRICE:
            world.exits.meter.exited(verdict, kind)
    refusal = verdict.text if isinstance(verdict, OrderDenied) else ""
    if refusal and await _is_dust(known, seen, world):
        return await end(protections.closed(known), ledger, world)
    if refusal or known.escalation:
        ledger.publish(_not_filled(known, refusal or "the attempt before did not sell all", world))
    return protections.attempted(known, now, refusal=refusal, retry=rules.retry)


async def _is_dust(known: Protection, seen: Seen, world: World) -> bool:
    instrument, _ = await world.market.look(known.instrument_id)
    return instrument is not None and is_dust(known.quantity, seen.price, instrument)


def signal_of(known: Protection, kind: ExitKind | str, seen: Seen, now: datetime) -> Signal:
    """Give an exit the shape of a wish; it is decided on here and published nowhere."""
    exit_id = known.exit_id(kind)
    return Signal(
        message_id=exit_id,
        correlation_id=exit_id,
        occurred_at=now,
        producer=OWNER,
        strategy_id=known.strategy_id,
        strategy_version=known.strategy_version,
        account_id=known.account_id,
        instrument_id=known.instrument_id,
        action=Action.CLOSE,
        strength=Decimal(1),
        reference_price=seen.price,
        reason=f"{kind} of a position entered at {known.entry_price:.8f}: the price is {seen.price}",
        snapshot_id=known.protection_id,
        market_time=seen.market_time,
        tick_received_at=seen.received_at,
        valid_until=now + _LIFETIME,
    )


async def newest(instrument_id: str, world: World) -> Seen | None:
    """Give the newest price that anybody has, whatever its age: the decision looks at that."""
    quote = (await world.market.quotes({instrument_id})).get(instrument_id)
    return None if quote is None else Seen(quote.last, moment(quote.received_ns), moment(quote.ts_ns))


def is_dust(quantity: Decimal, price: Decimal, instrument: Instrument) -> bool:
    """Say whether a quantity is smaller than the smallest order."""
    lots = floor_quantity(quantity, instrument.lot_size)
    return lots < max(instrument.quantity_min, instrument.lot_size) or lots * price < instrument.notional_min


async def end(known: Protection, ledger: LedgerPort, world: World) -> Protection:
    """Put on record what an exit has closed."""
    if known.exit_kind is not None and known.exit_kind is not ExitKind.FLATTEN:
        await ledger.add_stop_out(known, world.clock.now())
    return known


def _ask(known: Protection, kind: ExitKind, seen: Seen, ledger: LedgerPort, world: World) -> Protection:
    now = world.clock.now()
    until = now + world.exits.rules.vote
    exit_id = known.exit_id(kind)
    ledger.publish(
        ExitJudgementRequested(
            **ExitJudgementRequested.first(str(exit_id), now, correlation_id=exit_id),
            exit_id=exit_id,
            account_id=known.account_id,
            strategy_id=known.strategy_id,
            instrument_id=known.instrument_id,
            kind=kind,
            quantity=known.quantity,
            entry_price=known.entry_price,
            trigger_price=known.target_price if kind is ExitKind.TAKE_PROFIT else known.stop_price,
            last_price=seen.price,
            deadline_at=until,
        )
    )
    return protections.asking(known, kind, seen.price, seen.received_at, until)


def _not_filled(known: Protection, why: str, world: World) -> Alert:
    is_market = known.escalation >= MARKET_FROM
    key = f"exit_not_filled:{known.protection_id}:{known.attempts}:{known.version}"
    return Alert(
        **Alert.first(key, world.clock.now()),
        producer=OWNER,
        level=AlertLevel.CRITICAL if is_market else AlertLevel.DANGER,
        code="exit_not_filled",
        subject=f"{known.strategy_id} {known.instrument_id}",
        text=(
            f"The {known.exit_kind} of {known.quantity:f} {known.instrument_id} of {known.strategy_id} is not done"
            f" after {known.attempts} attempts: {why}"
        )[:2000],
        values={"account_id": known.account_id, "attempts": str(known.attempts), "quantity": f"{known.quantity:f}"},
        dedupe_key=f"exit_not_filled:{known.protection_id}:{'market' if is_market else 'limit'}",
    )
