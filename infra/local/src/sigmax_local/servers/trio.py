"""The three servers together: started in parallel, made ready, stopped in order, with their data in one folder."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from sigmax.runtime.rights import ADMIN, DATABASE, MIGRATOR, SUPERUSER
from sigmax_local import locks
from sigmax_local.ports import LOOPBACK, free_ports, is_free
from sigmax_local.processes import Child, tail
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers import postgres, rabbitmq, redis
from sigmax_local.servers.binaries import find_binaries

T = TypeVar("T")

_READY_TIMEOUT_S = 60.0
_STOP_PATIENCE_S = 30.0
_POLL_S = 0.1
_TRIES = 3
"""Another program may take a port between our look and our start."""


class ServersError(RuntimeError):
    """A server did not start. The text has its last log lines."""


@dataclass(frozen=True)
class Ports:
    """Where the servers listen, on the loopback address."""

    postgres: int
    redis: int
    rabbitmq: int
    rabbitmq_nodes: int
    epmd: int


@dataclass(frozen=True)
class Addresses:
    """How to reach a running trio: what `state.json` holds, without any password."""

    folder: Path
    ports: Ports

    @property
    def secrets(self) -> SecretStore:
        """Give the secrets of all logins."""
        return SecretStore(self.folder / "secrets")

    @property
    def database_url(self) -> str:
        """Give the address services get; the login comes from their name, the password from their secrets."""
        return f"postgresql://{LOOPBACK}:{self.ports.postgres}/{DATABASE}"

    @property
    def redis_url(self) -> str:
        """Give the address services get."""
        return f"redis://{LOOPBACK}:{self.ports.redis}/0"

    @property
    def rabbitmq_url(self) -> str:
        """Give the address services get."""
        return f"amqp://{LOOPBACK}:{self.ports.rabbitmq}/"

    def database_url_as(self, login: str) -> str:
        """Give the database's address with a login: an owner, `sigmax_migrator`, or `postgres`."""
        passwords = {**self.secrets.database_passwords(), SUPERUSER: self.secrets.server("postgres_superuser")}
        return f"postgresql://{login}:{passwords[login]}@{LOOPBACK}:{self.ports.postgres}/{DATABASE}"

    def redis_url_as(self, login: str) -> str:
        """Give Redis' address with a login: an owner or `sigmax_admin`."""
        return f"redis://{login}:{self.secrets.redis_passwords()[login]}@{LOOPBACK}:{self.ports.redis}/0"

    def rabbitmq_url_as(self, login: str) -> str:
        """Give RabbitMQ's address with a login: an owner or `sigmax_admin`."""
        return f"amqp://{login}:{self.secrets.rabbitmq_passwords()[login]}@{LOOPBACK}:{self.ports.rabbitmq}/"

    @property
    def migrator_url(self) -> str:
        """Give the database's address for migrations."""
        return self.database_url_as(MIGRATOR)

    @property
    def admin_urls(self) -> tuple[str, str, str]:
        """Give the addresses of Postgres, Redis, RabbitMQ with every right: for tests and repairs."""
        return self.database_url_as(SUPERUSER), self.redis_url_as(ADMIN), self.rabbitmq_url_as(ADMIN)

    def save(self, path: Path) -> None:
        """Write the addresses as JSON; a reader sees a whole file or none."""
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps({"folder": str(self.folder), "ports": asdict(self.ports)}), encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Addresses":
        """Read what `save` wrote. Raises `OSError` or `ValueError`."""
        state = json.loads(path.read_text(encoding="utf-8"))
        return cls(Path(state["folder"]), Ports(**state["ports"]))


