"""The `sigmax` command: run the platform on this machine, look at it, let people in."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from sigmax.schemas.topology import SERVICES
from sigmax_local import audit_check, ledger_check, people, steering, view
from sigmax_local import demo as demo_runs
from sigmax_local.container_found import FoundContainers
from sigmax_local.container_run import ContainerRun
from sigmax_local.environment import repository
from sigmax_local.feed import Feed, FeedError, cache_folder, choose_feed
from sigmax_local.gateway import Gateway, GatewayError
from sigmax_local.processes import tail
from sigmax_local.runs import Found, Kind, StackError
from sigmax_local.servers import BinariesMissingError, IdentityError, ServersError
from sigmax_local.stack import FoundProcesses, Home, ProcessRun, log_lines, newest_logs
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
user_app = typer.Typer(no_args_is_help=True, help="People who may sign in: sigmax user add mina --role trader")
app.add_typer(user_app, name="user")
app.add_typer(steering.app)
app.add_typer(audit_check.app, name="audit")
app.add_typer(ledger_check.app, name="ledger")
console = Console()
errors = Console(stderr=True)

_UP_TIMEOUT_S = 180.0
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
SecondsOption = Annotated[float | None, typer.Option(help="End after so many seconds of trading, with a summary.")]
NewStackOption = Annotated[
    Kind, typer.Option("--stack", help="processes need no Docker; containers are those of compose.yaml.")
]
StackOption = Annotated[Kind | None, typer.Option("--stack", help="Which one, where both run.")]


@app.callback()
def _open_door(context: typer.Context) -> None:
    context.obj = Door(_running, _fail, _ask)


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
        run = ContainerRun(FoundContainers(_repository()), feed)
        with _told_errors():
            console.print(f"Prices: {feed.title}", markup=False)
            run.prepare()
            with console.status("Starting the containers"):
                asyncio.run(run.start())
        _say_running(run.gateway_url)
        return
    home = Home(_repository())
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
    found = _found(stack)
    if not found:
        console.print("Nothing runs.")
    with _told_errors():
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
    home = Home(_repository())
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


@app.command()
def status(
    stack: StackOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show each service's health and restarts, and the orders of the last day.

    Exit status 0 says that all is ready.

    Example: sigmax status || sigmax logs order-worker
    """
    found = _found(stack)
    if not found and not as_json:
        errors.print("Nothing runs. Start it with: sigmax up")
    orders = [_orders(one) for one in found]
    if as_json:
        shown = [_plain(one, counts) for one, counts in zip(found, orders, strict=True)]
        print(json.dumps({"stacks": shown}, indent=1))
    else:
        for one, counts in zip(found, orders, strict=True):
            console.print(view.status(one))
            if isinstance(counts, str):
                console.print(f"Orders: {counts}", markup=False)
            else:
                said = ", ".join(f"{count} {name}" for name, count in counts.items())
                console.print(f"Orders of the last day: {said or 'none'}")
            if one.gateway_url:
                console.print(f"Dashboard and API: {one.gateway_url}")
    if not found:
        raise typer.Exit(3)
    raise typer.Exit(0 if all(one.is_ready for one in found) else 1)


def _orders(stack: Found) -> dict[str, int] | str:
    """Count the orders by status, or say why that cannot be."""

    async def ask() -> dict[str, int]:
        async with Gateway(stack.gateway_url) as gateway:
            await people.sign_in(gateway, stack.secrets)
            figures: dict[str, Any] = await gateway.get("/system/figures")
        return dict(figures["orders"])

    if not stack.gateway_url:
        return "not known yet"
    try:
        return asyncio.run(ask())
    except GatewayError as error:
        return f"not known. {error}"


