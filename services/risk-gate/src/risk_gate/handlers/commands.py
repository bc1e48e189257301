"""Carries out what people ask for: one transaction each."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from risk_gate.domain.situation import Account
from risk_gate.domain.stages import GLOBAL, CurrentStage, StageChange, one_step_up, refusal_to_raise
from risk_gate.handlers.flattening import flatten
from risk_gate.handlers.granting import release, set_limits
from risk_gate.handlers.postures import set_posture
from risk_gate.handlers.refusing import is_alone, people_of, refusal
from risk_gate.handlers.stages import cancel_open, cancel_request, lower, set_stage
from risk_gate.ports import LedgerPort, World
from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.types import Scope, Stage

Action = Callable[[Command, LedgerPort, World], Awaitable[None]]


async def on_command(command: Command, world: World) -> None:
    """Carry out a command that concerns the gate; other commands are for other services."""
    action = _ACTIONS.get(command.command)
    if action is None:
        return
    async with world.open_ledger() as ledger:
        if await ledger.first_time(command):
            await action(command, ledger, world)


async def _halt(command: Command, ledger: LedgerPort, world: World) -> None:
    """Stop sends and take every open order of the scope off the venue, in one transaction."""
    await ledger.lock_accounts()
    await _bring_down(command, Stage.HALTED, ledger, world)


async def _bring_down(command: Command, stage: Stage, ledger: LedgerPort, world: World) -> None:
    change = _change(command, stage)
    if not await lower(change, ledger, world, command) and stage.severity >= Stage.HALTED.severity:
        # It is that strict already. Who halts again wants the orders gone that a cancel did not reach.
        await cancel_open(change, ledger, world, command)


async def _resume(command: Command, ledger: LedgerPort, world: World) -> None:
    """Go one step up: to the very stage that was approved, where the command names it."""
    accounts = await ledger.lock_accounts()
    current = await ledger.stage(command.scope, _scope_id(command))
    step = one_step_up(current.stage) if current else Stage.NORMAL
    wanted = command.values.get("stage", step)
    await _raise(command, current, Stage(wanted) if wanted in set(Stage) else step, ledger, world, accounts=accounts)


async def _set_stage(command: Command, ledger: LedgerPort, world: World) -> None:
    """Go down at once, or up one step."""
    wanted = command.values.get("stage", "")
    if wanted not in set(Stage):
        ledger.publish(refusal(command, "stage_refused", f"there is no stage {wanted!r}", world))
        return
    accounts = await ledger.lock_accounts()
    stage = Stage(wanted)
    current = await ledger.stage(command.scope, _scope_id(command))
    if current is not None and stage.severity < current.stage.severity:
        await _raise(command, current, stage, ledger, world, accounts=accounts)
    else:
        await _bring_down(command, stage, ledger, world)


async def _raise(
    command: Command,
    current: CurrentStage | None,
    wanted: Stage,
    ledger: LedgerPort,
    world: World,
    *,
    accounts: Sequence[tuple[Account, timedelta | None]],
) -> None:
    """Go up, if all that asks for is there. The accounts are locked."""
    if is_alone(command, ledger, world, current.stage if current else Stage.NORMAL):
        return
    concerned = [row for row in accounts if _concerns(command, row[0])]
    reason = refusal_to_raise(current, wanted, concerned, world.clock.now())
    if reason is None:
        await set_stage(_change(command, wanted), current, ledger, world, command)
    else:
        code = "resume_refused" if command.command is CommandName.RESUME else "stage_refused"
        ledger.publish(refusal(command, code, reason, world))


async def _cancel(command: Command, ledger: LedgerPort, world: World) -> None:
    order = await ledger.open_order(command.subject)
    if order is None:
        ledger.publish(refusal(command, "cancel_refused", "no open order has this id", world))
    else:
        ledger.publish(cancel_request(_change(command, Stage.NORMAL), *order, world, command))


def _concerns(command: Command, account: Account) -> bool:
    subjects = {Scope.ACCOUNT: account.account_id, Scope.VENUE: account.venue}
    return subjects.get(command.scope, command.subject) == command.subject


def _change(command: Command, stage: Stage) -> StageChange:
    reason = command.reason.replace("\x00", "") or f"{command.command} by {command.requested_by}"
    return StageChange(command.scope, _scope_id(command), stage, reason, people_of(command))


def _scope_id(command: Command) -> str:
    return GLOBAL if command.scope is Scope.GLOBAL else command.subject


_ACTIONS: dict[CommandName, Action] = {
    CommandName.HALT: _halt,
    CommandName.RESUME: _resume,
    CommandName.SET_STAGE: _set_stage,
    CommandName.SET_POSTURE: set_posture,
    CommandName.SET_LIMITS: set_limits,
    CommandName.RELEASE: release,
    CommandName.CANCEL_ORDER: _cancel,
    CommandName.FLATTEN: flatten,
}
