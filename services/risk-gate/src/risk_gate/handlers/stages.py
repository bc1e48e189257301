"""Changes how much trading is allowed, and tells it."""

from risk_gate.domain.stages import CurrentStage, StageChange, stops_sends, stricter
from risk_gate.ports import LedgerPort, World
from sigmax.schemas.base import Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested
from sigmax.schemas.types import Stage

_NAME_LENGTH_MAX = 64
_REASON_LENGTH_MAX = 2000


async def lower(change: StageChange, ledger: LedgerPort, world: World, cause: Message | None = None) -> bool:
    """Bring a scope down to a stage, if it allows more than that now; True when it did.

    Call it with the accounts locked: each decision is then either before this, and its order is canceled where the
    stage stops sends, or after, and denied.
    """
    before = await ledger.stage(change.scope, change.scope_id)
    is_news = stricter(before.stage if before else None, change.stage)
    if is_news:
        await set_stage(change, before, ledger, world, cause)
        if stops_sends(change.stage):
            await cancel_open(change, ledger, world, cause)
    return is_news


async def set_stage(
    change: StageChange, before: CurrentStage | None, ledger: LedgerPort, world: World, cause: Message | None
) -> None:
    """Store a stage and tell everybody, whatever it was before."""
    now = world.clock.now()
    # Postgres keeps no NUL, and a halt must not fail for one.
    reason = change.reason.replace("\x00", "")[:_REASON_LENGTH_MAX]
    changed_by = change.changed_by[:_NAME_LENGTH_MAX]
    version = await ledger.set_stage(
        CurrentStage(change.scope, change.scope_id, change.stage, 0, changed_by, reason), now
    )
    key = f"{change.scope}:{change.scope_id}:{version}"
    envelope = StageChanged.first(key, now) if cause is None else StageChanged.after(cause, now, part=key)
    ledger.publish(
        StageChanged(
            **envelope,
            scope=change.scope,
            scope_id=change.scope_id,
            from_stage=before.stage if before else Stage.NORMAL,
            to_stage=change.stage,
            version=version,
            changed_by=changed_by,
            reason=reason,
        )
    )


async def cancel_open(change: StageChange, ledger: LedgerPort, world: World, cause: Message | None = None) -> int:
    """Ask for every order of a scope that may still fill to be taken off the venue; give how many there are."""
    orders = await ledger.open_orders(change.scope, change.scope_id)
    for client_order_id, account_id in orders:
        ledger.publish(cancel_request(change, client_order_id, account_id, world, cause))
    return len(orders)


def cancel_request(
    change: StageChange, client_order_id: str, account_id: str, world: World, cause: Message | None = None
) -> CancelRequested:
    """Ask for one order to be taken off the venue."""
    now = world.clock.now()
    key = f"{client_order_id}:{change.scope}:{change.scope_id}:{now.isoformat()}"
    envelope = (
        CancelRequested.first(key, now) if cause is None else CancelRequested.after(cause, now, part=client_order_id)
    )
    return CancelRequested(
        **envelope,
        client_order_id=client_order_id,
        account_id=account_id,
        requested_by=change.changed_by[:_NAME_LENGTH_MAX],
        reason=change.reason.replace("\x00", "")[:_REASON_LENGTH_MAX],
    )


async def tell_stages(world: World) -> None:
    """Say again how much trading is allowed: who sends orders stops when it has not heard so for a while."""
    async with world.open_ledger() as ledger:
        now = world.clock.now()
        for current in await ledger.stages():
            key = f"{current.scope}:{current.scope_id}:{current.version}:{int(now.timestamp())}"
            ledger.publish(
                StageChanged(
                    **StageChanged.first(key, now),
                    scope=current.scope,
                    scope_id=current.scope_id,
                    from_stage=current.stage,
                    to_stage=current.stage,
                    version=current.version,
                    changed_by=current.changed_by,
                    reason=current.reason,
                )
            )


async def show_stages(world: World) -> None:
    """Let operators see how much trading is allowed."""
    async with world.open_ledger() as ledger:
        world.meter.stages(await ledger.stages())
