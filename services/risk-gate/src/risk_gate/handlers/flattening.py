"""Ends with nothing held, within a scope: cancel, then close, then say what is left.

A flatten marks every position of its scope as one that is being closed. From there on it is an exit like any other:
retried, escalated, told. What is done here is the beginning, and the end.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import uuid5

from risk_gate.domain import protection as protections
from risk_gate.domain.flattening import UNOWNED, Flattening, Left, has_ended, outcome
from risk_gate.domain.protection import Bought, Levels, ProtectionState
from risk_gate.domain.stages import GLOBAL, OWNER, PLATFORM, StageChange
from risk_gate.handlers.exits import is_dust, newest
from risk_gate.handlers.making_way import posture_rule
from risk_gate.handlers.stages import cancel_request, lower
from risk_gate.ports import LedgerPort, World
from risk_gate.ports.exits import Holding
from sigmax.schemas.base import NAMESPACE, Message
from sigmax.schemas.control import Alert, Command
from sigmax.schemas.types import AlertLevel, ExitKind, Scope, Stage

_DUST = "smaller than the smallest order"


async def flatten(command: Command, ledger: LedgerPort, world: World) -> None:
    """Carry out a person's FLATTEN; `values["everything"]` = `true` also sells what no strategy of ours bought."""
    await start_flattening(
        ledger,
        world,
        command.scope,
        GLOBAL if command.scope is Scope.GLOBAL else command.subject,
        why=command.reason or f"flatten by {command.requested_by}",
        requested_by=command.requested_by,
        cause=command,
        everything=command.values.get("everything") == "true",
    )


async def start_flattening(
    ledger: LedgerPort,
    world: World,
    scope: Scope,
    scope_id: str,
    *,
    why: str,
    requested_by: str = PLATFORM,
    cause: Message | None = None,
    everything: bool = False,
) -> None:
    """Let nothing be added any more, take every open order of the scope off, and begin to close its positions."""
    await ledger.lock_accounts()
    now = world.clock.now()
    change = StageChange(scope, scope_id, Stage.REDUCING, why, requested_by)
    await lower(change, ledger, world, cause)
    for client_order_id, account_id in await ledger.open_orders(scope, scope_id):
        await ledger.cancel_asked(client_order_id, now)
        ledger.publish(cancel_request(change, client_order_id, account_id, world, cause))
    key = f"flattening:{scope}:{scope_id}:{now.isoformat()}"
    flattening_id = uuid5(NAMESPACE, key) if cause is None else cause.message_id
    flattening = Flattening(
        flattening_id, scope, scope_id, requested_by[:64], why.replace("\x00", "")[:2000], now, everything=everything
    )
    await ledger.start_flattening(flattening)
    if everything:
        await _take_unowned(flattening, ledger, world)
    await _mark(flattening, ledger)


async def follow_flattenings(world: World) -> None:
    """See how far each flattening is; end it when nothing is left that could be sold, or when its time is over."""
    async with world.open_ledger() as ledger:
        for flattening in await ledger.flattenings():
            await ledger.lock_accounts()
            await _mark(flattening, ledger)
            holdings = await ledger.holdings_in(flattening.scope, flattening.scope_id)
            left = [await _left(holding, world) for holding in holdings if _counts(holding, flattening)]
            open_orders = len(await ledger.open_orders(flattening.scope, flattening.scope_id))
            now = world.clock.now()
            after = replace(flattening, remaining=tuple(each.shown() for each in left))
            if has_ended(left, open_orders, flattening.started_at, now, world.exits.rules.flatten):
                is_flat = open_orders == 0 and all(each.is_dust for each in left)
                after = replace(after, ended_at=now, is_flat=is_flat)
                ledger.publish(_alert(after, left, open_orders))
            await ledger.keep_flattening(after)


async def _mark(flattening: Flattening, ledger: LedgerPort) -> None:
    """Have every position of the scope closed, those of orders that filled on the way out among them."""
    for known in await ledger.protections_in(flattening.scope, flattening.scope_id):
        if known.state is not ProtectionState.EXITING:
            await ledger.keep_protection(protections.exiting(known, ExitKind.FLATTEN, known.entry_price))


async def _take_unowned(flattening: Flattening, ledger: LedgerPort, world: World) -> None:
    """Guard what no strategy bought under a name of its own, so that it is closed like everything else."""
    for held in await ledger.give_unowned(flattening.scope, flattening.scope_id, UNOWNED):
        seen = await newest(held.key.instrument_id, world)
        if seen is None or await ledger.protection_of(held.key) is not None:
            continue
        bought = Bought(
            account_id=held.key.account_id,
            strategy_id=UNOWNED,
            instrument_id=held.key.instrument_id,
            price=seen.price,
            quantity=held.quantity,
            at=flattening.started_at,
            key=str(flattening.flattening_id),
        )
        rule = await posture_rule(held.key.account_id, ledger)
        await ledger.keep_protection(protections.opened(bought, Levels(), rule))


def _counts(holding: Holding, flattening: Flattening) -> bool:
    return flattening.everything or holding.key.strategy_id != UNOWNED


async def _left(holding: Holding, world: World) -> Left:
    instrument, quote = await world.market.look(holding.key.instrument_id)
    price = None if quote is None else quote.last
    makes_dust = instrument is not None and price is not None and is_dust(holding.quantity, price, instrument)
    if makes_dust:
        reason = _DUST
    elif price is None:
        reason = "it has no price"
    else:
        reason = holding.refusal or "an order of it has not ended"
    return Left(holding.key.strategy_id, holding.key.instrument_id, holding.quantity, reason, makes_dust)


def _alert(flattening: Flattening, left: Sequence[Left], open_orders: int) -> Alert:
    code = "flatten_finished" if flattening.is_flat else "flatten_incomplete"
    scope = flattening.scope if flattening.scope is Scope.GLOBAL else f"{flattening.scope} {flattening.scope_id}"
    quantities = {f"{each.strategy_id} {each.instrument_id}": _shown(each.quantity) for each in left[:40]}
    return Alert(
        **Alert.first(f"{code}:{flattening.flattening_id}", flattening.ended_at or flattening.started_at),
        producer=OWNER,
        level=AlertLevel.WARNING if flattening.is_flat else AlertLevel.CRITICAL,
        code=code,
        subject=scope,
        text=f"Flatten of {scope}, asked for by {flattening.requested_by}. {outcome(left, open_orders)}"[:2000],
        values=quantities,
        dedupe_key=f"{code}:{flattening.flattening_id}",
    )


def _shown(quantity: Decimal) -> str:
    return f"{quantity:f}"
