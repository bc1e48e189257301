"""The whole platform on this machine: three private servers, nine services, one folder of data."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

from sigmax.runtime.migrate import migrate
from sigmax.schemas.topology import SERVICES, owner_of
from sigmax_local import locks
from sigmax_local.environment import adopt_secrets, make_secrets, service_environment
from sigmax_local.feed import Feed
from sigmax_local.ports import LOOPBACK, free_ports, prefer
from sigmax_local.servers import Addresses, Servers
from sigmax_local.servers.trio import in_own_loop
from sigmax_local.supervisor import Program, Supervisor

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


class StackRunningError(RuntimeError):
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


class Stack:
    """One run of the platform. Call from the main thread."""

    def __init__(self, home: Home, feed: Feed) -> None:
        self.home = home
        self.feed = feed
        self.folder = home.folder / feed.name
        self.servers = Servers(self.folder, durable=True)
        self.is_first_start = False
        self.ports: dict[str, int] = {}
        self.supervisor: Supervisor
        self._told_at = 0.0

    @property
    def addresses(self) -> Addresses:
        """Give where the servers are."""
        return self.servers.addresses

    @property
    def gateway_url(self) -> str:
        """Give the address for people."""
        return f"http://{LOOPBACK}:{self.ports['api-gateway']}"

    @property
    def admin_password(self) -> str:
        """Give the password that `admin` got at the first start."""
        return self.addresses.secrets.get("api_gateway", "first_admin_password")

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
        if service == "collector":
            return {"replay_run": f"{time.time_ns()}"}
        return {}

    def on_turn(self) -> None:
        """Look after the servers and tell how all fare. Raises `ServersError` when a server has ended."""
        self.servers.check()
        if time.monotonic() > self._told_at + 1:
            self._told_at = time.monotonic()
            self.tell()

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
