"""Run a stack in the foreground, show what it does, and say in the end whether it did right."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.live import Live

from sigmax.runtime.clock import SystemClock
from sigmax_local import view
from sigmax_local.checks import UNCHECKABLE, Finding, check_books
from sigmax_local.figures import READER, Figures, FiguresReader
from sigmax_local.processes import tail
from sigmax_local.servers import Addresses, ServersError
from sigmax_local.stack import STOP_ORDER, Stack
from sigmax_local.supervisor import GaveUpError

READY_TIMEOUT_S = 120.0
_REFRESH_S = 0.5
_LINE_S = 5.0
_SETTLE_S = 20.0
_SETTLE_POLL_S = 0.5


class NotReadyError(RuntimeError):
    """The stack did not become ready. The text says who is not, and why."""


@dataclass(frozen=True)
class Show:
    """How a run is shown, and when it ends by itself."""

    console: Console
    seconds: float | None = None
    """How long to trade, counted from when all is ready; None until it is stopped."""
    is_live: bool = False
    """A page that renews itself, for terminals; else lines."""
    is_quiet: bool = False
    """Nothing but the state file, for a stack in the background."""


async def run(stack: Stack, show: Show) -> int:
    """Run the nine services until they are asked to stop; give the exit status.

    0: it ended as asked, orders were filled (where it ran for a time that was asked for), and the books are right.
    """
    ending = asyncio.Event()
    _on_signals(ending.set)
    since = SystemClock().now()
    supervising = asyncio.create_task(stack.supervisor.run(stack.on_turn), name="supervising")
    showing = asyncio.create_task(_show(stack, show, since, ending), name="showing")
    try:
        await asyncio.wait({supervising, showing}, return_when=asyncio.FIRST_COMPLETED)
        if supervising.done():
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
            supervising.result()
        return showing.result()
    except (GaveUpError, NotReadyError, ServersError) as error:
        show.console.print(f"Stopping everything. {error}", style="bold red", markup=False, highlight=False)
        return 1
    finally:
        for task in (supervising, showing):
            task.cancel()
        await asyncio.gather(supervising, showing, return_exceptions=True)
        await stack.supervisor.stop(STOP_ORDER)


def _on_signals(action: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, action)


async def _show(stack: Stack, show: Show, since: datetime, ending: asyncio.Event) -> int:
    if not await _until_ready(stack, show, ending):
        return 0
    reader = FiguresReader(stack.addresses, _collector_url(stack), stack.feed.currency, since)
    try:
        if show.is_quiet:
            _greet(stack, show)
            await ending.wait()
            return 0
        await _watch(stack, show, reader, ending)
        return await _conclude(stack, show, reader)
    finally:
        await reader.close()


async def _until_ready(stack: Stack, show: Show, ending: asyncio.Event) -> bool:
    started = time.monotonic()
    with _status(show, "Starting nine services") as update:
        while not stack.supervisor.are_all_ready:
            if ending.is_set():
                return False
            waiting = [one for one in stack.supervisor.watched if not one.is_ready]
            if time.monotonic() - started > READY_TIMEOUT_S:
                said = "\n".join(
                    f"{one.program.name}: {'; '.join(one.problems)}\n{tail(one.program.log, 5)}" for one in waiting
                )
                raise NotReadyError(f"Not ready after {READY_TIMEOUT_S:.0f} s:\n{said}")
            update(f"Waiting for {', '.join(one.program.name for one in waiting)}")
            await asyncio.sleep(_SETTLE_POLL_S)
    return True


@contextlib.contextmanager
def _status(show: Show, text: str) -> Iterator[Callable[[str], None]]:
    if show.is_live:
        with show.console.status(text) as status:
            yield status.update
    else:
        yield lambda _text: None


def _collector_url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.ports['collector']}"


def _signs(stack: Stack) -> view.Signs:
    secret = stack.addresses.secrets.folder_of("api_gateway") / "first_admin_password"
    login = (
        f"sign in as admin with {stack.admin_password} (shown this once)"
        if stack.is_first_start
        else f"sign in as admin; the first password is in {secret.relative_to(stack.home.repository)}"
    )
    return view.Signs(stack.feed.title, stack.gateway_url, login)


def _greet(stack: Stack, show: Show) -> None:
    signs = _signs(stack)
    show.console.print("All services are ready.")
    show.console.print(f"Dashboard and API: {signs.gateway_url}   {signs.login}", markup=False, soft_wrap=True)


async def _watch(stack: Stack, show: Show, reader: FiguresReader, ending: asyncio.Event) -> None:
    """Show figures until the time is over or somebody ends it."""
    console, watched, signs = show.console, stack.supervisor.watched, _signs(stack)
    started = time.monotonic()
    figures = Figures()
    if not show.is_live:
        _greet(stack, show)
    shown_at = float("-inf")
    with contextlib.ExitStack() as screen:
        live = screen.enter_context(Live(console=console, auto_refresh=False)) if show.is_live else None
        while not ending.is_set() and (show.seconds is None or time.monotonic() - started < show.seconds):
            elapsed_s = time.monotonic() - started
            # A look may fail while a server catches its breath: the next one tells.
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                figures = await reader.read(time.monotonic())
            if live is not None:
                left = "" if show.seconds is None else f" of {show.seconds:.0f} s"
                live.update(view.page(signs, watched, figures, f"{elapsed_s:.0f} s{left}"), refresh=True)
            elif elapsed_s - shown_at >= _LINE_S:
                shown_at = elapsed_s
                console.print(view.line(figures, watched, elapsed_s), markup=False, highlight=False, soft_wrap=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), _REFRESH_S)


async def _conclude(stack: Stack, show: Show, reader: FiguresReader) -> int:
    """Stop the prices, let what is under way come to its end, and judge."""
    was_asked_for_orders = show.seconds is not None
    await stack.supervisor.retire("collector")
    findings: list[Finding] = []
    deadline = time.monotonic() + _SETTLE_S
    problems: list[str] = []
    while True:
        try:
            findings = await check_books(await reader.connection(), stack.addresses)
            problems = []
        except UNCHECKABLE as error:
            problems = [f"The books could not be checked: {error}"]
        if (not problems and all(finding.holds for finding in findings)) or time.monotonic() > deadline:
            break
        await asyncio.sleep(_SETTLE_POLL_S)
    figures = await reader.read(time.monotonic())
    problems += [f"Not so: {finding.invariant}." for finding in findings if not finding.holds]
    if was_asked_for_orders and figures.filled_orders == 0:
        problems.append(why_no_fill(figures, stack))
    restarts = {one.program.name: one.restarts for one in stack.supervisor.watched}
    view.summarize(show.console, figures, findings, restarts, problems)
    return 1 if problems else 0


def why_no_fill(figures: Figures, stack: Stack) -> str:
    """Say where on the path it ended."""
    if figures.ticks == 0:
        return f"No order was filled: no tick arrived from {stack.feed.title}."
    if figures.signals == 0:
        return "No order was filled: the strategies saw no reason to trade. Run longer, or replay faster (SPEED=)."
    if figures.approved == 0:
        reasons = ", ".join(f"{count} x {code}" for code, count in list(figures.denials.items())[:5])
        return f"No order was filled: risk-gate denied every signal ({reasons or 'it decided on none'})."
    orders = ", ".join(f"{count} {status}" for status, count in figures.orders.items())
    return f"No order was filled, though {figures.approved} were approved. Orders: {orders or 'none was taken up'}."


async def order_counts(folder: Path) -> dict[str, int]:
    """Count the orders of a running stack by status."""
    addresses = Addresses.load(folder / "state.json")
    connection = await asyncpg.connect(addresses.database_url_as(READER), timeout=5)
    try:
        rows = await connection.fetch("SELECT status, count(*) FROM order_worker.orders GROUP BY status ORDER BY 1")
    finally:
        await connection.close()
    return {row[0]: row[1] for row in rows}
