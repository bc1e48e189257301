"""`python -m sigmax_local.chaos`: everything that may fail does, and nothing is lost or doubled."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sigmax_local.chaos.parts import PARTS, Wanted
from sigmax_local.chaos.progress import shown_progress
from sigmax_local.chaos.readme import write_readme
from sigmax_local.chaos.report import Report
from sigmax_local.chaos.versions import versions
from sigmax_local.environment import repository

console = Console()
app = typer.Typer(add_completion=False)
_SHOWN_MAX = 20


class Part(StrEnum):
    """One part of the run."""

    SIMULATION = "simulation"
    MATRIX = "matrix"
    PROPERTIES = "properties"


@app.command()
def chaos(
    part: Annotated[list[Part] | None, typer.Option(help="Run only these parts.")] = None,
    *,
    short: Annotated[bool, typer.Option("--short", help="The short form, for every day.")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat one seed of one part.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="In the matrix, play only these: F03.")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long each part may take.", min=1)] = None,
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = Path(),
    write_table: Annotated[
        bool, typer.Option("--write-readme", help="Put the table of the last report into README.md, and run nothing.")
    ] = False,
) -> None:
    """Play F01 to F26 over real servers, simulate thousands of seeds, and search for counterexamples.

    Writes chaos-report.md and chaos-report.json, and ends with 1 when anything is red.
    """
    if write_table:
        write_readme(repository() / "README.md", out / "chaos-report.json")
        return
    if seed is not None and len(part or ()) != 1:
        raise typer.BadParameter("a seed belongs to one part: name it with --part")
    wanted = Wanted(is_short=short, seed=seed, seconds=seconds, faults=tuple(fault or ()))
    is_full = not short and seed is None and part is None
    report = Report(datetime.now(UTC), versions(), is_full=is_full)
    with shown_progress(console) as begin:
        for name, run in PARTS.items():
            if part is None or name in part:
                tell = begin(name)
                run(report, wanted, tell)
                tell(f"{name}: done", 1.0)
    _show(report, *report.write(out))
    raise typer.Exit(1 if report.failures else 0)


def _show(report: Report, text: Path, data: Path) -> None:
    for name, count in report.violations.items():
        console.print(f"{name}: {count} violations", style="red" if count else "green")
    for cell in report.coverage.red[:_SHOWN_MAX]:
        console.print(f"[red]{cell.fault} at {cell.point}[/]: {cell.outcome}; seed {cell.seed}")
        for name, found in cell.violations.items():
            for each in found:
                console.print(f"  {name}: {each}", markup=False)
    seeds = sum(report.seeds.values())
    console.print(f"{report.cells:,} distinct cells, {seeds:,} seeds; {text} and {data}")
    console.print("[red]RED[/]: " + "; ".join(report.failures) if report.failures else "[green]GREEN[/]")


if __name__ == "__main__":
    app()
