"""The whole platform as processes of this machine: three private servers, nine services, one folder of data."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from sigmax.runtime.migrate import migrate
from sigmax.schemas.topology import SERVICES, owner_of
from sigmax_local import locks
from sigmax_local.environment import adopt_secrets, make_secrets, service_environment
from sigmax_local.feed import Feed
from sigmax_local.ports import LOOPBACK, free_ports, prefer
from sigmax_local.processes import is_alive, tail
from sigmax_local.runs import Kind, Part, StackError
from sigmax_local.servers import Addresses, Servers, ServersError
from sigmax_local.servers.trio import in_own_loop
from sigmax_local.supervisor import GaveUpError, Program, Supervisor

GATEWAY_PORT = 8080
STOP_ORDER = (
    ("collector", "scheduler"),
    ("strategy-engine",),
    ("llm-controller",),
    ("risk-gate",),
    ("order-worker",),
    ("notifier", "api-gateway"),
    ("paper-venue",),
)
"""Along the path: who still works on what came before finds the next one running."""
_PASSED_ON = ("SIGMAX_MODEL_", "SIGMAX_OTLP_ENDPOINT", "SIGMAX_LOG_LEVEL", "SIGMAX_TRACE_RATIO")
"""What people may set in their shell for all services; everything else follows from the stack."""
_COOLDOWN_S = "60"
"""Processes trade with paper money alone: who tries the platform out waits a minute, not a day, for a second login."""
_READY_TIMEOUT_S = 120.0
_DOWN_TIMEOUT_S = 120.0
_POLL_S = 0.2


class StackRunningError(StackError):
    """A stack of this clone runs already."""


class Home:
    """The folder `.sigmax` of a clone, and the one stack that may run in it."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.folder = repository / ".sigmax"
        self._lock: IO[str] | None = None

    @property
    def state_file(self) -> Path:
        """Give the file that tells how the running stack fares."""
        return self.folder / "stack.json"

    def take(self) -> None:
        """Claim the clone for this process. Raises `StackRunningError`."""
        self.folder.mkdir(exist_ok=True)
        self._lock = locks.hold(self.folder / "stack.lock")
        if self._lock is None:
            raise StackRunningError("The stack of this clone runs already. `sigmax down` stops it.")
        self.state_file.unlink(missing_ok=True)  # of a run that was killed
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def release(self) -> None:
        """Give the clone free."""
        self.state_file.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_taken(self) -> bool:
        """Say whether a stack of this clone runs."""
        return locks.is_held(self.folder / "stack.lock")

    def state(self) -> dict[str, Any] | None:
        """Give what the running stack last told; None when none runs."""
        if not self.is_taken():
            return None
        try:
            state: dict[str, Any] = json.loads(self.state_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"pid": int((self.folder / "stack.lock").read_text() or 0), "ready": False, "services": {}}
        return state


class FoundProcesses:
    """The stack that another process of this clone runs, as its state file tells."""

    kind = Kind.PROCESSES

    def __init__(self, home: Home, state: Mapping[str, Any]) -> None:
        self._home = home
        self._state = state

    @classmethod
    def find(cls, home: Home) -> "FoundProcesses | None":
        """Give the running stack of a clone; None when none runs."""
        state = home.state()
        return None if state is None else cls(home, state)

    @property
    def prices(self) -> str:
        """Name where prices come from."""
        return str(self._state.get("feed", "just starting"))

    @property
    def gateway_url(self) -> str:
        """Give the address for people; empty while it is just starting."""
        return str(self._state.get("gateway_url", ""))

    @property
    def secrets(self) -> Path:
        """Give the folder that holds `<owner>/<secret>`."""
        return Path(self._state.get("folder", self._home.folder)) / "secrets"

    @property
    def parts(self) -> Sequence[Part]:
        """Give how each service fares."""
        return [
            Part(name, one["health"], one["restarts"], str(one["pid"] or ""), tuple(one["problems"]))
            for name, one in self._state["services"].items()
        ]

    @property
    def is_ready(self) -> bool:
        """Say whether everything is ready."""
        return bool(self._state["ready"])

    def log_lines(self, service: str, lines: int, *, follow: bool) -> Iterator[str]:
        """Give the last lines that a service wrote. Raises `StackError`."""
        folder = self._home.folder if "folder" not in self._state else Path(self._state["folder"])
        return log_lines(folder / "logs", service, lines, follow=follow)

    def take_down(self) -> None:
        """Have the stack's process stop everything. Raises `StackError`."""
        pid = self._state["pid"]
        if not pid:
            raise StackError("It is just starting: try again in a moment.")
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _DOWN_TIMEOUT_S
        while self._home.is_taken() or is_alive(pid):
            if time.monotonic() > deadline:
                raise StackError(f"Process {pid} has not ended.")
            time.sleep(_POLL_S)


