"""A process that is kept up, and the ways by which it reaches the world."""

import signal
from dataclasses import dataclass, field

import httpx2

from sigmax_local.testkit.fault_proxy import FaultProxy
from sigmax_local.testkit.service_process import ServiceProcess


@dataclass
class Kept:
    """One replica of a service, behind proxies of its own."""

    service: str
    replica: int
    postgres: FaultProxy
    rabbitmq: FaultProxy
    process: ServiceProcess | None = None
    starts: int = 0
    is_ready: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Give the name under which it claims what it works on."""
        return f"{self.service}-{self.replica}"

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        if self.process is not None:
            self.process.signal(number)

    async def probe(self, client: httpx2.AsyncClient) -> None:
        """Ask its probe whether it is ready."""
        if self.process is None:
            return
        try:
            answer = await client.get(f"{self.process.url}/health/ready")
        except httpx2.TransportError:
            return
        self.is_ready = answer.status_code == httpx2.codes.OK
        self.problems = list(answer.json().get("problems", []))


@dataclass
class Worker(Kept):
    """An order-worker, and its way to the venue."""

    venue: FaultProxy = field(kw_only=True)


async def is_ready(kept: Kept) -> bool:
    """Ask a probe now."""
    if kept.process is None:
        return False
    async with httpx2.AsyncClient(trust_env=False, timeout=6) as client:
        try:
            return (await client.get(f"{kept.process.url}/health/ready")).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False
