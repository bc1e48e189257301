"""The `sigmax` command: run the platform on this machine, look at it, let people in."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sigmax.schemas.topology import SERVICES
from sigmax_local import demo as demo_runs
from sigmax_local.environment import repository
from sigmax_local.feed import Feed, FeedError, cache_folder, file_feed, live_feed, sample_feed
from sigmax_local.people import GatewayError, add_user, fetch_token
from sigmax_local.processes import is_alive, tail
from sigmax_local.servers import BinariesMissingError, IdentityError, ServersError
from sigmax_local.stack import Home, Stack, StackRunningError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Run Sigma-X on this machine: nine services and private servers, no Docker.

    [bold]Try it[/bold]             sigmax demo
    [bold]With your own data[/bold] sigmax replay trades.parquet --speed 20
    [bold]In the background[/bold]  sigmax up, then sigmax status, sigmax logs risk-gate, sigmax down
    """,
)
user_app = typer.Typer(no_args_is_help=True, help="People who may sign in: sigmax user add mina --role trader")
app.add_typer(user_app, name="user")
console = Console()
errors = Console(stderr=True)

_UP_TIMEOUT_S = 180.0
_DOWN_TIMEOUT_S = 120.0
_POLL_S = 0.2


class Source(StrEnum):
    """Where prices come from when no file is named."""

    AUTO = "auto"
    LIVE = "live"
    SAMPLE = "sample"


