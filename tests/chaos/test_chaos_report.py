"""The report: what it counts, when it is red, how a cell is repeated, and what goes into the README."""

import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sigmax_local.chaos.__main__ import app
from sigmax_local.chaos.cells import INVARIANTS, Cell
from sigmax_local.chaos.faults import FAULTS, numbers_in
from sigmax_local.chaos.progress import shown_progress
from sigmax_local.chaos.readme import BEGIN, END, write_readme
from sigmax_local.chaos.report import CELLS_MIN, Report, command_of


def a_cell(number: int = 1, **changes: Any) -> Cell:
    values = {"fault": "killed (F01)", "point": f"sending.py:{number}", "where": "simulation", "seed": number}
    return Cell(**{**values, "outcome": "1 order, filled", **changes})


def a_report(*cells: Cell, is_full: bool = False) -> Report:
    report = Report(datetime(2026, 1, 5, 9, tzinfo=UTC), {"Python": "3.11"}, is_full=is_full)
    report.add(cells)
    return report


def test_a_cell_comes_back_from_json_as_it_was() -> None:
    cell = a_cell(violations={"I2": ("doubled",)}, seconds=0.5, note="a note")

    assert Cell.from_json(json.loads(json.dumps(cell.to_json()))) == cell


def test_the_same_fault_at_the_same_point_is_one_cell_however_often_it_ran() -> None:
    report = a_report(a_cell(1), a_cell(1, seed=7), a_cell(2), a_cell(1, where="servers"))

    assert report.cells == 3


def test_one_violation_makes_the_report_red() -> None:
    assert a_report(a_cell()).failures == []
    assert a_report(a_cell(), a_cell(violations={"I2": ("doubled",)})).failures == ["I2: 1 violations"]
    assert a_report(a_cell(violations={"required outcome": ("late",)})).failures == ["required outcome: 1 violations"]


@pytest.mark.parametrize(("count", "is_red"), [(CELLS_MIN - 1, True), (CELLS_MIN, False), (CELLS_MIN + 1, False)])
def test_a_full_run_needs_five_hundred_cells(count: int, is_red: bool) -> None:
    cells = [a_cell(number) for number in range(count)]

    assert bool(a_report(*cells, is_full=True).failures) is is_red
    assert a_report(*cells).failures == []


def test_a_run_of_nothing_is_red() -> None:
    assert a_report().failures == ["nothing was run"]


def test_each_fault_has_its_line_with_runs_outcomes_and_violations() -> None:
    report = a_report(
        a_cell(),
        a_cell(fault="F01", where="servers", outcome="1 order"),
        a_cell(fault="F01", where="servers", violations={"I2": ("doubled",)}, outcome="2 orders"),
        a_cell(fault="F01+F02", where="servers", outcome="the whole run"),
    )
    first = report.matrix()[0]

    assert [line["number"] for line in report.matrix()] == list(FAULTS)
    assert (first["servers"], first["simulation"], first["violations"]) == (2, 1, 1)
    assert first["outcomes"] == {"1 order": 1, "2 orders": 1}


def test_a_name_may_speak_of_several_faults() -> None:
    assert numbers_in("killed (F03-F05)") == ["F03", "F04", "F05"]
    assert numbers_in("published again (F11, F14)") == ["F11", "F14"]
    assert numbers_in("frozen") == []


def test_a_red_cell_is_named_with_the_command_that_repeats_it() -> None:
    report = a_report(a_cell(41, violations={"I2": ("sx1 is 2 orders at the venue",)}))

    assert command_of(report.coverage.red[0]) == "python -m sigmax_local.chaos --part simulation --seed 41"
    assert "sx1 is 2 orders at the venue" in report.to_markdown()
    assert "--part simulation --seed 41" in report.to_markdown()


def test_every_invariant_is_listed_also_those_that_nobody_checked() -> None:
    text = a_report(a_cell()).to_markdown()

    assert all(f"| {name} | {holds} | 0 | not in this run |" in text for name, holds in INVARIANTS.items())


def test_the_table_goes_between_the_markers_and_nowhere_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nof yesterday\n{END}\nafter\n")
    _, data = a_report(a_cell()).write(tmp_path)
    write_readme(readme, data)
    write_readme(readme, data)
    text = readme.read_text()

    assert text.startswith(f"before\n{BEGIN}\n`make chaos`, 2026-01-05")
    assert text.endswith(f"{END}\nafter\n")
    assert "of yesterday" not in text
    assert text.count("| F26 |") == 1


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing\n")
    _, data = a_report(a_cell()).write(tmp_path)
    with pytest.raises(ValueError, match="needs"):
        write_readme(readme, data)

    assert readme.read_text() == "nothing\n"


def test_one_seed_is_repeated_by_its_command_and_a_green_one_ends_with_zero(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--part", "simulation", "--seed", "5", "--out", str(tmp_path)])
    report = json.loads((tmp_path / "chaos-report.json").read_text())

    assert result.exit_code == 0, result.output
    assert report["seeds"] == {"simulation": 1}
    assert report["is_green"]


def test_a_seed_without_its_part_is_refused() -> None:
    assert CliRunner().invoke(app, ["--seed", "5"]).exit_code == 2


def test_without_a_terminal_a_line_comes_now_and_then_also_while_nothing_new_is_told() -> None:
    out = io.StringIO()
    with shown_progress(Console(file=out, width=200), every_s=0.05) as begin:
        tell = begin("matrix")
        tell("matrix: 1 of 4 cells, 0 red", 0.25)
        deadline = time.monotonic() + 30
        while out.getvalue().count("1 of 4 cells") < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        tell("matrix: done", 1.0)
    lines = out.getvalue().splitlines()

    assert lines[0].endswith("matrix: begins")
    assert sum(line.endswith("matrix: 1 of 4 cells, 0 red (25%)") for line in lines) >= 3
    assert lines[-1].endswith("matrix: done (100%)")
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_there_is_a_bar() -> None:
    out = io.StringIO()
    with shown_progress(Console(file=out, force_terminal=True, width=200)) as begin:
        begin("matrix")("matrix: 1 of 4 cells, 0 red", 0.25)

    assert "1 of 4 cells" in out.getvalue()
    assert "\x1b" in out.getvalue()


@pytest.mark.parametrize(("number", "stage"), [("F07", "CAUTION"), ("F22", "REDUCING")])
def test_the_required_outcome_names_the_stage(number: str, stage: str) -> None:
    assert stage in FAULTS[number][1]
