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
_POSTURES = ("offensive", "guerrilla", "defensive")
WIDE_LIMITS = {
    "order_notional_max": "1e6",
    "position_notional_max": "1e7",
    "volume_share_max_pct": "100",
    "concentration_max_pct": "100",
    "strategy_budget_pct": "100",
    "strategy_orders_per_s_max": 10_000,
    "account_orders_per_s_max": 10_000,
    "duplicate_window_s": 1,
    "posture_positions_max": dict.fromkeys(_POSTURES, 1_000_000),
    "posture_limit_share_pct": dict.fromkeys(_POSTURES, 0),
    "trade_risk_max_pct": "100",
    "price_gap_max_pct": "100",
    "instrument_open_orders_max": 1_000_000,
    "account_open_orders_max": 1_000_000,
    "strategy_orders_per_run_max": 1_000_000,
    "strategy_orders_per_day_max": 1_000_000,
    "account_orders_per_day_max": 1_000_000,
    "turnover_per_minute_max": "1e12",
    "turnover_per_hour_max": "1e12",
    "turnover_per_day_max": "1e12",
    "loss_minute_max_pct": "100",
    "loss_day_max_pct": "100",
    "drawdown_max_pct": "100",
    "streak_stops_max": 1000,
    "cancel_ratio_caution_pct": "100",
    "cancel_ratio_max_pct": "100",
    "instrument_unknown_max": 1000,
    "account_unknown_max": 1000,
    "alerting_required": False,
    "judged_shadow": False,
    "judged_orders_per_day_max": 1_000_000,
    "judged_notional_per_day_max": "1e12",
    "judged_cooldown_s": 0,
}
"""The gate decides as always; its limits are wide, so that a run shows the path and not a denial."""
_keys = itertools.count(1)
_SECOND_ADMIN = "second"
OWN_PASSWORD = f"{ADMIN_PASSWORD}, chosen by its owner"
_LOWERED = "SELECT scope, scope_id, version FROM risk_gate.stages WHERE stage <> 'normal' ORDER BY scope, scope_id"
_STEP_LOOKS = 40
_STEP_LOOK_S = 0.1


class Platform:
    """A running stack, seen as its users see it, and behind the scenes."""

    def __init__(self, addresses: Addresses, services: dict[str, ServiceProcess], api: httpx2.AsyncClient) -> None:
        self.addresses = addresses
        self.services = services
        self._api = api
        self._second = ""

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
        self._api.headers["Authorization"] = await self._session_of(login)

    async def _session_of(self, login: str, password: str = ADMIN_PASSWORD) -> str:
        answer = await self._api.post("/auth/login", json={"login": login, "password": password})
        return f"Bearer {answer.raise_for_status().json()['access_token']}"

    async def _with_own_password(self, login: str) -> str:
        """Have the owner of a new login choose a password: before that it is no second person's."""
        headers = {"Authorization": await self._session_of(login)}
        body = {"current_password": ADMIN_PASSWORD, "new_password": OWN_PASSWORD}
        (await self._api.post("/auth/password", json=body, headers=headers)).raise_for_status()
        return await self._session_of(login, OWN_PASSWORD)

    async def get(self, path: str, **params: str) -> Any:
        """Read from the gateway. Raises `httpx2.HTTPStatusError` for any other answer than 200."""
        return (await self._api.get(path, params=params)).raise_for_status().json()

    async def command(self, path: str, body: Mapping[str, Any], method: str = "POST") -> Any:
        """Give the gateway a command. Raises `httpx2.HTTPStatusError` when it is not accepted."""
        headers = {"Idempotency-Key": f"platform-command-{next(_keys)}"}
        return (await self._api.request(method, path, json=dict(body), headers=headers)).raise_for_status().json()

    async def command_by_two(self, path: str, body: Mapping[str, Any], method: str = "POST") -> Any:
        """Give a command that waits for a second person, and have another admin approve it.

        Raises `httpx2.HTTPStatusError` where it is not accepted; one that waits for nobody is sent as it is.
        """
        asked = await self.command(path, body, method)
        if asked["approval_url"]:
            if not self._second:
                second = {"login": _SECOND_ADMIN, "role": "admin", "password": ADMIN_PASSWORD}
                (await self._api.post("/users", json=second)).raise_for_status()
                self._second = await self._with_own_password(_SECOND_ADMIN)
            url, headers = asked["approval_url"].removeprefix("/api/v1"), {"Authorization": self._second}
            waiting = (await self._api.get(url, headers=headers)).raise_for_status().json()
            seen = {"fingerprint": waiting["fingerprint"]}
            (await self._api.post(f"{url}/approve", json=seen, headers=headers)).raise_for_status()
        return asked

    async def resume(self, reason: str, within_s: float = 60) -> None:
        """Lead every scope back to normal, one step at a time, by two people where it takes two.

        A step that the risk gate refuses, because no reconciliation is young enough, is asked for again.
        Raises `TimeoutError`.
        """
        async with asyncio.timeout(within_s):
            while lowered := await self.rows(_LOWERED):
                for row in lowered:
                    scope = {"scope": row["scope"], "scope_id": row["scope_id"], "reason": reason}
                    await self.command_by_two("/risk/resume", scope)
                for _ in range(_STEP_LOOKS):
                    if await self.rows(_LOWERED) != lowered:
                        break
                    await asyncio.sleep(_STEP_LOOK_S)

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
        "api-gateway": {"approval_cooldown_s": "0"},
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
