"""How a run and its workers agree on where a blow falls."""

import asyncio
from pathlib import Path

import pytest

from sigmax_local.chaos.load.judging import Verdict, quantiles
from sigmax_local.chaos.load.platform import service_of
from sigmax_local.chaos.matrix.points import Blow, Control, Flag, Point, Points
from sigmax_local.figures import Finding


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Control:
    control = Control(tmp_path)
    for name, value in control.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CHAOS_BUG", raising=False)
    return control


async def passes(points: Points, point: Point, subject: str) -> bool:
    """Say whether a task goes past a point without being held there."""
    try:
        async with asyncio.timeout(0.1):
            await points.passing(point, subject)
    except TimeoutError:
        return False
    return True


async def test_a_point_that_nobody_armed_is_passed(control: Control) -> None:
    control.arm(Point.CLAIMED, "another order", Blow.HOLD)
    assert await passes(Points("0"), Point.CLAIMED, "order")
    assert await passes(Points("0"), Point.SIGNED, "another order")


async def test_a_blow_hits_one_worker_once(control: Control) -> None:
    strike = control.arm(Point.CLAIMED, "order", Blow.HOLD)
    assert not strike.has_struck
    assert not await passes(Points("1"), Point.CLAIMED, "order")
    assert strike.has_struck
    assert strike.replica == 1
    assert await passes(Points("2"), Point.CLAIMED, "order")
    assert await passes(Points("1"), Point.CLAIMED, "order")


async def test_a_held_task_goes_on_when_it_is_let_go(control: Control) -> None:
    strike = control.arm(Point.ANSWERED, "order", Blow.HOLD)
    held = asyncio.create_task(Points("0").passing(Point.ANSWERED, "order"))
    await asyncio.sleep(0.1)
    assert not held.done()
    strike.let_go()
    async with asyncio.timeout(5):
        await held


async def test_a_blow_may_wait_for_a_later_passing(control: Control) -> None:
    control.arm(Point.LOOKED, "order", Blow.HOLD, passing=2)
    points = Points("0")
    assert await passes(points, Point.LOOKED, "order")
    assert not await passes(points, Point.LOOKED, "order")


async def test_a_blow_that_was_taken_away_does_not_fall(control: Control) -> None:
    control.arm(Point.CLAIMED, "order", Blow.HOLD).disarm()
    assert await passes(Points("0"), Point.CLAIMED, "order")


def test_a_flag_is_up_until_it_is_lowered(control: Control) -> None:
    assert control.flag(Flag.CLOCK, "all") is None
    control.raise_flag(Flag.CLOCK, "all", "-0.9")
    assert control.flag(Flag.CLOCK, "all") == "-0.9"
    assert control.flag(Flag.CLOCK, "0") is None
    control.lower_flag(Flag.CLOCK, "all")
    assert control.flag(Flag.CLOCK, "all") is None


def test_the_slowest_of_a_hundred_is_left_out_of_the_99th_percentile() -> None:
    assert quantiles([0.001] * 99 + [1.0]) == {"p50": 1.0, "p99": 1.0, "max": 1000.0}
    assert quantiles([]) == {}


def test_a_replica_belongs_to_its_service() -> None:
    assert service_of("order-worker-2") == "order-worker"
    assert service_of("risk-gate") == "risk-gate"


@pytest.mark.parametrize(
    ("verdict", "failures"),
    [
        (Verdict(findings=[Finding("sums", True)]), 0),
        (Verdict(), 1),
        (Verdict(findings=[Finding("sums", False)]), 1),
        (Verdict(findings=[Finding("sums", True)], lost=["a"], doubled=["b"]), 2),
    ],
)
def test_a_load_run_fails_for_anything_lost_doubled_or_unchecked(verdict: Verdict, failures: int) -> None:
    assert len(verdict.failures) == failures
