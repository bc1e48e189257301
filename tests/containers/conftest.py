"""The whole platform in containers, once for all tests of this folder, and the report on it.

`make test-containers` runs them; elsewhere they are skipped, for they take minutes. They use the images that are there
and build none. SIGMAX_CONTAINERS_KEEP=1 leaves the stack running at the end and takes it over at the next start.
"""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sigmax_local.environment import repository
from sigmax_local.testkit.container_report import Report
from sigmax_local.testkit.container_stack import ContainerStack, engine_problem

HERE = Path(__file__).parent
PROJECT = "sigmax-tests"
ASKED_FOR = "SIGMAX_TEST_CONTAINERS"
KEPT = "SIGMAX_CONTAINERS_KEEP"
ORDER = ("hardening", "reach", "trading", "scaling", "faults", "operations", "books", "upgrade")
"""The stack is one, and what a test leaves the next one finds: `books` looks at the books of all. Only a step back to the
schemas of before comes after it: it takes the audit chains away, and the heads that were told of them show that."""
_TIMEOUT_S = 1200


_report = Report()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.parent == HERE]
    if not ours:
        return
    problem = engine_problem() if os.environ.get(ASKED_FOR) else "they take minutes: make test-containers"
    for item in ours:
        item.add_marker(pytest.mark.timeout(_TIMEOUT_S))
        if problem:
            item.add_marker(pytest.mark.skip(reason=f"tests on containers: {problem}"))
    names = [path.stem.removeprefix("test_containers_") for path in (item.path for item in items)]
    ranks = {id(item): ORDER.index(name) for item, name in zip(items, names, strict=True) if item in ours}
    items.sort(key=lambda item: (id(item) in ranks, ranks.get(id(item), 0), item.location[1] or 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _report.faults or _report.figures:
        terminalreporter.section("containers")
        for line in _report.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def report() -> Report:
    return _report


@pytest.fixture(scope="session")
async def stack(report: Report) -> AsyncIterator[ContainerStack]:
    """Give the running stack. It is removed in the end, whatever happens."""
    is_kept = bool(os.environ.get(KEPT))
    stack = ContainerStack(PROJECT, repository() / ".sigmax" / PROJECT)
    stack.prepare(take_over=is_kept)
    try:
        await stack.start()
        report.figures["seconds to start"] = round(time.monotonic() - report.began, 1)
        yield stack
        done = await stack.figures()
        report.figures |= {"orders": sum(done["orders"].values()), "fills": done["fills"]}
    finally:
        report.figures["seconds in all"] = round(time.monotonic() - report.began, 1)
        report.save(repository() / "container-report.json")
        if not is_kept:
            stack.remove()
