"""Gives risk back, or takes it: limits and latches. Both need two people."""

from risk_gate.domain.limits import RiskLimits, changed_limits
from risk_gate.handlers.refusing import is_alone, notice, people_of, refusal
from risk_gate.ports import LedgerPort, World
from sigmax.schemas.control import Command
from sigmax.schemas.types import AlertLevel, Scope

_SHOWN_MAX = 40


async def set_limits(command: Command, ledger: LedgerPort, world: World) -> None:
    """Store the next version of an account's limits; it counts from the next decision on."""
    if is_alone(command, ledger, world):
        return
    accounts = [account.account_id for account, _ in await ledger.lock_accounts()]
    found = [name for name in accounts if command.scope is Scope.GLOBAL or name == command.subject]
    if not found:
        ledger.publish(refusal(command, "limits_refused", "no such account is known", world))
    for account_id in found:
        current = await ledger.limits_of(account_id)
        changed = "its limits cannot be read" if current is None else changed_limits(current, command.values)
        if isinstance(changed, RiskLimits):
            await ledger.add_limits(account_id, changed, people_of(command), world.clock.now())
            names = ", ".join(sorted(command.values))
            text = f"The limits of account {account_id} are at version {changed.version}: {names}."
            shown = {name: value[:200] for name, value in sorted(command.values.items())[:_SHOWN_MAX]}
            ledger.publish(notice(command, "limits_changed", text, world, level=AlertLevel.INFO, values=shown))
        else:
            ledger.publish(refusal(command, "limits_refused", changed, world))


async def release(command: Command, ledger: LedgerPort, world: World) -> None:
    """Take the latches off something, and count its orders and losses anew."""
    if is_alone(command, ledger, world):
        return
    await ledger.lock_accounts()
    latches = await ledger.release(command.scope, command.subject, people_of(command), world.clock.now())
    told = "; ".join(latch.reason for latch in latches) or "nothing was latched"
    text = f"{command.scope} {command.subject} was released by {people_of(command)}: {told}."
    ledger.publish(notice(command, "released", text, world, level=AlertLevel.INFO))
