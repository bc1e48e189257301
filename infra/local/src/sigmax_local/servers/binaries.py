"""Where the three servers are installed: Debian, Fedora, and macOS put them in different places."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_BREW = (Path("/opt/homebrew"), Path("/usr/local"))

INSTALL_HINT = """Install them, then try again:
  Debian, Ubuntu   sudo apt-get install -y postgresql redis-server rabbitmq-server
  Fedora           sudo dnf install -y postgresql-server valkey rabbitmq-server
  macOS            brew install postgresql@17 redis rabbitmq"""


class BinariesMissingError(RuntimeError):
    """A server is not installed. The text names it and says how to install it."""

    def __init__(self, names: list[str], packages: list[str]) -> None:
        super().__init__(f"Not installed: {', '.join(names)}.\n{INSTALL_HINT}")
        self.packages = packages
        """What Debian calls them."""


@dataclass(frozen=True)
class Binaries:
    """The programs that make the three servers."""

    postgres_bin: Path
    """A folder with `postgres` and `initdb` of one version."""
    redis_server: Path
    """Redis, or Valkey, which speaks the same."""
    rabbitmq_server: Path
    """The script itself, not the one on Debian's PATH, which changes the user."""
    epmd: Path

    @property
    def postgres(self) -> Path:
        """Give the server program."""
        return self.postgres_bin / "postgres"

    @property
    def initdb(self) -> Path:
        """Give the program that makes a data folder."""
        return self.postgres_bin / "initdb"


def find_binaries(postgres_major: str | None = None) -> Binaries:
    """Find the newest installed servers. Raises `BinariesMissingError`.

    `postgres_major` asks for the Postgres that made an existing data folder; another one could not read it.
    """
    postgres = _first(_postgres_folders(postgres_major), "postgres", "initdb")
    redis = _first(_path_folders(), "redis-server") or _first(_path_folders(), "valkey-server")
    rabbitmq = _first(_rabbitmq_folders(), "rabbitmq-server")
    epmd = _first(_epmd_folders(), "epmd")
    if postgres is None or redis is None or rabbitmq is None or epmd is None:
        found = (
            (
                f"PostgreSQL {postgres_major or '15 or newer'}",
                "-".join(filter(None, ("postgresql", postgres_major))),
                postgres,
            ),
            ("Redis (or Valkey)", "redis-server", redis),
            ("RabbitMQ", "rabbitmq-server", rabbitmq),
            ("Erlang's epmd", "erlang-base", epmd),
        )
        missing = [(name, package) for name, package, folder in found if folder is None]
        raise BinariesMissingError([name for name, _ in missing], [package for _, package in missing])
    redis_name = "redis-server" if (redis / "redis-server").exists() else "valkey-server"
    return Binaries(postgres, redis / redis_name, rabbitmq / "rabbitmq-server", epmd / "epmd")


def _first(folders: Iterable[Path], *programs: str) -> Path | None:
    return next((folder for folder in folders if all((folder / program).exists() for program in programs)), None)


def _newest_first(folders: Iterable[Path]) -> list[Path]:
    def version(folder: Path) -> tuple[int, ...]:
        return tuple(int(part) for part in "".join(c if c.isdigit() else " " for c in str(folder)).split())

    return sorted(folders, key=version, reverse=True)


def _path_folders() -> Iterator[Path]:
    for program in ("redis-server", "valkey-server", "epmd", "postgres", "rabbitmq-server"):
        if found := shutil.which(program):
            yield Path(found).parent
    yield from (Path("/usr/bin"), Path("/usr/sbin"), Path("/usr/local/bin"))
    yield from (brew / "bin" for brew in _BREW)


def _postgres_folders(major: str | None) -> Iterator[Path]:
    wanted = major or "*"
    yield from _newest_first(Path("/usr/lib/postgresql").glob(f"{wanted}/bin"))  # Debian
    yield from _newest_first(Path("/usr").glob(f"pgsql-{wanted}/bin"))  # packages of postgresql.org
    for brew in _BREW:
        yield from _newest_first(brew.glob(f"opt/postgresql@{wanted}/bin"))
    if major is None:
        yield from _path_folders()


def _rabbitmq_folders() -> Iterator[Path]:
    for library in ("/usr/lib", "/usr/lib64", "/usr/local/lib"):
        yield from _newest_first(Path(library).glob("rabbitmq/lib/rabbitmq_server-*/sbin"))
        yield Path(library) / "rabbitmq" / "bin"
    for brew in _BREW:
        yield brew / "opt" / "rabbitmq" / "sbin"


def _epmd_folders() -> Iterator[Path]:
    yield from _path_folders()
    for library in ("/usr/lib/erlang", "/usr/lib64/erlang", *(f"{brew}/opt/erlang/lib/erlang" for brew in _BREW)):
        yield from _newest_first(Path(library).glob("erts-*/bin"))
