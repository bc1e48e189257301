"""The three servers for work on a service, without the rest of the stack.

`python -m sigmax_local.servers up DIR` runs them in the foreground, `... secrets` prepares those of `compose.yaml`.
"""

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from sigmax_local.environment import repository
from sigmax_local.feed import cache_folder, choose_feed
from sigmax_local.servers import BinariesMissingError, IdentityError, Servers, ServersError
from sigmax_local.servers.binaries import find_binaries
from sigmax_local.servers.containers import read_variables, write_environment, write_secrets

_POLL_S = 0.5
app = typer.Typer(add_completion=False)


@app.callback()
def _commands() -> None:
    """Private PostgreSQL, Redis, and RabbitMQ on free loopback ports."""


@app.command()
def up(
    folder: Annotated[Path, typer.Argument(help="Where data, logs, secrets, and state.json go.")],
    durable: Annotated[bool, typer.Option(help="Keep what was committed through a crash of the machine.")] = False,
) -> None:
    """Run the servers until Ctrl-C or SIGTERM. DIR/state.json appears when they are ready.

    Example: python -m sigmax_local.servers up /tmp/servers &
    and then: SIGMAX_TEST_SERVERS=/tmp/servers/state.json pytest
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers = Servers(folder, durable=durable)
    state = folder / "state.json"
    try:
        addresses = servers.start()
        addresses.save(state)
        typer.echo(f"Ready: {addresses.database_url} {addresses.redis_url} {addresses.rabbitmq_url}\nState: {state}")
        while (failure := servers.failed()) is None:
            time.sleep(_POLL_S)
        raise ServersError(failure)
    except (BinariesMissingError, IdentityError, ServersError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("Stopping.")
    finally:
        state.unlink(missing_ok=True)
        servers.stop()


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(help="Where passwords, keys, and settings go.")] = Path(".sigmax/compose"),
    env_file: Annotated[
        Path | None, typer.Option(help="Told folder, ports, and prices; by default the `.env` beside compose.yaml.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A Parquet or CSV file of trades or bars to trade on.")] = None,
    speed: Annotated[float | None, typer.Option(help="How many times faster than recorded.")] = None,
    source: Annotated[str, typer.Option(help="auto, live, or sample; asked for anew only when named.")] = "",
) -> None:
    """Make what the containers of compose.yaml are given. What an earlier call made is kept.

    Examples: python -m sigmax_local.servers secrets && docker compose up -d --wait
    ·  python -m sigmax_local.servers secrets --data trades.parquet --speed 20
    """
    variables = env_file or repository() / ".env"
    try:
        is_asked_for = data is not None or source != "" or "SIGMAX_SOURCE" not in read_variables(variables)
        feed = choose_feed(data, speed, source or "auto", cache_folder()) if is_asked_for else None
        write_secrets(folder)
        write_environment(variables, folder, feed)
    except (OSError, RuntimeError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    prices = feed.title if feed is not None else f"as {variables} says"
    typer.echo(f"Secrets: {folder}\nPrices: {prices}\nNext: docker compose up -d --wait")


@app.command()
def missing(
    explain: Annotated[bool, typer.Option(help="Say how to install them, on the error output.")] = False,
) -> None:
    """Print the Debian packages of the servers that are not installed; nothing when all are there."""
    try:
        find_binaries()
    except BinariesMissingError as error:
        if explain:
            typer.echo(str(error), err=True)
        else:
            typer.echo(" ".join(error.packages))


if __name__ == "__main__":
    app()
