"""The checks can fail: each bug that loses or doubles orders turns the report red within a bounded number of seeds."""

from datetime import UTC, datetime

import pytest
from chaos_planted import PLANTED, Plant

from sigmax_local.chaos.report import Report
from sigmax_local.chaos.simulation.run import run

SEEDS_MAX = 600


@pytest.mark.parametrize(("plant", "invariant"), PLANTED.values(), ids=PLANTED)
def test_a_planted_bug_turns_the_report_red(plant: Plant, invariant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    report = Report(datetime(2026, 1, 5, tzinfo=UTC), {}, is_full=False)
    for seed in range(SEEDS_MAX):
        played = run(seed)
        report.add(played.cells)
        if invariant in played.violations:
            break

    assert report.violations[invariant], f"{SEEDS_MAX} seeds did not see it"
    assert report.failures
