"""Plays the cells over one running stack: those that wait first, most beside each other, some alone."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sigmax_local.chaos.cells import Cell
from sigmax_local.chaos.matrix.base import SETTLE_S, BaseScene
from sigmax_local.chaos.matrix.books import BOOKS
from sigmax_local.chaos.matrix.checks import PATIENCE_S, violations_of, violations_of_all
from sigmax_local.chaos.matrix.front import FRONT_MONEY, GATE_SETTINGS, open_front
from sigmax_local.chaos.matrix.front_cells import FRONT
from sigmax_local.chaos.matrix.front_scene import FrontScene
from sigmax_local.chaos.matrix.gate import open_gate
from sigmax_local.chaos.matrix.halts import HALTS
from sigmax_local.chaos.matrix.kills import KILLS
from sigmax_local.chaos.matrix.messaging import MESSAGING
from sigmax_local.chaos.matrix.outside import Outside
from sigmax_local.chaos.matrix.points import Bug
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn
from sigmax_local.chaos.matrix.scene import Scene
from sigmax_local.chaos.matrix.stack import ABSENCE_S, ABSENCE_SHORT_S, MONEY, ChaosStack, new_control
from sigmax_local.chaos.matrix.venue_faults import VENUE
from sigmax_local.servers import Addresses, Servers

SCENARIOS: tuple[Scenario, ...] = (*KILLS, *BOOKS, *MESSAGING, *VENUE, *HALTS, *FRONT)
WHERE = "servers"
REQUIRED = "required outcome"
"""Under this name a cell tells that the fault did not end in what order-safety.md requires."""
_TOGETHER_MAX = 6
"""Few, so that those that wait for a proof strike early."""
_CELL_S_MAX = 300.0


@dataclass(frozen=True)
class Plan:
    """What to play, and how."""

    seed: int = 1
    faults: Collection[str] = ()
    """Only these; empty for all."""
    is_short: bool = False
    bug: Bug | None = None
    patience_s: float = SETTLE_S
    """For an order to come to its end."""

    @property
    def absence_s(self) -> float:
        """Give the window over which absence is proven."""
        return ABSENCE_SHORT_S if self.is_short else ABSENCE_S

    def scenarios(self, *, owns_servers: bool, has_gate: bool) -> list[Scenario]:
        """Give the cells of one act of this plan, in the order that the seed draws."""
        chosen = [
            each
            for each in SCENARIOS
            if (not self.faults or each.fault in self.faults)
            and (each.is_short or not self.is_short)
            and (owns_servers or not each.needs_own_servers)
            and each.has_gate is has_gate
        ]
        random.Random(self.seed).shuffle(chosen)  # noqa: S311 - an order of play, no secret
        return chosen


Tell = Callable[[Cell], None]


async def play(
    plan: Plan,
    addresses: Addresses,
    folder: Path,
    *,
    has_gate: bool = False,
    servers: Servers | None = None,
    scenarios: Sequence[Scenario] | None = None,
    tell: Tell = lambda _: None,
) -> list[Cell]:
    """Play one act over migrated, empty servers: the cells with a real risk-gate, or those in which the run approves.

    `tell` hears of each cell as it ends. Logs and points go to `folder`. `servers` are ours to stop; without them the
    cells that need that are left out. An act without cells starts nothing.
    """
    owns_servers = servers is not None
    chosen = plan.scenarios(owns_servers=owns_servers, has_gate=has_gate) if scenarios is None else list(scenarios)
    if not chosen:
        return []
    stack = ChaosStack(
        addresses,
        new_control(folder),
        absence_s=plan.absence_s,
        bug=plan.bug,
        servers=servers,
        money=FRONT_MONEY if has_gate else MONEY,
        gate_settings=GATE_SETTINGS if has_gate else None,
    )
    cells: list[Cell] = []

    def note(cell: Cell) -> None:
        cells.append(cell)
        tell(cell)

    async with stack.running(), _open(stack, plan, has_gate=has_gate) as make_scene:
        numbers = random.Random(plan.seed)  # noqa: S311 - as above
        scenes = [(each, make_scene(number, numbers.randrange(2**31))) for number, each in enumerate(chosen, 1)]
        outside = scenes[0][1].gate
        await asyncio.gather(*(outside.list_instrument(scene.instrument_id) for _, scene in scenes))
        await stack.start()
        await outside.settle()
        await _play_all(scenes, note)
        note(await _conclude(outside, stack, chosen, plan))
    return cells


@asynccontextmanager
async def _open(stack: ChaosStack, plan: Plan, *, has_gate: bool) -> AsyncIterator[Callable[[int, int], BaseScene]]:
    """Give what makes the scenes of an act, from their number and seed."""
    lane = asyncio.Lock()
    if has_gate:
        async with open_front(stack.addresses, stack.venue_url) as front:
            yield lambda number, seed: FrontScene(number, seed, stack, front, lane, plan.absence_s, plan.patience_s)
    else:
        async with open_gate(stack.addresses, f"{plan.seed}:{time.time_ns()}", stack.venue_url) as gate:
            yield lambda number, seed: Scene(number, seed, stack, gate, lane, plan.absence_s, plan.patience_s)


async def _play_all(scenes: Sequence[tuple[Scenario, BaseScene]], note: Tell) -> None:
    room = asyncio.Semaphore(_TOGETHER_MAX)

    async def one(scenario: Scenario, scene: BaseScene) -> None:
        if scenario.turn is Turn.FIRST:
            note(await _play_one(scenario, scene))
        else:
            async with room:
                note(await _play_one(scenario, scene))

    by_turn = sorted(scenes, key=lambda each: each[0].turn)
    await asyncio.gather(*(one(*each) for each in by_turn if each[0].turn is not Turn.ALONE))
    for each in by_turn:
        if each[0].turn is Turn.ALONE:
            await each[1].stack.until_all_ready()
            note(await _play_one(*each))


async def _play_one(scenario: Scenario, scene: BaseScene) -> Cell:
    started = time.monotonic()
    violations: dict[str, tuple[str, ...]] = {}
    try:
        async with asyncio.timeout(_CELL_S_MAX):
            outcome = await scenario.play(scene)
    except Exception as error:  # whatever went wrong in a cell is that cell's result
        outcome = "not the required outcome"
        violations[REQUIRED] = (f"{type(error).__name__}: {error}",)
    violations |= await violations_of(scene, min(scene.settle_s, PATIENCE_S))
    cell = Cell(scenario.fault, scenario.point, WHERE, scene.seed, outcome, violations)
    return replace(cell, seconds=time.monotonic() - started)


async def _conclude(outside: Outside, stack: ChaosStack, chosen: Iterable[Scenario], plan: Plan) -> Cell:
    started = time.monotonic()
    has_gate = stack.gate is not None
    violations = await violations_of_all(outside, min(plan.patience_s, PATIENCE_S), has_gate=has_gate)
    faults = "+".join(sorted({each.fault for each in chosen}))
    outcome = f"{len(outside.published)} approvals, {stack.restarts} restarts of processes"
    point = f"the whole run {'with' if has_gate else 'without'} risk-gate, once all is quiet"
    return Cell(faults, point, WHERE, plan.seed, outcome, violations, time.monotonic() - started)
