"""The whole stack as processes over a recording: for tests through the whole path, and for measuring."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from sigmax_local.ports import LOOPBACK, free_ports
from sigmax_local.servers import Addresses
from sigmax_local.testkit.service_process import ServiceProcess, running_service

CURRENCY = "USDT"
ADMIN_PASSWORD = "a long enough password for tests"  # noqa: S105 - of stacks that live for one test
WIDE_LIMITS = {
    "order_notional_max": "1e6",
    "position_notional_max": "1e7",
    "volume_share_max_pct": "100",
    "concentration_max_pct": "100",
    "strategy_budget_pct": "100",
    "strategy_orders_per_s_max": 10_000,
    "account_orders_per_s_max": 10_000,
    "duplicate_window_s": 1,
}
"""The gate decides as always; its limits are wide, so that a run shows the path and not a denial."""
_keys = itertools.count(1)


class Platform:
    """A running stack, seen as its users see it, and behind the scenes."""

    def __init__(self, addresses: Addresses, services: dict[str, ServiceProcess], api: httpx2.AsyncClient) -> None:
        self.addresses = addresses
        self.services = services
        self._api = api

    async def sign_in(self) -> None:
        """Log in to the gateway as the first admin."""
        await self._log_in("admin")

    async def sign_in_as_trader(self) -> None:
        """Have the admin add a trader of the paper account, and log in as that trader."""
        await self.sign_in()
        trader = {"login": "trader", "role": "trader", "accounts": ["paper"], "password": ADMIN_PASSWORD}
        (await self._api.post("/users", json=trader)).raise_for_status()
        await self._log_in("trader")

    async def _log_in(self, login: str) -> None:
        answer = await self._api.post("/auth/login", json={"login": login, "password": ADMIN_PASSWORD})
        self._api.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"

    async def get(self, path: str, **params: str) -> Any:
        """Read from the gateway. Raises `httpx2.HTTPStatusError` for any other answer than 200."""
        return (await self._api.get(path, params=params)).raise_for_status().json()

    async def command(self, path: str, body: Mapping[str, Any], method: str = "POST") -> Any:
        """Give the gateway a command. Raises `httpx2.HTTPStatusError` when it is not accepted."""
        headers = {"Idempotency-Key": f"platform-command-{next(_keys)}"}
        return (await self._api.request(method, path, json=dict(body), headers=headers)).raise_for_status().json()

    async def rows(self, sql: str, *values: object) -> list[asyncpg.Record]:
        """Read rows of any schema."""
        connection = await asyncpg.connect(self.addresses.admin_urls[0])
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def value(self, sql: str, *values: object) -> Any:
        """Read one value of any schema."""
        return (await self.rows(sql, *values))[0][0]

    async def metric(self, service: str, name: str) -> float:
        """Give the sum of a metric over its labels; 0 before it was first counted."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"{self.services[service].url}/metrics")).text
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in page.splitlines()
            if line.startswith(name) and line[len(name)] in " {"
        )

    def rss_mb(self) -> dict[str, float]:
        """Give the resident memory of each service in MB."""
        return {name: _rss_mb(service.pid) for name, service in self.services.items()}


@asynccontextmanager
async def running_platform(
    addresses: Addresses,
    recording: Path,
    *,
    speed: float = 1,
    workers: int = 1,
    limits: Mapping[str, object] | None = None,
    without: tuple[str, ...] = (),
    settings: Mapping[str, Mapping[str, str]] | None = None,
) -> AsyncIterator[Platform]:
    """Run the services over a recording, the collector last, so that all others are there for its first tick.

    `limits` replace some of the wide start limits, `settings` are a service's own by its name, `without` leaves some
    services out; several `workers` are named `order-worker-0` and so on.
    """
    (venue_port,) = free_ports(1)
    addresses.secrets.put("api_gateway", "first_admin_password", ADMIN_PASSWORD)
    account = {"account_currency": CURRENCY}
    own: dict[str, dict[str, str]] = {
        "scheduler": {},
        "notifier": {},
        "llm-controller": {},
        "paper-venue": {
            "http_port": str(venue_port),
            "opening_balances": json.dumps({CURRENCY: "1000000"}),
            "admin_enabled": "true",
        },
        "risk-gate": {**account, "start_limits": json.dumps({**WIDE_LIMITS, **(limits or {})})},
        "order-worker": {**account, "venue_url": f"http://{LOOPBACK}:{venue_port}"},
        "api-gateway": {},
        "strategy-engine": {},
        "collector": {"source": "replay", "replay_file": str(recording), "replay_speed": str(speed)},
    }
    async with AsyncExitStack() as stack:
        services: dict[str, ServiceProcess] = {}

        async def start(service: str, replica: int = 0) -> None:
            values = {**own[service], **(settings or {}).get(service, {}), "replica": str(replica)}
            name = f"{service}-{replica}" if service == "order-worker" and workers > 1 else service
            services[name] = await stack.enter_async_context(running_service(addresses, service, **values))

        wanted = [name for name in own if name not in {*without, "collector"}]
        replicas = [(name, replica) for name in wanted for replica in range(workers if name == "order-worker" else 1)]
        await asyncio.gather(*(start(name, replica) for name, replica in replicas))
        await start("collector")
        gateway = services.get("api-gateway")
        api = httpx2.AsyncClient(base_url=f"{gateway.url}/api/v1" if gateway else "", trust_env=False, timeout=10)
        yield Platform(addresses, services, await stack.enter_async_context(api))


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0
