"""The checks can fail: each bug that loses or doubles orders turns the report red within a bounded number of seeds."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from chaos_planted import PLANTED, PLANTED_WITHOUT_IDS, Plant

from sigmax_local.chaos.report import Report
from sigmax_local.chaos.simulation.plan import keeps_no_client_ids
from sigmax_local.chaos.simulation.run import run
from sigmax_local.chaos.simulation.walk import SCENE, SCENE_WITHOUT_IDS, awaits

SEEDS_MAX = 600


WITHOUT_IDS = [seed for seed in range(6 * SEEDS_MAX) if keeps_no_client_ids(seed)]


@pytest.mark.parametrize(("plant", "invariant"), PLANTED.values(), ids=PLANTED)
def test_a_planted_bug_turns_the_report_red(plant: Plant, invariant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _is_seen(plant, invariant, range(SEEDS_MAX), monkeypatch)


@pytest.mark.parametrize(("plant", "invariant"), PLANTED_WITHOUT_IDS.values(), ids=PLANTED_WITHOUT_IDS)
def test_a_planted_bug_is_seen_where_the_venue_keeps_no_ids(
    plant: Plant, invariant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _is_seen(plant, invariant, WITHOUT_IDS, monkeypatch)


def _is_seen(plant: Plant, invariant: str, seeds: Iterable[int], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Play seeds until one shows the bug, and the report with it."""
    for scene in (SCENE, SCENE_WITHOUT_IDS):
        awaits(scene)  # which seed strikes where is remembered: as it is without a bug
    plant(monkeypatch)
    report = Report(datetime(2026, 1, 5, tzinfo=UTC), {}, is_full=False)
    for seed in seeds:
        played = run(seed)
        report.add(played.cells)
        if invariant in played.violations:
            assert report.violations[invariant]
            assert report.failures
            return True
    return False
