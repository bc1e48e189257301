"""The `sigmax` command: run the platform on this machine; what else it can do is added from beside."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sigmax_local import audit_check, ledger_check, looking, stacks, steering, user_commands
from sigmax_local import demo as demo_runs
from sigmax_local.container_found import FoundContainers
from sigmax_local.container_run import ContainerRun
from sigmax_local.feed import Feed, FeedError, cache_folder, choose_feed
from sigmax_local.processes import tail
from sigmax_local.runs import Kind, StackError
from sigmax_local.servers import BinariesMissingError, IdentityError, ServersError
from sigmax_local.stack import Home, ProcessRun
from sigmax_local.stacks import StackOption, console, errors
from sigmax_local.steering_talk import Door

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Run Sigma-X on this machine: nine services and their servers, as processes or as containers.

    [bold]Try it[/bold]             sigmax demo, or in containers: sigmax demo --stack containers
    [bold]With your own data[/bold] sigmax replay trades.parquet --speed 20
    [bold]In the background[/bold]  sigmax up, then sigmax status, sigmax logs risk-gate, sigmax down
    [bold]Steer it[/bold]           sigmax halt, sigmax flatten, sigmax resume; by two people: sigmax approve
    """,
)
app.add_typer(looking.app)
app.add_typer(user_commands.app)
app.add_typer(user_commands.user_app, name="user")
app.add_typer(steering.app)
app.add_typer(audit_check.app, name="audit")
app.add_typer(ledger_check.app, name="ledger")

_UP_TIMEOUT_S = 180.0
_POLL_S = 0.2


class Source(StrEnum):
    """Where prices come from when no file is named."""

    AUTO = "auto"
    LIVE = "live"
    SAMPLE = "sample"


DataOption = Annotated[
    Path | None, typer.Option("--data", help="A Parquet or CSV file of trades or bars to replay instead.")
]
SpeedOption = Annotated[
    float | None, typer.Option("--speed", help="How many times faster than recorded; chosen for you when left out.")
]
SourceOption = Annotated[Source, typer.Option(help="auto: live where the network allows, else the recorded sample.")]
SecondsOption = Annotated[float | None, typer.Option(help="End after so many seconds of trading, with a summary.")]
NewStackOption = Annotated[
    Kind, typer.Option("--stack", help="processes need no Docker; containers are those of compose.yaml.")
]


@app.callback()
def _open_door(context: typer.Context) -> None:
    context.obj = Door(stacks.running, stacks.fail, stacks.ask)


@app.command()
def demo(
    data: DataOption = None,
    speed: SpeedOption = None,
    seconds: SecondsOption = None,
    source: SourceOption = Source.AUTO,
    stack: NewStackOption = Kind.PROCESSES,
) -> None:
    """Run everything in the foreground and watch it trade. Ctrl-C stops all of it.

    Exit status 0 says that orders were filled (with --seconds) and that the books are right.

    Examples: sigmax demo   ·   sigmax demo --seconds 60   ·   sigmax demo --stack containers --source sample
    """
    raise typer.Exit(_run(stack, _feed(data, speed, source), _show(seconds)))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV: ts, symbol, price, qty, side, or OHLCV bars.")],
    speed: SpeedOption = None,
    seconds: SecondsOption = None,
    stack: NewStackOption = Kind.PROCESSES,
) -> None:
    """Trade a recording of your own; it begins again when it is over.

    Example: sigmax replay trades.parquet --speed 20 --seconds 120
    """
    raise typer.Exit(_run(stack, _feed(file, speed, Source.AUTO), _show(seconds)))


