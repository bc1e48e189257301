"""Tells how much trading is allowed."""

from risk_gate.ports import World
from sigmax.schemas.control import StageChanged


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
