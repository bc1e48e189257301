"""Carries out what people ask for: one transaction each."""

from risk_gate.domain.stages import GLOBAL, CurrentStage, refusal_to_resume
from risk_gate.ports import LedgerPort, World
from sigmax.schemas.control import Alert, Command, CommandName, StageChanged
from sigmax.schemas.orders import CancelRequested
from sigmax.schemas.types import AlertLevel, Scope, Stage


async def on_command(command: Command, world: World) -> None:
    """Halt, resume, or cancel; other commands are for other services."""
    actions = {CommandName.HALT: _halt, CommandName.RESUME: _resume, CommandName.CANCEL_ORDER: _cancel}
    action = actions.get(command.command)
    if action is None:
        return
    async with world.open_ledger() as ledger:
        if await ledger.first_time(command):
            await action(command, ledger, world)


async def _halt(command: Command, ledger: LedgerPort, world: World) -> None:
    """Stop sends and take every open order of the scope off the venue, in one transaction.

    With the accounts locked, each decision is either before this, and its order is cancelled, or after, and denied.
    """
    await ledger.lock_accounts()
    await _change_stage(command, Stage.HALTED, ledger, world)
    scope_id = _scope_id(command)
    for client_order_id, account_id in await ledger.open_orders(command.scope, scope_id):
        ledger.publish(_cancel_request(command, client_order_id, account_id, world))


async def _resume(command: Command, ledger: LedgerPort, world: World) -> None:
    accounts = await ledger.lock_accounts()
    scope_id = _scope_id(command)
    if command.scope is Scope.ACCOUNT:
        accounts = [row for row in accounts if row[0].account_id == scope_id]
    current = await ledger.stage(command.scope, scope_id)
    refusal = refusal_to_resume(current, accounts, world.clock.now())
    if refusal is None:
        await _change_stage(command, Stage.NORMAL, ledger, world)
    else:
        text = f"Trading stays as it is for {command.scope} {scope_id}: {refusal}."
        ledger.publish(_alert(command, "resume_refused", text, world))


async def _cancel(command: Command, ledger: LedgerPort, world: World) -> None:
    order = await ledger.open_order(command.subject)
    if order is None:
        text = f"Order {command.subject} was not cancelled: no open order has this id."
        ledger.publish(_alert(command, "cancel_refused", text, world))
    else:
        ledger.publish(_cancel_request(command, *order, world))


async def _change_stage(command: Command, stage: Stage, ledger: LedgerPort, world: World) -> None:
    scope_id, now = _scope_id(command), world.clock.now()
    before = await ledger.stage(command.scope, scope_id)
    reason = _reason(command)
    after = CurrentStage(command.scope, scope_id, stage, 0, command.requested_by, reason)
    version = await ledger.set_stage(after, now)
    ledger.publish(
        StageChanged(
            **StageChanged.after(command, now),
            scope=command.scope,
            scope_id=scope_id,
            from_stage=before.stage if before else Stage.NORMAL,
            to_stage=stage,
            version=version,
            changed_by=command.requested_by,
            reason=reason,
        )
    )


def _scope_id(command: Command) -> str:
    return GLOBAL if command.scope is Scope.GLOBAL else command.subject


def _reason(command: Command) -> str:
    """Give the person's reason; Postgres keeps no NUL, and a halt must not fail for one."""
    return command.reason.replace("\x00", "") or f"{command.command} by {command.requested_by}"


def _cancel_request(command: Command, client_order_id: str, account_id: str, world: World) -> CancelRequested:
    return CancelRequested(
        **CancelRequested.after(command, world.clock.now(), part=client_order_id),
        client_order_id=client_order_id,
        account_id=account_id,
        requested_by=command.requested_by,
        reason=_reason(command),
    )


def _alert(command: Command, code: str, text: str, world: World) -> Alert:
    return Alert(
        **Alert.after(command, world.clock.now(), part=code),
        producer="risk_gate",
        level=AlertLevel.WARNING,
        code=code,
        subject=command.subject,
        text=text,
        dedupe_key=f"{code}:{command.scope}:{command.subject}",
    )
