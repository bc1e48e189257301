"""Holds every tick against the levels of what is held."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog

from risk_gate.domain.watch import Hit
from risk_gate.handlers.exits import on_hit
from risk_gate.ports import World
from sigmax.schemas.market import TickBatch

log = structlog.get_logger()


class TicksPort(Protocol):
    """Where ticks come from."""

    def batches(self) -> AsyncIterator[TickBatch]:
        """Give one batch after the other."""
        ...


async def watch_ticks(world: World, ticks: TicksPort) -> None:
    """Act on each tick that reaches a level, without making the ticks behind it wait."""
    acting: dict[UUID, asyncio.Task[None]] = {}
    try:
        async for batch in ticks.batches():
            for hit in world.exits.watch.hold(batch, world.clock.now_ns()):
                key = hit.protection.protection_id
                if key not in acting:
                    acting[key] = asyncio.create_task(_act(hit, world))
                    acting[key].add_done_callback(partial(_forget, acting, key))
    finally:
        for task in list(acting.values()):
            task.cancel()


def _forget(acting: dict[UUID, asyncio.Task[None]], key: UUID, _: asyncio.Task[None]) -> None:
    acting.pop(key, None)


async def _act(hit: Hit, world: World) -> None:
    try:
        await on_hit(hit, world)
    except Exception:
        # The next tick, or the sweep, comes to it again.
        log.exception("exit_not_made", protection_id=str(hit.protection.protection_id))
