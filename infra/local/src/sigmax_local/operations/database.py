"""How the programs of PostgreSQL reach a platform's database: inside its container, or beside the private server."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from sigmax.runtime.rights import DATABASE, SUPERUSER
from sigmax_local.compose import Compose
from sigmax_local.ports import LOOPBACK
from sigmax_local.servers import Addresses
from sigmax_local.servers.binaries import find_binaries
from sigmax_local.servers.postgres import major_of

_SAID_CHARACTERS_MAX = 2000


class DatabaseError(RuntimeError):
    """A program of PostgreSQL failed. The text has its words."""


class Place(Protocol):
    """Where `pg_dump`, `pg_restore`, and `psql` run, as the superuser."""

    def words(self, program: str, *arguments: str) -> list[str]:
        """Give the command line of a program that is told nothing of address and login."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Give the environment of that command."""
        ...


@dataclass(frozen=True)
class InContainer:
    """The database of a Compose project. The password is read inside, so that no command line shows it."""

    compose: Compose

    def words(self, program: str, *arguments: str) -> list[str]:
        """See `Place`."""
        script = 'PGPASSWORD="$(cat /run/secrets/postgres_superuser)" exec "$0" "$@"'
        return self.compose.words("exec", "-T", "postgres", "sh", "-c", script, program, "-U", SUPERUSER, *arguments)

    @property
    def environment(self) -> Mapping[str, str]:
        """See `Place`."""
        return self.compose.environment


@dataclass(frozen=True)
class OnThisMachine:
    """The private server of a stack of processes."""

    addresses: Addresses
    _bin: Path = field(init=False)

    def __post_init__(self) -> None:
        binaries = find_binaries(major_of(self.addresses.folder / "postgres"))
        object.__setattr__(self, "_bin", binaries.postgres_bin)

    def words(self, program: str, *arguments: str) -> list[str]:
        """See `Place`. Raises `DatabaseError` when the program is not installed."""
        path = self._bin / program
        if not path.exists():
            raise DatabaseError(f"There is no {program} in {self._bin}: install PostgreSQL's client programs.")
        where = ("-h", LOOPBACK, "-p", str(self.addresses.ports.postgres))
        return [str(path), *where, "-U", SUPERUSER, *arguments]

    @property
    def environment(self) -> Mapping[str, str]:
        """See `Place`."""
        return {**os.environ, "PGPASSWORD": self.addresses.secrets.server("postgres_superuser")}


def query(place: Place, sql: str, database: str = DATABASE) -> list[list[str]]:
    """Give the rows of a query as text. Raises `DatabaseError`."""
    words = place.words("psql", "-d", database, "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", sql)
    done = subprocess.run(
        words, capture_output=True, text=True, env=dict(place.environment), stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise DatabaseError(done.stderr.strip()[-_SAID_CHARACTERS_MAX:])
    return [line.split("\t") for line in done.stdout.splitlines() if line]


@contextmanager
def reading(place: Place, program: str, *arguments: str) -> Iterator[IO[bytes]]:
    """Run a program and give what it writes. Raises `DatabaseError` when it ends badly."""
    with _running(place.words(program, *arguments), place.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout


@contextmanager
def writing(place: Place, program: str, *arguments: str) -> Iterator[IO[bytes]]:
    """Run a program and give what it reads. Raises `DatabaseError` when it ends badly."""
    with _running(place.words(program, *arguments), place.environment, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; its words say why


@contextmanager
def _running(
    words: Sequence[str], environment: Mapping[str, str], *, stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        words,
        stdin=stdin,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=subprocess.PIPE,
        env=dict(environment),
    )
    assert process.stderr is not None
    try:
        yield process
        said = process.stderr.read().decode("utf-8", "replace").strip()
        if process.wait() != 0:
            raise DatabaseError(said[-_SAID_CHARACTERS_MAX:] or f"exit status {process.returncode}")
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
