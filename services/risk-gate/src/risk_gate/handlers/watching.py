"""Watches what may go wrong, every second and in every replica, and brings trading down: never up."""

from datetime import datetime

from risk_gate.domain.ladder import climbed, eased, rungs
from risk_gate.domain.stages import StageChange, stricter
from risk_gate.domain.watchdogs import account_downs, blind_down, reconciliation_down
from risk_gate.handlers.ladder import downs_of, follow_rungs, see
from risk_gate.handlers.stages import lower
from risk_gate.ports import LedgerPort, World
from sigmax.runtime.faults import is_passing
from sigmax.schemas.orders import Reconciled
from sigmax.schemas.types import Scope, Stage


async def watch(world: World) -> None:
    """Look once, and act on what is seen.

    A watchdog that cannot compute halts, and does not carry on. Only a fault that will pass, a server that is away, is
    waited out: nothing is decided either while it lasts. Whatever it was, it is raised again, and logged.
    """
    now = world.clock.now()
    since = world.vigil.look(now)
    try:
        await _look(since, world)
    except Exception as error:
        if is_passing(error):
            world.vigil.missed(now)
        else:
            await _halt_all(f"the watch failed: {type(error).__name__}", world)
        raise
    blind = world.vigil.saw(world.clock.now())
    if blind is not None:
        async with world.open_ledger() as ledger:
            for account, _ in await ledger.lock_accounts():
                await lower(blind_down(account.account_id, blind), ledger, world)


async def on_failed_reconciliation(reconciled: Reconciled, ledger: LedgerPort, world: World) -> None:
    """Halt an account whose books and venue disagree, until a person has looked. Call it with the account locked."""
    down = reconciliation_down(reconciled)
    if down is not None:
        await lower(down, ledger, world, reconciled)


async def _look(since: datetime, world: World) -> None:
    """Hold what is seen against what is on record; as long as nothing is new, nothing is locked."""
    async with world.open_ledger() as ledger:
        accounts = await ledger.watched(world.clock.now())
        recorded = await ledger.ladder_steps()
        stages = {(each.scope, each.scope_id): each.stage for each in await ledger.stages()}
    view, prices = await see(accounts, since, world)
    found = rungs(view, world.ladder, world.clock.now())
    downs = [down for each in accounts for down in account_downs(each, prices)] + downs_of(found)
    news = [down for down in downs if stricter(stages.get((down.scope, down.scope_id)), down.stage)]
    if news or climbed(found, recorded) or eased(found, recorded):
        async with world.open_ledger() as ledger:
            await ledger.lock_accounts()
            for down in news:
                await lower(down, ledger, world)
            await follow_rungs(found, ledger, world)


async def _halt_all(reason: str, world: World) -> None:
    """Halt every account, reading as little as that takes."""
    async with world.open_ledger() as ledger:
        for current in await ledger.stages():
            if current.scope is Scope.ACCOUNT:
                await ledger.reconciled_at(current.scope_id)
                await lower(StageChange(Scope.ACCOUNT, current.scope_id, Stage.HALTED, reason), ledger, world)
