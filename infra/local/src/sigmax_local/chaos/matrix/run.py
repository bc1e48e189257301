"""Plays the cells over one running stack: those that wait first, most beside each other, some alone."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sigmax_local.chaos.cells import Cell
from sigmax_local.chaos.matrix.books import BOOKS
from sigmax_local.chaos.matrix.checks import PATIENCE_S, violations_of, violations_of_all
from sigmax_local.chaos.matrix.gate import Gate, open_gate
from sigmax_local.chaos.matrix.halts import HALTS
from sigmax_local.chaos.matrix.kills import KILLS
from sigmax_local.chaos.matrix.messaging import MESSAGING
from sigmax_local.chaos.matrix.points import Bug
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn
from sigmax_local.chaos.matrix.scene import SETTLE_S, Scene
from sigmax_local.chaos.matrix.stack import ABSENCE_S, ABSENCE_SHORT_S, WORKERS, ChaosStack, new_control
from sigmax_local.chaos.matrix.venue_faults import VENUE
from sigmax_local.servers import Addresses, Servers

SCENARIOS: tuple[Scenario, ...] = (*KILLS, *BOOKS, *MESSAGING, *VENUE, *HALTS)
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

    def scenarios(self, *, owns_servers: bool) -> list[Scenario]:
        """Give the cells of this plan in the order that the seed draws."""
        chosen = [
            each
            for each in SCENARIOS
            if (not self.faults or each.fault in self.faults)
            and (each.is_short or not self.is_short)
            and (owns_servers or not each.needs_own_servers)
        ]
        random.Random(self.seed).shuffle(chosen)  # noqa: S311 - an order of play, no secret
        return chosen


Tell = Callable[[Cell], None]


async def play(
    plan: Plan,
    addresses: Addresses,
    folder: Path,
    *,
    servers: Servers | None = None,
    scenarios: Sequence[Scenario] | None = None,
    tell: Tell = lambda _: None,
) -> list[Cell]:
    """Play cells over migrated, empty servers; `tell` hears of each as it ends. Logs and points go to `folder`.

    `servers` are ours to stop; without them the cells that need that are left out.
    """
    chosen = plan.scenarios(owns_servers=servers is not None) if scenarios is None else list(scenarios)
    control = new_control(folder)
    stack = ChaosStack(addresses, control, absence_s=plan.absence_s, bug=plan.bug, servers=servers)
    cells: list[Cell] = []

    def note(cell: Cell) -> None:
        cells.append(cell)
        tell(cell)

    async with stack.running(), open_gate(addresses, f"{plan.seed}:{time.time_ns()}", stack.venue_url) as gate:
        lane = asyncio.Lock()
        numbers = random.Random(plan.seed)  # noqa: S311 - as above
        scenes = [
            (each, Scene(number, numbers.randrange(2**31), stack, gate, lane, plan.absence_s, plan.patience_s))
            for number, each in enumerate(chosen, 1)
        ]
        await asyncio.gather(*(gate.list_instrument(scene.instrument_id) for _, scene in scenes))
        await stack.start_workers()
        await _play_all(scenes, note)
        note(await _conclude(gate, stack, chosen, plan))
    return cells


async def _play_all(scenes: Sequence[tuple[Scenario, Scene]], note: Tell) -> None:
    room = asyncio.Semaphore(_TOGETHER_MAX)

    async def one(scenario: Scenario, scene: Scene) -> None:
        if scenario.turn is Turn.FIRST:
            note(await _play_one(scenario, scene))
        else:
            async with room:
                note(await _play_one(scenario, scene))

    by_turn = sorted(scenes, key=lambda each: each[0].turn)
    await asyncio.gather(*(one(*each) for each in by_turn if each[0].turn is not Turn.ALONE))
    for each in by_turn:
        if each[0].turn is Turn.ALONE:
            await each[1].stack.until_ready(WORKERS)
            note(await _play_one(*each))


async def _play_one(scenario: Scenario, scene: Scene) -> Cell:
    started = time.monotonic()
    violations: dict[str, tuple[str, ...]] = {}
    try:
        async with asyncio.timeout(_CELL_S_MAX):
            outcome = await scenario.play(scene)
    except Exception as error:  # whatever went wrong in a cell is that cell's result
        outcome = "not the required outcome"
        violations[REQUIRED] = (f"{type(error).__name__}: {error}",)
    violations |= await violations_of(scene.gate, scene.approvals, min(scene.settle_s, PATIENCE_S))
    cell = Cell(scenario.fault, scenario.point, WHERE, scene.seed, outcome, violations)
    return replace(cell, seconds=time.monotonic() - started)


async def _conclude(gate: Gate, stack: ChaosStack, chosen: Iterable[Scenario], plan: Plan) -> Cell:
    started = time.monotonic()
    violations = await violations_of_all(gate, min(plan.patience_s, PATIENCE_S))
    faults = "+".join(sorted({each.fault for each in chosen}))
    outcome = f"{len(gate.published)} approvals, {stack.restarts} restarts of workers"
    seconds = time.monotonic() - started
    return Cell(faults, "the whole run, once all is quiet", WHERE, plan.seed, outcome, violations, seconds)
