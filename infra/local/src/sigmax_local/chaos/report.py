"""The evidence of one run of `make chaos`, as Markdown for people and as JSON for programs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sigmax_local.chaos.cells import INVARIANTS, Cell, Coverage
from sigmax_local.chaos.faults import FAULTS, numbers_in

CELLS_MIN = 500
"""Distinct cells that a full run must have seen."""
_RED_SHOWN_MAX = 50


@dataclass
class Report:
    """What was done, and what came of it. Parts add their cells; the report alone says whether the run is red."""

    started_at: datetime
    versions: Mapping[str, str]
    is_full: bool = True
    """A full run must reach `CELLS_MIN` cells; a short one, or one part alone, need not."""
    coverage: Coverage = field(default_factory=Coverage)
    seeds: dict[str, int] = field(default_factory=dict)
    """How many seeds ran, by part."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each part took."""
    notes: list[str] = field(default_factory=list)
    """What was left out, and why: shown at the top."""
    checked: dict[str, dict[str, str]] = field(default_factory=dict)
    """By part and invariant: how it was checked there. An invariant that is absent was not checked by that part."""

    def add(self, cells: Iterable[Cell]) -> None:
        """Take in cells of any part."""
        self.coverage.add(cells)

    @property
    def cells(self) -> int:
        """Count the distinct cells."""
        return len(self.coverage.runs)

    @property
    def violations(self) -> dict[str, int]:
        """Count the violations by invariant, zeros included."""
        counts = dict.fromkeys(INVARIANTS, 0)
        for cell in self.coverage.red:
            for invariant, found in cell.violations.items():
                counts[invariant] = counts.get(invariant, 0) + len(found)
        return counts

    @property
    def failures(self) -> list[str]:
        """Say why the run is red: empty for a green one."""
        found = [f"{name}: {count} violations" for name, count in self.violations.items() if count]
        if not self.cells:
            found.append("nothing was run")
        if self.is_full and self.cells < CELLS_MIN:
            found.append(f"only {self.cells} distinct cells, {CELLS_MIN} are needed")
        return found

    def matrix(self) -> list[dict[str, Any]]:
        """Give a line per fault of order-safety.md: runs, outcomes, and violations."""
        lines: dict[str, dict[str, Any]] = {
            number: {"number": number, "fault": fault, "required": required, "servers": 0, "simulation": 0}
            | {"outcomes": {}, "violations": 0}
            for number, (fault, required) in FAULTS.items()
        }
        for (where, fault, point), runs in self.coverage.runs.items():
            for number in () if "+" in fault else numbers_in(fault):  # what sums up a whole run is no run of its own
                line = lines[number]
                kind = "servers" if where == "servers" else "simulation"
                line[kind] += runs
                for outcome, count in self.coverage.outcomes[(where, fault, point)].items():
                    key = "outcomes" if where == "servers" else "simulated"
                    line.setdefault(key, {})[outcome] = line.setdefault(key, {}).get(outcome, 0) + count
        for cell in self.coverage.red:
            for number in numbers_in(cell.fault):
                lines[number]["violations"] += 1
        return list(lines.values())

    def to_json(self) -> dict[str, Any]:
        """Give plain values: the whole evidence."""
        return {
            "started_at": self.started_at.isoformat(),
            "versions": dict(self.versions),
            "is_green": not self.failures,
            "failures": self.failures,
            "cells": self.cells,
            "seeds": self.seeds,
            "seconds": {part: round(taken, 1) for part, taken in self.seconds.items()},
            "violations": self.violations,
            "checked": self.checked,
            "notes": self.notes,
            "matrix": self.matrix(),
            "red": [cell.to_json() for cell in self.coverage.red],
            "coverage": [
                {"where": where, "fault": fault, "point": point, "runs": runs, "outcomes": self.coverage.outcomes[key]}
                for key, runs in sorted(self.coverage.runs.items())
                for where, fault, point in (key,)
            ],
        }

    def to_markdown(self) -> str:
        """Give the report for people."""
        runs = sum(self.coverage.runs.values())
        seeds = ", ".join(f"{count:,} seeds of the {part}" for part, count in self.seeds.items())
        lines = [
            "# Chaos report",
            "",
            f"{'**GREEN**' if not self.failures else '**RED**: ' + '; '.join(self.failures)}",
            "",
            f"{self.started_at:%Y-%m-%d %H:%M} UTC, {', '.join(f'{k} {v}' for k, v in self.versions.items())}.",
            f"{self.cells:,} distinct cells (fault x point), struck {runs:,} times; {seeds or 'no seeds'}.",
            *(f"- {note}" for note in self.notes),
            "",
            "## Invariants",
            "",
            "| | Holds | Violations | Checked |",
            "| --- | --- | --- | --- |",
            *(
                f"| {name} | {INVARIANTS.get(name, '')} | {count} | {self._checked(name)} |"
                for name, count in self.violations.items()
            ),
            "",
            *self._red_lines(),
            "## Faults of order-safety.md",
            "",
            *matrix_table(self.matrix()),
            "",
            "## Cells",
            "",
            "| Where | Fault | Point | Runs | Outcomes |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {where} | {fault} | {point} | {count} | {_counted(self.coverage.outcomes[(where, fault, point)])} |"
                for (where, fault, point), count in sorted(self.coverage.runs.items())
            ),
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `chaos-report.md` and `chaos-report.json`, and give their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        text, data = folder / "chaos-report.md", folder / "chaos-report.json"
        text.write_text(self.to_markdown())
        data.write_text(json.dumps(self.to_json(), indent=1) + "\n")
        return text, data

    def _checked(self, invariant: str) -> str:
        found = [f"{part}: {how[invariant]}" for part, how in self.checked.items() if invariant in how]
        return "; ".join(found) or "not in this run"

    def _red_lines(self) -> list[str]:
        if not self.coverage.red:
            return []
        lines = ["## Violations", ""]
        for cell in self.coverage.red[:_RED_SHOWN_MAX]:
            lines.append(f"- {cell.where}, {cell.fault} at {cell.point}: {cell.outcome}")
            lines += [f"  - {name}: {text}" for name, found in cell.violations.items() for text in found]
            lines.append(f"  - again: `{command_of(cell)}`")
        return [*lines, ""]


def command_of(cell: Cell) -> str:
    """Give the command that repeats a cell."""
    part = {"servers": "matrix"}.get(cell.where, cell.where)
    seed = f" --seed {cell.seed}" if cell.seed is not None else ""
    return f"python -m sigmax_local.chaos --part {part}{seed}"


def matrix_table(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the table of F01-F26 as lines of Markdown."""
    rows = [
        "| # | Fault | Required outcome | Real servers | Simulated | Seen | Violations |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in lines:
        seen = _counted(line["outcomes"] or line.get("simulated", {}))
        rows.append(
            f"| {line['number']} | {line['fault']} | {line['required']} | {line['servers']} | {line['simulation']:,} |"
            f" {seen or 'not run'} | {line['violations']} |"
        )
    return rows


def _counted(outcomes: Mapping[str, int], most: int = 3) -> str:
    listed = sorted(outcomes.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{outcome} ({count:,})" if count > 1 else outcome for outcome, count in listed[:most])
