"""The three servers for work on a service, without the rest of the stack.

`python -m sigmax_local.servers up DIR` runs them in the foreground, `... files DIR` prepares those of `compose.yaml`.
"""

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from sigmax_local.environment import repository
from sigmax_local.servers import BinariesMissingError, IdentityError, Servers, ServersError
from sigmax_local.servers.binaries import find_binaries
from sigmax_local.servers.containers import REDIS_VERSION, write_files

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
def files(
    folder: Annotated[Path, typer.Argument(help="Where secrets, rights, and state.json go.")] = Path(".sigmax/compose"),
    env_file: Annotated[
        Path | None, typer.Option(help="Told the folder and the ports; by default the `.env` beside compose.yaml.")
    ] = None,
    redis_version: Annotated[
        str, typer.Option(help="Of REDIS_IMAGE: a server refuses rights on commands that it does not know.")
    ] = ".".join(map(str, REDIS_VERSION)),
) -> None:
    """Write what the containers of compose.yaml need. Secrets and ports of an earlier call are kept.

    Example: python -m sigmax_local.servers files && docker compose up -d --wait
    and then: SIGMAX_TEST_SERVERS=.sigmax/compose/state.json pytest
    """
    try:
        version = tuple(int(part) for part in redis_version.split("."))
        addresses = write_files(folder, env_file or repository() / ".env", version)
    except (OSError, RuntimeError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"Ready for: docker compose up -d --wait\nState: {addresses.folder / 'state.json'}")


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