class Role(StrEnum):
    """What a person may do."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"


DataOption = Annotated[
    Path | None, typer.Option("--data", help="A Parquet or CSV file of trades or bars to replay instead.")
]
SpeedOption = Annotated[
    float | None, typer.Option("--speed", help="How many times faster than recorded; chosen for you when left out.")
]
SourceOption = Annotated[Source, typer.Option(help="auto: live where the network allows, else the recorded sample.")]


@app.command()
def demo(
    data: DataOption = None,
    speed: SpeedOption = None,
    seconds: Annotated[float | None, typer.Option(help="End after so many seconds of trading, with a summary.")] = None,
    source: SourceOption = Source.AUTO,
) -> None:
    """Run everything in the foreground and watch it trade. Ctrl-C stops all of it.

    Exit status 0 says that orders were filled (with --seconds) and that the books are right.

    Examples: sigmax demo   ·   sigmax demo --seconds 60   ·   sigmax demo --data trades.parquet --speed 20
    """
    raise typer.Exit(_run(_feed(data, speed, source), _show(seconds)))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV: ts, symbol, price, qty, side, or OHLCV bars.")],
    speed: SpeedOption = None,
    seconds: Annotated[float | None, typer.Option(help="End after so many seconds of trading, with a summary.")] = None,
) -> None:
    """Trade a recording of your own; it begins again when it is over.

    Example: sigmax replay trades.parquet --speed 20 --seconds 120
    """
    raise typer.Exit(_run(_feed(file, speed, Source.AUTO), _show(seconds)))


@app.command()
def up(
    data: DataOption = None,
    speed: SpeedOption = None,
    source: SourceOption = Source.AUTO,
    foreground: Annotated[
        bool, typer.Option(help="Stay in the foreground and say little, for service managers.")
    ] = False,
) -> None:
    """Start everything in the background.

    Examples: sigmax up   ·   sigmax up --source sample   ·   then: sigmax status
    """
    feed = _feed(data, speed, source)
    if foreground:
        raise typer.Exit(_run(feed, demo_runs.Show(console, is_quiet=True)))
    home = _home()
    if home.is_taken():
        errors.print("The stack of this clone runs already: sigmax status")
        raise typer.Exit(1)
    home.folder.mkdir(exist_ok=True)
    log = home.folder / "up.log"
    words = ["up", "--foreground", "--source", source.value]
    words += ["--data", str(data.resolve())] if data else []
    words += ["--speed", str(speed)] if speed else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sigmax_local", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home.repository,
            start_new_session=True,
        )
    _await_ready(home, process, log)


def _await_ready(home: Home, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _UP_TIMEOUT_S
    with console.status("Starting the servers and nine services"):
        while time.monotonic() < deadline:
            if process.poll() is not None:
                errors.print(tail(log), markup=False, style="red")
                raise typer.Exit(process.returncode or 1)
            state = home.state()
            if state is not None and state["ready"]:
                console.print(tail(log), markup=False)
                console.print("Running. sigmax status shows how it fares, sigmax down stops it.")
                return
            time.sleep(_POLL_S)
    errors.print("Not everything is ready yet: sigmax status says what is missing.")
    raise typer.Exit(1)


@app.command()
def down(clean: Annotated[bool, typer.Option(help="Also remove all data of all runs.")] = False) -> None:
    """Stop what `sigmax up` or a demo of this clone started.

    Example: sigmax down --clean
    """
    home = _home()
    state = home.state()
    if state is None:
        console.print("Nothing runs.")
    elif not state["pid"]:
        errors.print("It is just starting: try again in a moment.")
        raise typer.Exit(1)
    else:
        os.kill(state["pid"], signal.SIGTERM)
        deadline = time.monotonic() + _DOWN_TIMEOUT_S
        with console.status("Stopping"):
            while home.is_taken() or is_alive(state["pid"]):
                if time.monotonic() > deadline:
                    errors.print(f"Process {state['pid']} has not ended.")
                    raise typer.Exit(1)
                time.sleep(_POLL_S)
        console.print("Stopped.")
    if clean:
        subprocess.run(["rm", "-rf", "--", str(home.folder)], check=True)
        console.print("Data removed.")


@app.command()
def status() -> None:
    """Show each service's health and restarts, and the orders so far.

    Exit status 0 says that all is ready.

    Example: sigmax status || sigmax logs order-worker
    """
    state = _running_state()
    table = Table(title=f"Sigma-X: {state.get('feed', 'starting')}", title_justify="left")
    for column in ("service", "health", "restarts", "pid", "problems"):
        table.add_column(column)
    for name, service in state["services"].items():
        color = "green" if service["health"] == "ready" else "yellow"
        health = f"[{color}]{service['health']}[/{color}]"
        table.add_row(name, health, str(service["restarts"]), str(service["pid"]), "; ".join(service["problems"]))
    console.print(table)
    if state["ready"]:
        orders = asyncio.run(demo_runs.order_counts(Path(state["folder"])))
        console.print("Orders: " + (", ".join(f"{count} {name}" for name, count in orders.items()) or "none yet"))
        console.print(f"Dashboard and API: {state['gateway_url']}")
    raise typer.Exit(0 if state["ready"] else 1)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}, postgres, redis, rabbitmq.")],
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.", min=1)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written, until Ctrl-C.")] = False,
) -> None:
    """Show what a service wrote, also after the stack has ended.

    Examples: sigmax logs risk-gate   ·   sigmax logs order-worker -f
    """
    folder = _logs_folder()
    log = folder / f"{service}.log"
    if not log.exists():
        names = ", ".join(sorted(path.stem for path in folder.glob("*.log")))
        errors.print(f"There is no log of {service}. There are: {names}", markup=False)
        raise typer.Exit(2)
    console.print(tail(log, lines), markup=False, highlight=False, soft_wrap=True)
    if follow:
        for line in _new_lines(log):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _logs_folder() -> Path:
    """Give the logs of the running stack, else of the one that ran last."""
    home = _home()
    state = home.state()
    if state is not None and "folder" in state:
        return Path(state["folder"]) / "logs"
    folders = sorted(home.folder.glob("*/logs"), key=lambda folder: folder.stat().st_mtime)
    if not folders:
        errors.print("Nothing has run here yet. Start it with: sigmax up")
        raise typer.Exit(3)
    return folders[-1]


def _new_lines(log: Path) -> Iterator[str]:
    position = log.stat().st_size
    while True:
        size = log.stat().st_size
        if size < position:  # rotated
            position = 0
        with log.open("rb") as file:
            file.seek(position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        position += len(whole)
        yield from whole.decode("utf-8", "replace").splitlines()
        time.sleep(_POLL_S)


@user_app.command("add")
def user_add(
    login: Annotated[str, typer.Argument(help="Lower case letters, digits, and . _ @ -")],
    role: Annotated[Role, typer.Option(help="viewer looks, trader steers named accounts, admin rules.")] = Role.VIEWER,
    account: Annotated[list[str] | None, typer.Option(help="An account a trader may steer; repeat for more.")] = None,
    admin: Annotated[str, typer.Option(help="Who adds: an admin's login.")] = "admin",
) -> None:
    """Add a person; the password is made and shown once.

    Example: sigmax user add mina --role trader --account paper
    """
    url = _running_state()["gateway_url"]
    accounts = account or (["paper"] if role is Role.TRADER else [])
    with _gateway_errors():
        token = fetch_token(url, admin, _password(admin))
        password = add_user(url, token, login, role.value, accounts)
    console.print(f"{login} may sign in as {role.value} with: {password}", markup=False)


@app.command()
def token(login: Annotated[str, typer.Argument(help="Whose token.")] = "admin") -> None:
    """Print an access token for the API; it lasts ten minutes.

    Example: curl -H "Authorization: Bearer $(sigmax token)" http://127.0.0.1:8080/api/v1/positions
    """
    url = _running_state()["gateway_url"]
    with _gateway_errors():
        print(fetch_token(url, login, _password(login)))


def _password(login: str) -> str:
    """Give `SIGMAX_PASSWORD`, the first password of the admin of this stack, or what the person types."""
    if given := os.environ.get("SIGMAX_PASSWORD"):
        return given
    first = Path(_running_state()["folder"]) / "secrets" / "api_gateway" / "first_admin_password"
    if login == "admin" and first.exists():
        return first.read_text(encoding="utf-8").strip()
    return str(typer.prompt(f"Password of {login}", hide_input=True, err=True))


@contextmanager
def _gateway_errors() -> Iterator[None]:
    try:
        yield
    except GatewayError as error:
        errors.print(str(error), markup=False)
        raise typer.Exit(1) from None


def _home() -> Home:
    try:
        return Home(repository())
    except RuntimeError as error:
        errors.print(str(error), markup=False)
        raise typer.Exit(2) from None


def _running_state() -> dict[str, Any]:
    state = _home().state()
    if state is None or not state["services"]:
        errors.print("Nothing runs. Start it with: sigmax up" if state is None else "It is just starting.")
        raise typer.Exit(3)
    return state


def _feed(data: Path | None, speed: float | None, source: Source) -> Feed:
    if speed is not None and not 0 < speed <= 100_000:
        errors.print(f"--speed is a factor above 0, not {speed:g}.")
        raise typer.Exit(2)
    try:
        if data is not None:
            return file_feed(data, speed)
        live = live_feed() if source is not Source.SAMPLE else None
        if live is not None:
            return live
        if source is Source.LIVE:
            raise FeedError("No exchange that is known here can be reached.")
        return sample_feed(cache_folder(), speed)
    except FeedError as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _show(seconds: float | None) -> demo_runs.Show:
    if seconds is not None and seconds <= 0:
        errors.print("--seconds is above 0.")
        raise typer.Exit(2)
    return demo_runs.Show(console, seconds=seconds, is_live=console.is_terminal)


def _run(feed: Feed, show: demo_runs.Show) -> int:
    """Run a stack from its servers to its end; give the exit status."""
    # Until the event loop listens to signals: leave through the `finally` below.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    home = _home()
    stack = Stack(home, feed)
    try:
        home.take()
        console.print(f"Prices: {feed.title}", markup=False)
        console.print("Starting PostgreSQL, Redis, and RabbitMQ of our own")
        stack.start_servers()
        stack.prepare_services()
        return asyncio.run(demo_runs.run(stack, show))
    except (StackRunningError, BinariesMissingError, IdentityError, ServersError, RuntimeError) as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        stack.stop_servers()
        home.release()
