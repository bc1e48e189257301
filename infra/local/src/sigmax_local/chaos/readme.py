"""Writes the table of faults into the README, between two markers: what stands there was seen in a run."""

import json
from pathlib import Path
from typing import Any

from sigmax_local.chaos.report import matrix_table

BEGIN, END = "<!-- chaos:begin -->", "<!-- chaos:end -->"


def section(report: dict[str, Any]) -> str:
    """Give the README's part from a report's JSON."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    seeds = "".join(f" {count:,} seeds of the {part}," for part, count in report["seeds"].items())
    runs = sum(each["runs"] for each in report["coverage"])
    violations = sum(report["violations"].values())
    told = (
        f"`make chaos`, {report['started_at'][:10]}: {report['cells']:,} distinct cells (fault x point),"
        f" struck {runs:,} times,{seeds} **{violations} violations**. {versions}."
    )
    return "\n".join([told, "", *matrix_table(report["matrix"])])


def write_readme(readme: Path, report: Path) -> None:
    """Put the table of a report between the markers. Raises `ValueError` when they are not there."""
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{readme} needs {BEGIN} and, after it, {END}, once each")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(f"{before}{BEGIN}\n{section(json.loads(report.read_text()))}\n{END}{after}")