class Servers:
    """A private PostgreSQL, Redis, and RabbitMQ with their data below one folder.

    `durable` keeps what was committed through a crash of the machine; tests do without. Call from the main thread.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self.folder = folder.resolve()
        self.durable = durable
        self._children: list[Child] = []
        self._lock: IO[str] | None = None
        self.addresses: Addresses

    def start(self) -> Addresses:
        """Start all three and make them ready: database, roles, users, queues.

        Data of an earlier start is used again. Raises `BinariesMissingError` when one is not installed, `IdentityError`
        when Postgres finds no user, and `ServersError` when one does not come up or the folder is in use.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_folder()
        try:
            for attempt in range(1, _TRIES + 1):
                ports = self._choose_ports()
                try:
                    self._start_once(ports)
                except ServersError:
                    self._stop_children()
                    if attempt == _TRIES or all(map(is_free, asdict(ports).values())):
                        raise
                else:
                    return self.addresses
        except BaseException:
            self.stop()
            raise
        raise AssertionError("the last try returns or raises")

    def _take_folder(self) -> None:
        self._lock = locks.hold(self.folder / "servers.lock")
        if self._lock is None:
            raise ServersError(f"Another process already runs servers in {self.folder}. Stop it first.")

    def _choose_ports(self) -> Ports:
        kept = self.folder / "ports.json"
        if kept.exists():
            ports = Ports(**json.loads(kept.read_text(encoding="utf-8")))
            if all(map(is_free, asdict(ports).values())):
                return ports
        ports = Ports(*free_ports(5))
        kept.write_text(json.dumps(asdict(ports)), encoding="utf-8")
        return ports

    def _start_once(self, ports: Ports) -> None:
        postgres_folder, logs = self.folder / "postgres", self.folder / "logs"
        logs.mkdir(exist_ok=True, mode=0o700)
        binaries = find_binaries(postgres.major_of(postgres_folder))
        self.addresses = Addresses(self.folder, ports)
        secrets = self.addresses.secrets
        broker_ports = (ports.rabbitmq, ports.rabbitmq_nodes, ports.epmd)

        # The slowest first, so that the others start while it does.
        self._children.append(rabbitmq.start_epmd(binaries, ports.epmd, logs / "epmd.log"))
        broker = rabbitmq.start(self.folder / "rabbitmq", binaries, secrets, broker_ports, logs / "rabbitmq.log")
        self._children.append(broker)
        cache = redis.start(
            self.folder / "redis", binaries, secrets, ports.redis, logs / "redis.log", durable=self.durable
        )
        self._children.append(cache)
        identity = postgres.prepare(postgres_folder, binaries, secrets)
        database = postgres.start(
            postgres_folder, binaries, identity, ports.postgres, logs / "postgres.log", durable=self.durable
        )
        self._children.append(database)

        superuser = secrets.server("postgres_superuser")
        administrator = secrets.redis_passwords()[ADMIN]
        in_own_loop(lambda: self._until_ready(database, lambda: postgres.is_ready(ports.postgres, superuser)))
        in_own_loop(lambda: postgres.prepare_database(ports.postgres, secrets))
        in_own_loop(lambda: self._until_ready(cache, lambda: redis.is_ready(ports.redis, administrator)))
        in_own_loop(lambda: self._until_ready(broker, lambda: rabbitmq.is_ready(ports.rabbitmq)))

    async def _until_ready(self, child: Child, is_ready: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not await is_ready():
            if child.exit_code is not None or time.monotonic() > deadline:
                what = "did not get ready" if child.exit_code is None else f"ended with code {child.exit_code}"
                raise ServersError(f"{child.name} {what}. Its last lines ({child.log}):\n{tail(child.log)}")
            await asyncio.sleep(_POLL_S)

    def end(self, name: str) -> None:
        """Stop PostgreSQL or RabbitMQ alone; its data and ports stay."""
        (child,) = (child for child in self._children if child.name == name)
        child.ask_to_stop()
        child.wait_stopped(_STOP_PATIENCE_S)

    def begin(self, name: str) -> None:
        """Start again what `end` has stopped, without waiting for it. Call from the main thread."""
        ports, logs, secrets = self.addresses.ports, self.folder / "logs", self.addresses.secrets
        folder = self.folder / "postgres"
        binaries = find_binaries(postgres.major_of(folder))
        if name == "RabbitMQ":
            broker_ports = (ports.rabbitmq, ports.rabbitmq_nodes, ports.epmd)
            child = rabbitmq.start(self.folder / "rabbitmq", binaries, secrets, broker_ports, logs / "rabbitmq.log")
        else:
            identity = postgres.prepare(folder, binaries, secrets)
            child = postgres.start(
                folder, binaries, identity, ports.postgres, logs / "postgres.log", durable=self.durable
            )
        self._children = [child if each.name == name else each for each in self._children]

    def until_begun(self, name: str) -> None:
        """Wait until what `begin` has started is ready. Raises `ServersError`."""
        (child,) = (child for child in self._children if child.name == name)
        ports, superuser = self.addresses.ports, self.addresses.secrets.server("postgres_superuser")
        if name == "RabbitMQ":
            in_own_loop(lambda: self._until_ready(child, lambda: rabbitmq.is_ready(ports.rabbitmq)))
        else:
            in_own_loop(lambda: self._until_ready(child, lambda: postgres.is_ready(ports.postgres, superuser)))

    def failed(self) -> str | None:
        """Name a server that has ended by itself, with its last log lines; None while all run."""
        for child in self._children:
            if child.exit_code is not None:
                return f"{child.name} ended with code {child.exit_code}. Last lines ({child.log}):\n{tail(child.log)}"
        return None

    def check(self) -> None:
        """Raise `ServersError` when a server has ended by itself."""
        if (failure := self.failed()) is not None:
            raise ServersError(failure)

    def pids(self) -> dict[str, int]:
        """Give the process id of each server."""
        return {child.name: child.pid for child in self._children}

    def stop(self) -> None:
        """Stop all gracefully and give the folder free; safe to repeat."""
        self._stop_children()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _stop_children(self) -> None:
        names_service = [child for child in self._children if child.name == "epmd"]
        for group in ([child for child in self._children if child.name != "epmd"], names_service):
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.wait_stopped(_STOP_PATIENCE_S)
        self._children = []


def in_own_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run async work to its end from plain code, whether or not this thread has an event loop. Raises what it raises.

    It runs on a thread of its own: nothing in it may start a process (see `sigmax_local.processes`).
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="own-loop") as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def is_running(folder: Path) -> bool:
    """Say whether some process holds the servers of this folder."""
    return locks.is_held(folder / "servers.lock")
