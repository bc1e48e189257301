"""`python -m sigmax_local.operations backup|restore|update`: what people do to a platform that runs in containers."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from sigmax_local.compose import Compose, ComposeError
from sigmax_local.environment import repository
from sigmax_local.gateway import Gateway, GatewayError
from sigmax_local.operations.backup import write_backup
from sigmax_local.operations.database import DatabaseError, InContainer, OnThisMachine, Place
from sigmax_local.operations.manifest import BackupError, Manifest, check_content
from sigmax_local.operations.restore import check_revisions, loss_of, restore
from sigmax_local.operations.update import update
from sigmax_local.people import sign_in
from sigmax_local.servers import Addresses, BinariesMissingError

_BOOKS_S = 180.0
_LOOK_S = 2.0
_FAILURES = (BackupError, BinariesMissingError, ComposeError, DatabaseError, GatewayError, OSError)

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
EnvFileOption = Annotated[Path | None, typer.Option(help="The variables of compose.yaml; by default its `.env`.")]
ProjectOption = Annotated[str, typer.Option(help="The project's name; by default the one of compose.yaml.")]
OverrideOption = Annotated[list[Path] | None, typer.Option("--override", help="A further file of Compose; repeatable.")]


@app.command("backup")
def backup_command(
    file: Annotated[Path, typer.Argument(help="What must not be there yet; beside it goes FILE.manifest.json.")],
    env_file: EnvFileOption = None,
    project: ProjectOption = "",
    processes: Annotated[
        Path | None, typer.Option(help="The state.json of a stack of processes: .sigmax/<feed>/state.json.")
    ] = None,
) -> None:
    """Write the database to FILE while the platform trades: one consistent moment of all services.

    FILE holds passwords' hashes and all trades: it is readable by its owner alone. The passwords and keys below
    .sigmax are not in it; keep those as well.
    """
    with _failures():
        place: Place = InContainer(_compose(env_file, project, None))
        if processes is not None:
            place = OnThisMachine(Addresses.load(processes))
        with _Progress("written") as progress:
            manifest = write_backup(place, file, progress)
        typer.echo(f"{file}: {manifest.bytes:,} bytes, sha256 {manifest.sha256}")


@app.command("restore")
def restore_command(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would happen.")] = False,
    env_file: EnvFileOption = None,
    project: ProjectOption = "",
    override: OverrideOption = None,
) -> None:
    """Put a backup in the place of the database, start again, and check the books. Trading stops meanwhile.

    Exit status 0 says that the books are right, 3 that a person must look, 2 that nothing was done.
    """
    with _failures():
        compose = _compose(env_file, project, override)
        manifest = Manifest.load(file)
        check_revisions(manifest, repository() / "services")
        with _Progress("checked") as progress:
            check_content(file, manifest, progress)
        typer.echo(f"{file} was made at {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC by version {manifest.version}.")
        loss = loss_of(compose, manifest)
        rows = ", ".join(f"{count} {name}" for name, count in loss.since.items()) or "a database that does not answer"
        typer.echo(f"What is newer goes: {rows}, and {loss.queued} messages that wait in queues.")
        typer.echo("Orders that a real venue has since then stay there, unknown to the restored books.")
        if not yes:
            typer.echo("Nothing was done. To do it: the same with --yes.")
            raise typer.Exit(2)
        with _Progress("restored") as progress:
            restore(compose, file, manifest, typer.echo, progress)
        is_right = asyncio.run(_check(compose))
    raise typer.Exit(0 if is_right else 3)


@app.command("update")
def update_command(
    service: Annotated[str, typer.Argument(help="Such as order-worker.")],
    build: Annotated[bool, typer.Option(help="Build its image and that of the deploy jobs first.")] = True,
    env_file: EnvFileOption = None,
    project: ProjectOption = "",
    override: OverrideOption = None,
) -> None:
    """Replace the containers of one service by new ones while the platform trades.

    SIGMAX_VERSION, in the environment or .env, says which build.
    """
    with _failures():
        compose = _compose(env_file, project, override)
        if build:
            typer.echo(f"Building {service} and deploy")
            images = [str(repository() / "infra" / "images" / "services.sh"), service, "deploy"]
            environment = {name: compose.variable(name) for name in ("SIGMAX_VERSION", "PYTHON_IMAGE")}
            known = {name: value for name, value in environment.items() if value}
            if subprocess.run(images, env={**compose.environment, **known}, check=False).returncode != 0:
                raise typer.Exit(1)
        update(compose, service, typer.echo)


async def _check(compose: Compose) -> bool:
    """Ask the gateway for the books until they are right, and for what a person must do; say both."""
    deadline = time.monotonic() + _BOOKS_S
    async with Gateway(compose.gateway_url) as gateway:
        await sign_in(gateway, compose.secrets)
        while True:
            told = await gateway.get("/system/books")
            if told["are_right"] or time.monotonic() > deadline:
                break
            await asyncio.sleep(_LOOK_S)
        for one in told["findings"]:
            typer.echo(f"  {'yes' if one['holds'] else 'NO '}  {one['invariant']}  {'; '.join(one['broken_by'])}")
        accounts = await gateway.get("/accounts")
    for account in accounts:
        if not account["is_reconciled"]:
            typer.echo(
                f"Account {account['account_id']} does not agree with its venue, and sends nothing until it does:"
                " GET /api/v1/reconciliations says in what. Cancel orders at the venue that are not in the books;"
                " trades of theirs are found by the next comparison, or stay a difference that a person settles."
            )
    return bool(told["are_right"] and all(account["is_reconciled"] for account in accounts))


def _compose(env_file: Path | None, project: str, override: list[Path] | None) -> Compose:
    folder = repository()
    return Compose(folder, env_file or folder / ".env", project, tuple(override or ()))


class _Progress:
    """Bytes so far: rewritten in place on a terminal, and told once elsewhere."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._shown_at = 0.0
        self._bytes = 0

    def __enter__(self) -> Callable[[int], None]:
        return self._see

    def __exit__(self, *_: object) -> None:
        if self._bytes:
            typer.echo(f"\r{self._bytes:,} bytes {self._word}", err=True)

    def _see(self, count: int) -> None:
        self._bytes = count
        if sys.stderr.isatty() and time.monotonic() > self._shown_at + 0.2:
            self._shown_at = time.monotonic()
            typer.echo(f"\r{count:,} bytes {self._word}", nl=False, err=True)


class _failures:  # noqa: N801 - reads as a statement
    """End with the text of what failed, instead of a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, _FAILURES):
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
