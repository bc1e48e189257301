"""One service as a process, for tests."""

import asyncio
import itertools
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from sigmax.schemas.topology import owner_of
from sigmax_local.environment import service_environment
from sigmax_local.ports import LOOPBACK, free_ports
from sigmax_local.processes import Child, spawn, tail
from sigmax_local.servers import Addresses

_READY_TIMEOUT_S = 120.0
_STOP_PATIENCE_S = 30.0
_POLL_S = 0.05
_numbers = itertools.count(1)


class ServiceProcess:
    """A running service."""

    def __init__(self, service: str, child: Child, url: str) -> None:
        self.service = service
        self.url = url
        self._child = child

    @property
    def pid(self) -> int:
        """Give the process id."""
        return self._child.pid

    @property
    def log(self) -> Path:
        """Give the file with its JSON log."""
        return self._child.log

    @property
    def exit_code(self) -> int | None:
        """Give the exit code; None while it runs."""
        return self._child.exit_code

    def signal(self, number: signal.Signals) -> None:
        """Send any signal, such as SIGSTOP."""
        self._child.signal(number)

    async def kill(self) -> None:
        """End it with `kill -9`, as a crash does."""
        await asyncio.to_thread(self._child.kill)

    async def stop(self) -> None:
        """End it gracefully; after 30 s by force."""
        self._child.ask_to_stop()
        await asyncio.to_thread(self._child.wait_stopped, _STOP_PATIENCE_S)

    async def until_ready(self) -> None:
        """Wait until `/health/ready` says 200. Raises `AssertionError` with the log's end when it does not come."""
        problems = "it does not answer"
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S), httpx2.AsyncClient(trust_env=False) as client:
                while self.exit_code is None:
                    try:
                        answer = await client.get(f"{self.url}/health/ready")
                        if answer.status_code == 200:
                            return
                        problems = answer.text
                    except httpx2.TransportError:
                        pass
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            pass
        raise AssertionError(f"{self.service} is not ready ({problems}), exit code {self.exit_code}:\n{tail(self.log)}")


@asynccontextmanager
async def running_service(addresses: Addresses, service: str, **settings: str) -> AsyncIterator[ServiceProcess]:
    """Start `python -m sigmax.runtime <package>`, wait until it is ready, and stop it in the end.

    `settings` are named like the service's settings: `venue_url="http://127.0.0.1:9999"`.
    """
    port = int(settings.get("http_port", 0)) or free_ports(1)[0]
    env = service_environment(addresses, service, port, **{**settings, "http_port": str(port)})
    log = addresses.folder / "logs" / f"{service}-{next(_numbers)}.log"
    child = spawn(service, [sys.executable, "-m", "sigmax.runtime", owner_of(service)], log=log, env=env)
    process = ServiceProcess(service, child, f"http://{LOOPBACK}:{port}")
    try:
        await process.until_ready()
        yield process
    finally:
        await process.stop()
