"""Many seeds, on every core, until there are enough of them or the time is up."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context

from sigmax_local.chaos.cells import Cell
from sigmax_local.chaos.simulation.run import run

_BATCH = 20


@dataclass(frozen=True)
class Batch:
    """What some seeds in a row came to."""

    seeds: int
    red: tuple[int, ...]
    """The seeds in which an invariant was broken."""
    cells: tuple[Cell, ...]


def play_batch(first: int, seeds: int) -> Batch:
    """Run seeds in a row."""
    runs = [run(seed) for seed in range(first, first + seeds)]
    red = tuple(each.plan.seed for each in runs if each.violations)
    return Batch(seeds, red, tuple(cell for each in runs for cell in each.cells))


def campaign(
    *, first: int = 0, seeds_max: int | None = None, seconds_max: float, processes: int | None = None
) -> Iterator[Batch]:
    """Run seeds from `first` on, and give them batch by batch, in the order in which they end.

    Without a bound on the seeds, time is the bound: how many there were is in the batches.
    """
    until = time.monotonic() + seconds_max
    starts = (
        (start, _BATCH if seeds_max is None else min(_BATCH, first + seeds_max - start))
        for start in count(first, _BATCH)
        if seeds_max is None or start < first + seeds_max
    )
    cores = processes or os.cpu_count() or 1
    if cores == 1:
        yield from _alone(starts, until, seeds_max)
        return
    # Fresh processes: a fork would take the loops and locks of this one along.
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        waiting: set[Future[Batch]] = set()
        planned = 0
        while True:
            while len(waiting) < 2 * cores and time.monotonic() < until and planned != seeds_max:
                start, seeds = next(starts)
                waiting.add(pool.submit(play_batch, start, seeds))
                planned += seeds
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)


def _alone(starts: Iterator[tuple[int, int]], until: float, seeds_max: int | None) -> Iterator[Batch]:
    planned = 0
    while time.monotonic() < until and planned != seeds_max:
        start, seeds = next(starts)
        planned += seeds
        yield play_batch(start, seeds)
