"""Three order-workers, each behind proxies of its own, and the paper venue: processes that are started again."""

import asyncio
import itertools
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from sigmax_local.chaos.matrix.points import Bug, Control
from sigmax_local.environment import service_environment
from sigmax_local.ports import LOOPBACK, free_ports
from sigmax_local.processes import spawn
from sigmax_local.servers import Addresses, Servers
from sigmax_local.testkit.fault_proxy import FaultProxy, fault_proxy
from sigmax_local.testkit.service_process import ServiceProcess

CURRENCY = "USDT"
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
_WATCH_S = 0.05
_READY_S = 60.0
_PROBE_S = 0.1
_numbers = itertools.count(1)


@dataclass
class Worker:
    """One replica and the ways by which it reaches the world."""

    replica: int
    postgres: FaultProxy
    rabbitmq: FaultProxy
    venue: FaultProxy
    process: ServiceProcess | None = None
    starts: int = 0
    is_ready: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Give the name under which it claims orders."""
        return f"order-worker-{self.replica}"

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        if self.process is not None:
            self.process.signal(number)


class ChaosStack:
    """Runs and watches the processes: a worker that ends is started again at once."""

    def __init__(
        self,
        addresses: Addresses,
        control: Control,
        *,
        absence_s: float,
        bug: Bug | None = None,
        servers: Servers | None = None,
    ) -> None:
        self.addresses = addresses
        self.control = control
        self.workers: list[Worker] = []
        self.venue_url = ""
        self.venue: ServiceProcess
        self.restarts = 0
        self._absence_s = absence_s
        self._bug = bug
        self._servers = servers
        self._watching: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ChaosStack"]:
        """Run the venue, and after `start_workers` the workers, for the length of the block."""
        async with AsyncExitStack() as stack:
            (venue_port,) = free_ports(1)
            self.venue_url = f"http://{LOOPBACK}:{venue_port}"
            balances = {"opening_balances": json.dumps({CURRENCY: "10000000"}), "admin_enabled": "true"}
            self.venue = self._spawn("paper-venue", "sigmax.runtime", ["paper_venue"], venue_port, balances)
            stack.push_async_callback(self.venue.stop)
            for replica in range(WORKERS):
                postgres, rabbitmq, venue = [
                    await stack.enter_async_context(fault_proxy(port))
                    for port in (self.addresses.ports.postgres, self.addresses.ports.rabbitmq, venue_port)
                ]
                self.workers.append(Worker(replica, postgres, rabbitmq, venue))
            stack.push_async_callback(self._stop_workers)
            await self.venue.until_ready()
            yield self

    async def start_workers(self) -> None:
        """Start all workers, and keep them up from now on."""
        self._watching = asyncio.create_task(self._watch())
        await self.until_ready(WORKERS)

    async def until_ready(self, count: int) -> None:
        """Wait until so many workers are ready. Raises `TimeoutError` with what keeps them."""
        deadline = time.monotonic() + _READY_S
        while sum(worker.is_ready for worker in self.workers) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"workers are not ready: {[worker.problems for worker in self.workers]}")
            await asyncio.sleep(_WATCH_S)

    async def restart_server(self, name: str) -> None:
        """Stop a server and start it again on its data. Raises `RuntimeError` for servers of somebody else."""
        if self._servers is None:
            raise RuntimeError("these servers are somebody else's")
        await asyncio.to_thread(self._servers.end, name)
        self._servers.begin(name)
        await asyncio.to_thread(self._servers.until_begun, name)

    def worker(self, replica: int) -> Worker:
        """Give one worker."""
        return self.workers[replica]

    async def _watch(self) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=2) as client:
            await asyncio.gather(*(self._keep(worker, client) for worker in self.workers))

    async def _keep(self, worker: Worker, client: httpx2.AsyncClient) -> None:
        while True:
            process = worker.process
            if process is None or process.exit_code is not None:
                worker.is_ready = False
                self.restarts += worker.starts > 0
                worker.process = self._start(worker)
                worker.starts += 1
            elif not worker.is_ready:
                await self._probe(worker, process, client)
            await asyncio.sleep(_WATCH_S if worker.is_ready else _PROBE_S)

    async def _probe(self, worker: Worker, process: ServiceProcess, client: httpx2.AsyncClient) -> None:
        try:
            answer = await client.get(f"{process.url}/health/ready")
        except httpx2.TransportError:
            return
        worker.is_ready = answer.status_code == httpx2.codes.OK
        worker.problems = list(answer.json().get("problems", []))

    def _start(self, worker: Worker) -> ServiceProcess:
        settings = {
            **WORKER_SETTINGS,
            "absence_window_s": str(self._absence_s),
            "replica": str(worker.replica),
            "venue_url": f"http://{LOOPBACK}:{worker.venue.port}",
            "database_url": _through(self.addresses.database_url, self.addresses.ports.postgres, worker.postgres),
            "rabbitmq_url": _through(self.addresses.rabbitmq_url, self.addresses.ports.rabbitmq, worker.rabbitmq),
        }
        (port,) = free_ports(1)
        return self._spawn("order-worker", "sigmax_local.chaos.matrix.worker", [], port, settings)

    def _spawn(
        self, service: str, module: str, arguments: list[str], port: int, settings: Mapping[str, str]
    ) -> ServiceProcess:
        env = service_environment(self.addresses, service, port, **settings)
        command = [sys.executable, "-m", module, *arguments]
        log = self.control.folder / f"{service}-{settings.get('replica', '')}-{next(_numbers)}.log"
        child = spawn(service, command, log=log, env={**env, **self.control.environment(self._bug)})
        return ServiceProcess(service, child, f"http://{LOOPBACK}:{port}")

    async def _stop_workers(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        processes = [worker.process for worker in self.workers if worker.process is not None]
        for process in processes:
            process.signal(signal.SIGCONT)
        await asyncio.gather(*(process.kill() for process in processes))


async def is_ready(worker: Worker) -> bool:
    """Ask a worker's probe now."""
    if worker.process is None:
        return False
    async with httpx2.AsyncClient(trust_env=False, timeout=6) as client:
        try:
            return (await client.get(f"{worker.process.url}/health/ready")).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False


def new_control(folder: Path) -> Control:
    """Make a folder for points, flags, and logs."""
    folder.mkdir(parents=True, exist_ok=True)
    return Control(folder)


def _through(url: str, port: int, proxy: FaultProxy) -> str:
    return url.replace(f":{port}", f":{proxy.port}")
