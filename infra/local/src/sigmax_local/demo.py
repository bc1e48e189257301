"""Run a stack in the foreground, show what it does, and say in the end whether it did right."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live

from sigmax.runtime.clock import SystemClock
from sigmax.schemas.market import Heartbeat
from sigmax_local import people, view
from sigmax_local.figures import Figures, FiguresReader, Finding
from sigmax_local.gateway import Gateway, GatewayAwayError, GatewayError, WrongPasswordError
from sigmax_local.runs import Run, StackError

_REFRESH_S = 0.5
_READ_S = 1.0
"""Between two looks at the figures; the gateway takes a bounded number of requests a minute."""
_LINE_S = 5.0
_HEARD_S = Heartbeat.INTERVAL_S + 0.5
"""After this every service has told anew what it has given up."""
_SETTLE_S = 20.0
_SETTLE_POLL_S = 0.5


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
    ask: people.Ask | None = None
    """Asks for a password; None where nobody is there."""


async def run(stack: Run, show: Show) -> int:
    """Run the platform until it is asked to stop; give the exit status.

    0: it ended as asked, orders were filled (where it ran for a time that was asked for), and the books are right.
    """
    ending = asyncio.Event()
    _on_signals(ending.set)
    since = SystemClock().now()
    supervising = asyncio.create_task(stack.keep_up(), name="supervising")
    showing = asyncio.create_task(_show(stack, show, since, ending), name="showing")
    try:
        await asyncio.wait({supervising, showing}, return_when=asyncio.FIRST_COMPLETED)
        if supervising.done():
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)
            supervising.result()
        return showing.result()
    except (StackError, GatewayError) as error:
        show.console.print(f"Stopping everything. {error}", style="bold red", markup=False, highlight=False)
        return 1
    finally:
        for task in (supervising, showing):
            task.cancel()
        await asyncio.gather(supervising, showing, return_exceptions=True)
        with _status(show, "Stopping"):
            await stack.stop()


def _on_signals(action: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, action)


async def _show(stack: Run, show: Show, since: datetime, ending: asyncio.Event) -> int:
    if not await _until_ready(stack, show, ending):
        return 0
    if show.is_quiet:
        _greet(stack, show)
        await ending.wait()
        return 0
    async with Gateway(stack.gateway_url) as gateway:
        await people.sign_in(gateway, stack.secrets, ask=show.ask)
        reader = FiguresReader(gateway, since)
        if not await _watch(stack, show, reader, ending):
            await people.sign_in(gateway, stack.secrets, ask=show.ask)
        return await _conclude(stack, show, reader)


async def _until_ready(stack: Run, show: Show, ending: asyncio.Event) -> bool:
    with _status(show, "Starting nine services") as update:
        while not stack.is_ready:
            if ending.is_set():
                return False
            waiting = [part.name for part in stack.parts if not part.is_ready]
            if waiting:
                update(f"Waiting for {', '.join(waiting)}")
            await asyncio.sleep(_SETTLE_POLL_S)
    return True


@contextlib.contextmanager
def _status(show: Show, text: str) -> Iterator[Callable[[str], None]]:
    if show.is_live:
        with show.console.status(text) as status:
            yield status.update
    else:
        yield lambda _text: None


def _signs(stack: Run) -> view.Signs:
    first = people.first_password_file(stack.secrets)
    login = (
        f"sign in as admin with {first.read_text(encoding='utf-8').strip()} (shown this once)"
        if stack.is_first_start
        else f"sign in as admin; the first password is in {_from_here(first)}"
    )
    return view.Signs(stack.prices, stack.gateway_url, login)


def _from_here(path: Path) -> str:
    here = os.path.relpath(path)
    return str(path) if here.startswith("..") else here


def _greet(stack: Run, show: Show) -> None:
    signs = _signs(stack)
    show.console.print("All services are ready.")
    show.console.print(f"Dashboard and API: {signs.gateway_url}   {signs.login}", markup=False, soft_wrap=True)


async def _watch(stack: Run, show: Show, reader: FiguresReader, ending: asyncio.Event) -> bool:
    """Show figures until the time is over or somebody ends it; say whether the password still holds.

    Somebody may change it meanwhile: that is no reason to stop trading, nor to try the old one again and again.
    """
    console, signs = show.console, _signs(stack)
    started = time.monotonic()
    figures = Figures()
    refused = ""
    if not show.is_live:
        _greet(stack, show)
    read_at = shown_at = float("-inf")
    with contextlib.ExitStack() as screen:
        live = screen.enter_context(Live(console=console, auto_refresh=False)) if show.is_live else None
        while not ending.is_set() and (show.seconds is None or time.monotonic() - started < show.seconds):
            elapsed_s = time.monotonic() - started
            if not refused and elapsed_s - read_at >= _READ_S:
                read_at = elapsed_s
                try:
                    figures = await reader.read()
                except GatewayAwayError:
                    pass  # while a server catches its breath: the next look tells
                except WrongPasswordError:
                    refused = "The password of admin was changed: these figures stand still."
                    signs = replace(signs, login=refused)
            if live is not None:
                left = "" if show.seconds is None else f" of {show.seconds:.0f} s"
                clock = f"{elapsed_s:.0f} s{left}"
                live.update(view.page(signs, stack.kind, stack.parts, figures, clock), refresh=True)
            elif elapsed_s - shown_at >= _LINE_S:
                shown_at = elapsed_s
                shown = view.line(figures, stack.parts, elapsed_s) + (f"  {refused}" if refused else "")
                console.print(shown, markup=False, highlight=False, soft_wrap=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), _REFRESH_S)
    return not refused


async def _conclude(stack: Run, show: Show, reader: FiguresReader) -> int:
    """Stop the prices, let what is under way come to its end, and judge."""
    was_asked_for_orders = show.seconds is not None
    with _status(show, "Checking the books"):
        await stack.stop_prices()
        await asyncio.sleep(_HEARD_S)
        findings, problems = await _settled_books(reader)
        figures = await reader.read()
    problems += [f"Not so: {finding.invariant}." for finding in findings if not finding.holds]
    if was_asked_for_orders and figures.filled_orders == 0:
        problems.append(why_no_fill(figures, stack.prices))
    restarts = {part.name: part.restarts for part in stack.parts}
    view.summarize(show.console, figures, findings, restarts, problems)
    return 1 if problems else 0


async def _settled_books(reader: FiguresReader) -> tuple[list[Finding], list[str]]:
    """Look until the books are right, for as long as what is under way may take; give also why they were not seen."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        findings: list[Finding] = []
        problems: list[str] = []
        try:
            findings = await reader.check_books()
        except GatewayAwayError as error:
            problems = [f"The books could not be checked: {error}"]
        if (findings and all(finding.holds for finding in findings)) or time.monotonic() > deadline:
            return findings, problems
        await asyncio.sleep(_SETTLE_POLL_S)


def why_no_fill(figures: Figures, prices: str) -> str:
    """Say where on the path it ended."""
    if figures.ticks == 0:
        return f"No order was filled: no tick arrived from {prices}."
    if figures.signals == 0:
        return "No order was filled: the strategies saw no reason to trade. Run longer, or replay faster (SPEED=)."
    if figures.approved == 0:
        reasons = ", ".join(f"{count} x {code}" for code, count in list(figures.denials.items())[:5])
        return f"No order was filled: risk-gate denied every signal ({reasons or 'it decided on none'})."
    orders = ", ".join(f"{count} {status}" for status, count in figures.orders.items())
    return f"No order was filled, though {figures.approved} were approved. Orders: {orders or 'none was taken up'}."