@app.command()
def up(
    data: DataOption = None,
    speed: SpeedOption = None,
    source: SourceOption = Source.AUTO,
    foreground: Annotated[
        bool, typer.Option(help="Stay in the foreground and say little, for service managers.")
    ] = False,
    stack: NewStackOption = Kind.PROCESSES,
) -> None:
    """Start everything in the background.

    Examples: sigmax up   ·   sigmax up --source sample   ·   then: sigmax status
    """
    feed = _feed(data, speed, source)
    if foreground:
        raise typer.Exit(_run(stack, feed, demo_runs.Show(console, is_quiet=True)))
    if stack is Kind.CONTAINERS:
        run = ContainerRun(FoundContainers(stacks.the_repository()), feed)
        with stacks.told_errors():
            console.print(f"Prices: {feed.title}", markup=False)
            run.prepare()
            with console.status("Starting the containers"):
                asyncio.run(run.start())
        _say_running(run.gateway_url)
        return
    home = Home(stacks.the_repository())
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
                console.print(tail(log), markup=False, soft_wrap=True)
                _say_running(state["gateway_url"])
                return
            time.sleep(_POLL_S)
    errors.print("Not everything is ready yet: sigmax status says what is missing.")
    raise typer.Exit(1)


def _say_running(url: str) -> None:
    console.print(f"Running at {url}. sigmax status shows how it fares, sigmax down stops it.")


@app.command()
def down(
    clean: Annotated[bool, typer.Option(help="Also remove all data of all runs.")] = False,
    stack: StackOption = None,
) -> None:
    """Stop what `sigmax up` or a demo of this clone started.

    Examples: sigmax down   ·   sigmax down --stack containers --clean
    """
    found = stacks.found(stack)
    if not found:
        console.print("Nothing runs.")
    with stacks.told_errors():
        for one in found:
            with console.status(f"Stopping the {one.kind}"):
                one.take_down()
            console.print(f"Stopped the {one.kind}.")
        if clean:
            with console.status("Removing data"):
                _remove_data(stack)
            console.print("Data removed.")


def _remove_data(kind: Kind | None) -> None:
    """Remove the data of one kind of stack, or of both. Raises `StackError`."""
    home = Home(stacks.the_repository())
    project = FoundContainers(home.repository)
    if kind is not Kind.PROCESSES and project.has_been_used():
        project.remove_data()
    unwanted = {
        None: [home.folder],
        Kind.CONTAINERS: [project.folder],
        Kind.PROCESSES: [path for path in home.folder.glob("*") if path != project.folder],
    }
    for path in unwanted[kind]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _feed(data: Path | None, speed: float | None, source: Source) -> Feed:
    try:
        return choose_feed(data, speed, source.value, cache_folder())
    except FeedError as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _show(seconds: float | None) -> demo_runs.Show:
    if seconds is not None and seconds <= 0:
        errors.print("--seconds is above 0.")
        raise typer.Exit(2)
    is_live = console.is_terminal
    return demo_runs.Show(console, seconds=seconds, is_live=is_live, ask=stacks.ask if is_live else None)


def _run(kind: Kind, feed: Feed, show: demo_runs.Show) -> int:
    """Run a stack from its servers to its end; give the exit status."""
    # Until the event loop listens to signals: leave through the `finally` below.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    home = Home(stacks.the_repository())
    console.print(f"Prices: {feed.title}", markup=False)
    try:
        return _run_containers(home, feed, show) if kind is Kind.CONTAINERS else _run_processes(home, feed, show)
    except (StackError, BinariesMissingError, IdentityError, ServersError, RuntimeError) as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130


def _run_processes(home: Home, feed: Feed, show: demo_runs.Show) -> int:
    stack = ProcessRun(home, feed)
    try:
        home.take()
        console.print("Starting PostgreSQL, Redis, and RabbitMQ of our own")
        stack.start_servers()
        stack.prepare_services()
        return asyncio.run(demo_runs.run(stack, show))
    finally:
        stack.stop_servers()
        home.release()


def _run_containers(home: Home, feed: Feed, show: demo_runs.Show) -> int:
    stack = ContainerRun(FoundContainers(home.repository), feed)
    stack.prepare()
    console.print("Starting the containers of compose.yaml")
    return asyncio.run(demo_runs.run(stack, show))