def log_lines(folder: Path, service: str, lines: int, *, follow: bool) -> Iterator[str]:
    """Give the last lines of a service's log, and with `follow` all that come. Raises `StackError`."""
    log = folder / f"{service}.log"
    if not log.exists():
        names = ", ".join(sorted(path.stem for path in folder.glob("*.log")))
        raise StackError(f"There is no log of {service}. There are: {names or 'none yet'}")
    return _lines_of(log, lines, follow=follow)


def _lines_of(log: Path, lines: int, *, follow: bool) -> Iterator[str]:
    position = log.stat().st_size
    yield from tail(log, lines).splitlines()
    while follow:
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


def newest_logs(home: Home) -> Path | None:
    """Give the logs of the run that wrote last; None where nothing has run."""
    folders = sorted(home.folder.glob("*/logs"), key=lambda folder: folder.stat().st_mtime)
    return folders[-1] if folders else None


class ProcessRun:
    """One run of the platform as processes of this one. Call from the main thread."""

    kind = Kind.PROCESSES

    def __init__(self, home: Home, feed: Feed) -> None:
        self.home = home
        self.feed = feed
        self.folder = home.folder / feed.name
        self.servers = Servers(self.folder, durable=True)
        self.is_first_start = False
        self.ports: dict[str, int] = {}
        self.supervisor: Supervisor
        self._told_at = 0.0
        self._started_at = time.monotonic()
        self._was_ready = False

    @property
    def addresses(self) -> Addresses:
        """Give where the servers are."""
        return self.servers.addresses

    @property
    def gateway_url(self) -> str:
        """Give the address for people."""
        return f"http://{LOOPBACK}:{self.ports['api-gateway']}"

    @property
    def prices(self) -> str:
        """Name where prices come from."""
        return self.feed.title

    @property
    def secrets(self) -> Path:
        """Give the folder that holds `<owner>/<secret>`."""
        return self.addresses.secrets.folder

    @property
    def parts(self) -> Sequence[Part]:
        """Give how each service fares."""
        return [
            Part(one.program.name, one.health, one.restarts, str(one.pid or ""), tuple(one.problems))
            for one in self.supervisor.watched
        ]

    @property
    def is_ready(self) -> bool:
        """Say whether every service is ready now."""
        return self.supervisor.are_all_ready

    async def keep_up(self) -> None:
        """Run the services and watch them until cancelled. Raises `StackError`."""
        try:
            await self.supervisor.run(self._on_turn)
        except (GaveUpError, ServersError) as error:
            raise StackError(str(error)) from None

    async def stop_prices(self) -> None:
        """Stop the collector, so that what is under way comes to its end."""
        await self.supervisor.retire("collector")

    async def stop(self) -> None:
        """Stop the services along the path."""
        await self.supervisor.stop(STOP_ORDER)

    def start_servers(self) -> None:
        """Start the servers, make secrets, and migrate. Raises what `Servers.start` raises."""
        self.folder.mkdir(parents=True, exist_ok=True)
        addresses = self.servers.start()
        store = addresses.secrets
        make_secrets(store)
        adopt_secrets(store, self.home.folder / "given")
        self.is_first_start = not store.has("api_gateway", "first_admin_password")
        store.get("api_gateway", "first_admin_password")
        in_own_loop(lambda: _migrate(addresses, self.home.repository / "services"))

    def prepare_services(self) -> None:
        """Choose ports and make the supervisor; nothing is started yet."""
        self._started_at = time.monotonic()
        others = [service for service in SERVICES if service != "api-gateway"]
        self.ports = {"api-gateway": prefer(GATEWAY_PORT), **dict(zip(others, free_ports(len(others)), strict=True))}
        # The feed comes last: nobody misses a tick, and a replay begins when somebody trades on it.
        groups = [[service for service in SERVICES if service != "collector"], ["collector"]]
        self.supervisor = Supervisor([[self._program(service) for service in group] for group in groups])

    def _program(self, service: str) -> Program:
        port = self.ports[service]
        passed_on = {
            name.removeprefix("SIGMAX_").lower(): value
            for name, value in os.environ.items()
            if name.startswith(_PASSED_ON)
        }
        settings = {**self.feed.settings_of(service), **passed_on, **self._settings_of(service)}
        return Program(
            name=service,
            command=[sys.executable, "-m", "sigmax.runtime", owner_of(service)],
            env=service_environment(self.addresses, service, port, **settings),
            log=self.folder / "logs" / f"{service}.log",
            url=f"http://{LOOPBACK}:{port}",
        )

    def _settings_of(self, service: str) -> dict[str, str]:
        if service == "order-worker":
            return {"venue_url": f"http://{LOOPBACK}:{self.ports['paper-venue']}"}
        if service == "notifier":
            return {"alert_file": str(self.folder / "logs" / "alerts.jsonl")}
        if service == "api-gateway":
            return {"approval_cooldown_s": _COOLDOWN_S}
        if service == "collector":
            return {"replay_run": f"{time.time_ns()}"}
        return {}

    def _on_turn(self) -> None:
        """Look after the servers and tell how all fare. Raises `ServersError` when a server has ended."""
        self.servers.check()
        self._check_start()
        if time.monotonic() > self._told_at + 1:
            self._told_at = time.monotonic()
            self.tell()

    def _check_start(self) -> None:
        self._was_ready |= self.is_ready
        if self._was_ready or time.monotonic() - self._started_at < _READY_TIMEOUT_S:
            return
        said = "\n".join(
            f"{one.program.name}: {'; '.join(one.problems)}\n{tail(one.program.log, 5)}"
            for one in self.supervisor.watched
            if not one.is_ready
        )
        raise StackError(f"Not ready after {_READY_TIMEOUT_S:.0f} s:\n{said}")

    def tell(self) -> None:
        """Write the state file; a reader sees a whole file or the one before."""
        services = {
            one.program.name: {
                "pid": one.pid,
                "url": one.program.url,
                "health": one.health,
                "problems": one.problems,
                "restarts": one.restarts,
                "log": str(one.program.log),
            }
            for one in self.supervisor.watched
        }
        state = {
            "pid": os.getpid(),
            "folder": str(self.folder),
            "feed": self.feed.title,
            "gateway_url": self.gateway_url,
            "ready": self.supervisor.are_all_ready,
            "services": services,
            "servers": self.servers.pids(),
        }
        self.addresses.save(self.folder / "state.json")
        partial = self.home.state_file.with_name(".stack.json.partial")
        partial.write_text(json.dumps(state, indent=1), encoding="utf-8")
        partial.replace(self.home.state_file)

    def stop_servers(self) -> None:
        """Stop the servers; safe to repeat."""
        self.servers.stop()
        (self.folder / "state.json").unlink(missing_ok=True)


async def _migrate(addresses: Addresses, services: Path) -> None:
    # Alembic runs an event loop of its own.
    await asyncio.to_thread(migrate, addresses.migrator_url, services)
