"""Runs the properties of the pure rules again and again, each time from another seed, for as long as there is time."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from xml.etree.ElementTree import Element, parse

from sigmax_local.chaos.cells import Cell
from sigmax_local.environment import repository

PROPERTIES = Path("tests/chaos/test_chaos_properties.py")
CHECKED = {
    "I1": "the life of one order, step by step on the table",
    "I2": "one request in flight per key, no word of a worker whose fence has passed",
    "I3": "fills and words in any order and number",
    "I4": "entries of any executions",
}
_ROUND_S_MAX = 300.0
_TEXT_MAX = 2000


def search(seconds: float, seed: int | None, tell: Callable[[str, float], None]) -> Iterator[Cell]:
    """Give a cell per property and round; one seed asks for one round."""
    started = time.monotonic()
    for number in count(1):
        yield from _round(seed if seed is not None else number)
        passed = time.monotonic() - started
        tell(f"properties: {number} rounds", passed / seconds)
        if seed is not None or passed >= seconds:
            return


def _round(seed: int) -> Iterator[Cell]:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
        command += [str(PROPERTIES), f"--hypothesis-seed={seed}", f"--junit-xml={results}"]
        done = subprocess.run(
            command, cwd=repository(), capture_output=True, text=True, timeout=_ROUND_S_MAX, check=False
        )
        if not results.exists():
            yield Cell("properties", "could not run", "properties", seed, "failed", {"I1": (done.stdout[-_TEXT_MAX:],)})
            return
        for case in parse(results).getroot().iter("testcase"):  # noqa: S314 (our own file)
            yield _cell(case, seed)


def _cell(case: Element, seed: int) -> Cell:
    name = case.get("name", "")
    if name == "runTest":  # of a state machine, whose class has the name
        name = case.get("classname", "").rsplit(".", 1)[-1]
    name = name.removeprefix("test_").replace("_", " ")
    failure = case.find("failure")
    failure = failure if failure is not None else case.find("error")
    if failure is None:
        return Cell("any sequence", name, "properties", seed, "holds", seconds=float(case.get("time", 0)))
    # A counterexample to a rule of orders, fills, or the ledger is one to what the invariants rest on.
    text = (failure.text or failure.get("message") or "")[-_TEXT_MAX:]
    return Cell("any sequence", name, "properties", seed, "counterexample", {"I1": (text,)})
