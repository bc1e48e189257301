"""Three order-workers, each behind proxies of its own, the paper venue, and, where it is wanted, a real risk-gate."""

import asyncio
import itertools
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2

from sigmax.schemas.topology import owner_of
from sigmax_local.chaos.matrix.kept import Kept, Worker
from sigmax_local.chaos.matrix.points import Bug, Control
from sigmax_local.environment import service_environment
from sigmax_local.ports import LOOPBACK, free_ports
from sigmax_local.processes import spawn
from sigmax_local.servers import Addresses, Servers
from sigmax_local.testkit.fault_proxy import FaultProxy, fault_proxy
from sigmax_local.testkit.service_process import ServiceProcess

CURRENCY = "USDT"
MONEY = "10000000"
WORKERS = 3
WORKER_SETTINGS = {
    "account_currency": CURRENCY,
    "submit_timeout_s": "1",
    "recv_window_ms": "1000",
    "send_s": "1.5",
    "lease_s": "4",
    "first_look_s": "0.5",
    "reconcile_s": "5",
}
"""Short waits in the law's proportions: `send_s` + timeout < lease."""
ABSENCE_S = 30.0
"""What order-safety.md asks for."""
ABSENCE_SHORT_S = 4.0
"""Twice the receive window and the timeout together: the least that the law's proportion allows for these settings."""
_WORKER_MODULE = "sigmax_local.chaos.matrix.worker"
_WATCH_S = 0.05
_READY_S = 240.0
_PROBE_S = 0.1
_numbers = itertools.count(1)


class ChaosStack:
    """Runs and watches the processes: one that ends is started again at once."""

    def __init__(
        self,
        addresses: Addresses,
        control: Control,
        *,
        absence_s: float,
        bug: Bug | None = None,
        servers: Servers | None = None,
        money: str = MONEY,
        gate_settings: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a stack; with `gate_settings` a real risk-gate belongs to it. Nothing runs yet."""
        self.addresses = addresses
        self.control = control
        self.workers: list[Worker] = []
        self.gate: Kept | None = None
        self.venue_url = ""
        self.venue: ServiceProcess
        self.restarts = 0
        self._absence_s = absence_s
        self._bug = bug
        self._servers = servers
        self._money = money
        self._gate_settings = gate_settings
        self._watching: asyncio.Task[None] | None = None

    @property
    def kept(self) -> list[Kept]:
        """Give every process that is kept up."""
        return [*self.workers, *([self.gate] if self.gate is not None else [])]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ChaosStack"]:
        """Run the venue, and after `start` all others, for the length of the block."""
        async with AsyncExitStack() as stack:
            (venue_port,) = free_ports(1)
            self.venue_url = f"http://{LOOPBACK}:{venue_port}"
            balances = {"opening_balances": json.dumps({CURRENCY: self._money}), "admin_enabled": "true"}
            self.venue = self._spawn("paper-venue", "sigmax.runtime", ["paper_venue"], venue_port, balances)
            stack.push_async_callback(self.venue.stop)
            ports = (self.addresses.ports.postgres, self.addresses.ports.rabbitmq)
            for replica in range(WORKERS):
                lines = [await stack.enter_async_context(fault_proxy(port)) for port in (*ports, venue_port)]
                self.workers.append(Worker("order-worker", replica, lines[0], lines[1], venue=lines[2]))
            if self._gate_settings is not None:
                lines = [await stack.enter_async_context(fault_proxy(port)) for port in ports]
                self.gate = Kept("risk-gate", 0, lines[0], lines[1])
            stack.push_async_callback(self._stop)
            await self.venue.until_ready()
            yield self

    async def start(self) -> None:
        """Start the workers and the gate, and keep them up from now on."""
        self._watching = asyncio.create_task(self._watch())
        await self.until_all_ready()

    async def until_all_ready(self) -> None:
        """Wait until everything says anew that it is ready. Raises `TimeoutError` with what keeps them."""
        await self.venue.until_ready()
        for each in self.kept:
            each.is_ready = False  # it is asked again: what the cell before took away may not be back
        await self._until(len(self.kept), self.kept)

    async def until_ready(self, count: int) -> None:
        """Wait until so many workers are ready. Raises `TimeoutError` with what keeps them."""
        await self._until(count, list(self.workers))

    async def restart_server(self, name: str, away_s: float = 0.0) -> None:
        """Stop a server and start it again on its data, `away_s` later. Raises `RuntimeError` for others' servers."""
        if self._servers is None:
            raise RuntimeError("these servers are somebody else's")
        await asyncio.to_thread(self._servers.end, name)
        await asyncio.sleep(away_s)
        self._servers.begin(name)
        await asyncio.to_thread(self._servers.until_begun, name)

    def worker(self, replica: int) -> Worker:
        """Give one worker."""
        return self.workers[replica]

    async def _until(self, count: int, group: list[Kept]) -> None:
        deadline = time.monotonic() + _READY_S
        while sum(each.is_ready for each in group) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"not ready: { ({each.name: each.problems for each in group if not each.is_ready}) }"
                )
            await asyncio.sleep(_WATCH_S)

    async def _watch(self) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=2) as client:
            await asyncio.gather(*(self._keep(each, client) for each in self.kept))

    async def _keep(self, kept: Kept, client: httpx2.AsyncClient) -> None:
        while True:
            process = kept.process
            if process is None or process.exit_code is not None:
                kept.is_ready = False
                self.restarts += kept.starts > 0
                kept.process = self._start(kept)
                kept.starts += 1
            elif not kept.is_ready:
                await kept.probe(client)
            await asyncio.sleep(_WATCH_S if kept.is_ready else _PROBE_S)

    def _start(self, kept: Kept) -> ServiceProcess:
        common = {
            "replica": str(kept.replica),
            "account_currency": CURRENCY,
            "database_url": _through(self.addresses.database_url, self.addresses.ports.postgres, kept.postgres),
            "rabbitmq_url": _through(self.addresses.rabbitmq_url, self.addresses.ports.rabbitmq, kept.rabbitmq),
        }
        (port,) = free_ports(1)
        if not isinstance(kept, Worker):
            settings = {**common, **(self._gate_settings or {})}
            return self._spawn(kept.service, "sigmax.runtime", [owner_of(kept.service)], port, settings)
        own = {"absence_window_s": str(self._absence_s), "venue_url": f"http://{LOOPBACK}:{kept.venue.port}"}
        return self._spawn(kept.service, _WORKER_MODULE, [], port, {**WORKER_SETTINGS, **common, **own})

    def _spawn(
        self, service: str, module: str, arguments: list[str], port: int, settings: Mapping[str, str]
    ) -> ServiceProcess:
        env = service_environment(self.addresses, service, port, **settings)
        command = [sys.executable, "-m", module, *arguments]
        log = self.control.folder / f"{service}-{settings.get('replica', '')}-{next(_numbers)}.log"
        child = spawn(service, command, log=log, env={**env, **self.control.environment(self._bug)})
        return ServiceProcess(service, child, f"http://{LOOPBACK}:{port}")

    async def _stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        processes = [each.process for each in self.kept if each.process is not None]
        for process in processes:
            process.signal(signal.SIGCONT)
        await asyncio.gather(*(process.kill() for process in processes))


def new_control(folder: Path) -> Control:
    """Make a folder for points, flags, and logs."""
    folder.mkdir(parents=True, exist_ok=True)
    return Control(folder)


def _through(url: str, port: int, proxy: FaultProxy) -> str:
    return url.replace(f":{port}", f":{proxy.port}")