def _plain(stack: Found, orders: dict[str, int] | str) -> dict[str, Any]:
    return {
        "stack": stack.kind,
        "ready": stack.is_ready,
        "prices": stack.prices,
        "gateway_url": stack.gateway_url,
        "services": [
            {
                "service": part.name,
                "health": part.health,
                "restarts": part.restarts,
                view.PLACES[stack.kind]: part.place,
                "problems": list(part.problems),
            }
            for part in stack.parts
        ],
        "orders": orders if isinstance(orders, dict) else None,
    }


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}, postgres, redis, rabbitmq.")],
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.", min=1)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written, until Ctrl-C.")] = False,
    stack: StackOption = None,
) -> None:
    """Show what a service wrote, also after the stack has ended.

    Examples: sigmax logs risk-gate   ·   sigmax logs order-worker -f
    """
    with _told_errors(status=2):
        for line in _log(stack, service, lines, follow=follow):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _log(kind: Kind | None, service: str, lines: int, *, follow: bool) -> Iterator[str]:
    """Give the log of what runs, else of what was started last. Raises `StackError`."""
    found = _found(kind)
    if found:
        return _only(found).log_lines(service, lines, follow=follow)
    home = Home(_repository())
    folder = None if kind is Kind.CONTAINERS else newest_logs(home)
    project = FoundContainers(home.repository)
    started_at = None if kind is Kind.PROCESSES else project.started_at()
    if started_at is not None and (folder is None or started_at > folder.stat().st_mtime):
        project.look()
        return project.log_lines(service, lines, follow=follow)
    if folder is not None:
        return log_lines(folder, service, lines, follow=follow)
    errors.print("Nothing has run here yet. Start it with: sigmax up")
    raise typer.Exit(3)


@user_app.command("add")
def user_add(
    login: Annotated[str, typer.Argument(help="Lower case letters, digits, and . _ @ -")],
    role: Annotated[Role, typer.Option(help="viewer looks, trader steers named accounts, admin rules.")] = Role.VIEWER,
    account: Annotated[list[str] | None, typer.Option(help="An account a trader may steer; repeat for more.")] = None,
    admin: Annotated[str, typer.Option(help="Who adds: an admin's login.")] = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Add a person; the password is made and shown once.

    Example: sigmax user add mina --role trader --account paper
    """
    found = _running(stack)
    accounts = account or (["paper"] if role is Role.TRADER else [])

    async def add() -> str:
        async with Gateway(found.gateway_url) as gateway:
            await people.sign_in(gateway, found.secrets, admin, _ask)
            added = await gateway.post("/users", {"login": login, "role": role.value, "accounts": accounts})
        return str(added["password"])

    with _told_errors():
        password = asyncio.run(add())
    console.print(f"{login} may sign in as {role.value} with: {password}", markup=False)


@app.command()
def token(login: Annotated[str, typer.Argument(help="Whose token.")] = people.ADMIN, stack: StackOption = None) -> None:
    """Print an access token for the API; it lasts ten minutes.

    Example: curl -H "Authorization: Bearer $(sigmax token)" http://127.0.0.1:8080/api/v1/positions
    """
    found = _running(stack)

    async def fetch() -> str:
        async with Gateway(found.gateway_url) as gateway:
            await people.sign_in(gateway, found.secrets, login, _ask)
            return gateway.keep_session()

    with _told_errors():
        print(asyncio.run(fetch()))


def _ask(login: str) -> str:
    """Have a person type a password."""
    return str(typer.prompt(f"Password of {login}", hide_input=True, err=True))


@contextmanager
def _told_errors(status: int = 1) -> Iterator[None]:
    try:
        yield
    except (GatewayError, StackError) as error:
        _fail(str(error), status)


def _fail(text: str, status: int = 1) -> NoReturn:
    errors.print(text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(status) from None


def _repository() -> Path:
    try:
        return repository()
    except RuntimeError as error:
        errors.print(str(error), markup=False)
        raise typer.Exit(2) from None


def _found(kind: Kind | None) -> list[Found]:
    """Give the stacks of this clone that run: of the kind that is asked for, else all."""
    clone = _repository()
    candidates: list[Found | None] = []
    if kind is not Kind.CONTAINERS:
        candidates.append(FoundProcesses.find(Home(clone)))
    if kind is not Kind.PROCESSES:
        candidates.append(FoundContainers.find(clone))
    return [one for one in candidates if one is not None]


def _only(found: list[Found]) -> Found:
    if len(found) > 1:
        errors.print("Processes and containers run: say which with --stack.")
        raise typer.Exit(2)
    return found[0]


def _running(kind: Kind | None) -> Found:
    """Give the one stack that runs and can be spoken to."""
    found = _found(kind)
    if not found:
        errors.print("Nothing runs. Start it with: sigmax up")
        raise typer.Exit(3)
    stack = _only(found)
    if not stack.gateway_url:
        errors.print("It is just starting.")
        raise typer.Exit(3)
    return stack


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
    return demo_runs.Show(console, seconds=seconds, is_live=is_live, ask=_ask if is_live else None)


def _run(kind: Kind, feed: Feed, show: demo_runs.Show) -> int:
    """Run a stack from its servers to its end; give the exit status."""
    # Until the event loop listens to signals: leave through the `finally` below.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    home = Home(_repository())
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
