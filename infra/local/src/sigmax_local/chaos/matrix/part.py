"""The matrix as a part of `make chaos`: private servers, all cells, and what came of them."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from sigmax_local.chaos.cells import Cell
from sigmax_local.chaos.matrix.checks import CHECKED
from sigmax_local.chaos.matrix.run import WHERE, Plan, play
from sigmax_local.chaos.report import Report
from sigmax_local.environment import make_secrets, repository
from sigmax_local.servers import Servers
from sigmax_local.servers.trio import in_own_loop
from sigmax_local.testkit.cleaning import Cleaner

_SEED = 1


def play_matrix(
    report: Report,
    *,
    is_short: bool,
    seed: int | None,
    faults: Collection[str] = (),
    tell: Callable[[str, float], None],
) -> None:
    """Play F01 to F26 over servers of its own, and add the cells to the report. Call from the main thread.

    Raises what starting servers raises where they are not installed.
    """
    plan = Plan(seed=_SEED if seed is None else seed, faults=frozenset(faults), is_short=is_short)
    acts = [len(plan.scenarios(owns_servers=True, has_gate=has_gate)) for has_gate in (False, True)]
    expected = sum(acts) + sum(cells > 0 for cells in acts)
    ended: list[Cell] = []

    def note(cell: Cell) -> None:
        ended.append(cell)
        red = sum(each.is_red for each in ended)
        tell(f"matrix: {len(ended)} of {expected} cells, {red} red", len(ended) / expected)

    for library in ("aio_pika", "aiormq"):  # every restart of the broker is a page of theirs
        logging.getLogger(library).setLevel(logging.CRITICAL)
    report.checked[WHERE] = CHECKED
    folder = Path(tempfile.mkdtemp(prefix="sigmax-chaos-"))
    folder.chmod(0o711)  # the user that runs Postgres passes through
    servers = Servers(folder / "servers", durable=False)
    is_green = False
    try:
        addresses = servers.start()
        make_secrets(addresses.secrets)
        cleaner = Cleaner(addresses)
        cleaner.reset(repository() / "services")
        for has_gate, logs in ((False, folder / "run"), (True, folder / "run" / "with-risk-gate")):
            in_own_loop(cleaner.clean)
            report.add(asyncio.run(play(plan, addresses, logs, has_gate=has_gate, servers=servers, tell=note)))
        is_green = not any(cell.is_red for cell in ended)
    finally:
        servers.stop()
        if is_green:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            report.notes.append(f"The matrix's logs were kept in {folder / 'run'}.")
