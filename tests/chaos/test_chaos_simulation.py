"""The short form of the simulation, and what makes it worth believing: it repeats, and a process that dies is dead."""

import os
import subprocess
import sys

import pytest

from sigmax_local.chaos.cells import Coverage
from sigmax_local.chaos.simulation.run import Run, run
from sigmax_local.chaos.simulation.walk import SCENE, awaits, plan_of

SEEDS = 600
CELLS_MIN = 350


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return [run(seed) for seed in range(SEEDS)]


def test_no_order_is_lost_or_doubled_in_any_seed(runs: list[Run]) -> None:
    assert {each.plan.seed: each.violations for each in runs if each.violations} == {}


def test_the_short_form_strikes_at_hundreds_of_points(runs: list[Run]) -> None:
    coverage = Coverage()
    for each in runs:
        coverage.add(each.cells)

    assert len(coverage.runs) >= CELLS_MIN


def test_a_replica_is_killed_in_each_stage_of_an_order(runs: list[Run]) -> None:
    faults = {cell.fault for each in runs for cell in each.cells}

    assert {f"killed (F{number:02})" for number in range(1, 6)} <= faults


def test_orders_come_to_every_end_that_they_can_come_to(runs: list[Run]) -> None:
    outcomes = {cell.outcome for each in runs for cell in each.cells}

    assert outcomes >= {
        "1 order, filled",
        "1 order, canceled",
        "1 order, expired",
        "1 order, new",
        "1 order, partially_filled",
        "0 orders, absent",
        "0 orders, refused",
    }
    assert not any(outcome.startswith(("2", "3")) for outcome in outcomes)


@pytest.mark.parametrize("seed", [2953, 7301, 8835, 9375])
def test_a_seed_that_once_was_red_is_green(seed: int) -> None:
    assert run(seed).violations == {}


@pytest.mark.parametrize("seed", [4, 5, 9, 15, 17, 301])
def test_a_seed_repeats_whatever_the_order_of_hashes(seed: int) -> None:
    program = f"from sigmax_local.chaos.simulation.run import run; print(run({seed}).digest)"
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }

    assert len(told) == 1
    assert told.pop().strip() == run(seed).digest


def test_the_walk_kills_a_replica_after_every_await_of_its_scene_before_it_does_anything_else() -> None:
    count = len(awaits(SCENE))
    first = [plan_of(seed).strikes[-1] for seed in range(0, 2 * count, 2)]

    assert {strike.fault for strike in first} == {"killed"}
    assert {(strike.entry, strike.nth) for strike in first} == set(awaits(SCENE))
    assert plan_of(2 * count).strikes[-1].fault != "killed"
