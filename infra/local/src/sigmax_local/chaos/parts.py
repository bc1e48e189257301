"""The parts of `make chaos`, each of which adds its cells to the one report."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sigmax_local.chaos.report import Report

Tell = Callable[[str, float], None]
"""Shows how far a part has come: a line, and its share, 0 to 1."""

SIMULATION_S = 180.0
SIMULATION_SHORT_S = 60.0
PROPERTIES_S = 60.0
PROPERTIES_SHORT_S = 15.0


@dataclass(frozen=True)
class Wanted:
    """What was asked for on the command line."""

    is_short: bool = False
    seed: int | None = None
    """Repeat this one, and nothing else."""
    seconds: float | None = None
    """Other than each part's own time."""
    faults: tuple[str, ...] = ()
    """In the matrix, these alone; empty for all."""


def simulation(report: Report, wanted: Wanted, tell: Tell) -> None:
    """Run seeds of the simulation."""
    from sigmax_local.chaos.simulation import checks
    from sigmax_local.chaos.simulation.campaign import campaign

    seconds = wanted.seconds or (SIMULATION_SHORT_S if wanted.is_short else SIMULATION_S)
    started = time.monotonic()
    report.checked["simulation"] = checks.CHECKED
    seeds = red = 0
    is_one = wanted.seed is not None
    batches = campaign(
        first=wanted.seed or 0,
        seeds_max=1 if is_one else None,
        seconds_max=seconds,
        processes=1 if is_one else None,
    )
    for batch in batches:
        report.add(batch.cells)
        seeds += batch.seeds
        red += len(batch.red)
        report.seeds["simulation"] = seeds
        share = (time.monotonic() - started) / seconds
        tell(f"simulation: {seeds:,} seeds, {report.cells:,} cells, {red} red", share)
    report.seconds["simulation"] = time.monotonic() - started


def matrix(report: Report, wanted: Wanted, tell: Tell) -> None:
    """Play F01-F26 over real servers."""
    from sigmax_local.chaos.matrix.part import play_matrix

    started = time.monotonic()
    play_matrix(report, is_short=wanted.is_short, seed=wanted.seed, faults=wanted.faults, tell=tell)
    report.seconds["matrix"] = time.monotonic() - started


def properties(report: Report, wanted: Wanted, tell: Tell) -> None:
    """Let hypothesis search for counterexamples to the pure rules."""
    from sigmax_local.chaos.properties import CHECKED, search

    started = time.monotonic()
    report.checked["properties"] = CHECKED
    seconds = wanted.seconds or (PROPERTIES_SHORT_S if wanted.is_short else PROPERTIES_S)
    report.add(search(seconds, wanted.seed, tell))
    report.seconds["properties"] = time.monotonic() - started


PARTS: dict[str, Callable[[Report, Wanted, Tell], None]] = {
    "matrix": matrix,
    "simulation": simulation,
    "properties": properties,
}
