"""Runs one seed: plan, play, check; and says what became of each fault that struck."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sigmax.schemas.types import Submission
from sigmax_local.chaos.cells import Cell
from sigmax_local.chaos.simulation.checks import violations
from sigmax_local.chaos.simulation.gate import order_id_of
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.plan import Plan
from sigmax_local.chaos.simulation.quiet import silent
from sigmax_local.chaos.simulation.walk import plan_of
from sigmax_local.chaos.simulation.world import World

_BACKGROUND = (
    # What the plan holds beside the strikes, named where it bites.
    ("message published again (F11, F14)", "order_approved", "is_published_again"),
    ("signal twice (F25)", "order_approved", "has_twin"),
    ("signal too old (F25)", "order_approved", "is_old"),
    ("forged approval (F23)", "order_approved", "is_forged"),
    ("cancel races its order (F15)", "cancel_requested", "cancel_comes_first"),
)


@dataclass(frozen=True)
class Run:
    """What came of one seed."""

    plan: Plan
    violations: dict[str, tuple[str, ...]]
    cells: tuple[Cell, ...]
    digest: str
    """The same for every run of a seed: what was committed, told, and received, in order."""


def run(seed: int) -> Run:
    """Run one seed."""
    return run_plan(plan_of(seed))


def run_plan(plan: Plan) -> Run:
    """Run one plan."""
    started = time.perf_counter()
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    world = World(plan, loop)
    try:
        with silent():
            loop.run_until_complete(world.play())
            found = violations(world)
    finally:
        loop.end()
    seconds = time.perf_counter() - started
    return Run(plan, found, tuple(_cells(world, found, seconds)), _digest(world))


def _cells(world: World, found: dict[str, tuple[str, ...]], seconds: float) -> Iterator[Cell]:
    seed = world.plan.seed
    for struck in world.struck:
        outcome = _outcome(world, struck.point.client_order_id)
        if struck.manner is not None:
            befallen = struck.manner.client_order_id
            outcome = _outcome(world, befallen) if befallen else "nothing was sent after it"
        yield Cell(struck.fault, str(struck.point), "simulation", seed, outcome, found, seconds)
    for (fault, point), client_order_id in world.venue.whims.items():
        yield Cell(fault, point, "simulation", seed, _outcome(world, client_order_id), found, seconds)
    for fault, point, name in _BACKGROUND:
        for wish in world.plan.wishes:
            if getattr(wish, name):
                outcome = _outcome(world, order_id_of(wish)) if not wish.is_forged else "refused"
                yield Cell(fault, point, "simulation", seed, outcome, found, seconds)


def _outcome(world: World, client_order_id: str | None) -> str:
    if client_order_id is None:
        return "no order at hand"
    count = len(world.venue.of(client_order_id))
    row = world.orders().get(client_order_id)
    if row is None:
        return f"{count} orders, none in the books"
    word = row.order.status if row.order.submission is Submission.ACKED else row.order.submission
    return f"{count} order{'' if count == 1 else 's'}, {word}"


def _digest(world: World) -> str:
    rows = [
        f"{client_order_id}:{row.number}:{row.order.status}:{row.order.sequence}:{row.order.fence}"
        for client_order_id, row in world.orders().items()
    ]
    told = [str(message_id) for message_id in world.broker.told]
    return "|".join([*rows, *told, *world.server.tables.of("fills"), f"{world.loop.time():.9f}"])
