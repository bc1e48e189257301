"""The whole platform in containers over a recording, under a project name and a port of its own.

Seen through the gateway alone, as its users see it; what is done to the containers is done as an operator or a fault
would. Its secrets, variables, and recording lie below one folder. What a killed run left is removed at the next start.
"""

import asyncio
import csv
import itertools
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sigmax_local.compose import JOBS, Compose, ComposeError
from sigmax_local.container_list import Container
from sigmax_local.environment import repository
from sigmax_local.gateway import Gateway, GatewayError
from sigmax_local.ports import free_ports
from sigmax_local.servers.containers import read_variables, set_variables, write_environment, write_secrets
from sigmax_local.testkit.platform import ADMIN_PASSWORD, CURRENCY, OWN_PASSWORD, WIDE_LIMITS

T = TypeVar("T")

SYMBOLS = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOT")
"""Chosen so that each shard of the market data has at least one."""
TICKS_PER_S = 30
START_NS = 1_767_605_400_000_000_000
_RECORDING_S = 600
_SWING_S = 4
_STAGGER_S = 0.7
_OVERRIDE = """
services:
  strategy-engine:
    environment:
      SIGMAX_SEED_PARAMS: '{"ema_cross": {"fast": 2, "slow": 4}}'
"""
"""What people do not choose in .env: strategies that trade every few seconds."""
_IMAGES = ("PYTHON_IMAGE", "POSTGRES_IMAGE", "REDIS_IMAGE", "RABBITMQ_IMAGE", "SIGMAX_VERSION")
_POLL_S = 0.25
_STEP_S = 2.0
"""Within which the risk gate takes one step up, or refuses it."""
_SECOND_ADMIN = "second"
_UP_S = 900.0
_TRADING_AGAIN_S = 180.0
"""On a machine that has nothing else to do it takes some seconds; which is told in the report."""
_QUIET_S = 180.0


def engine_problem() -> str | None:
    """Say why no stack can be started here; None when one can."""
    engine = Compose(repository(), repository() / ".env")
    try:
        engine.engine("version", "--format", "{{.Server.Version}}", timeout_s=20)
        engine.run("version", timeout_s=20)
    except ComposeError as error:
        return f"no Docker engine with Compose answers here: {error}"
    return None


def write_recording(path: Path, seconds: int) -> Path:
    """Write trades of all symbols around prices that cross their own average twice in four seconds."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "symbol", "price", "qty", "side"])
        for number in range(seconds * TICKS_PER_S):
            which, turn = number % len(SYMBOLS), number // len(SYMBOLS)
            # Out of step with each other, or all would trade in the same instant.
            phase = (number / TICKS_PER_S + which * _STAGGER_S) % _SWING_S
            price = (99.5 if phase < _SWING_S / 2 else 100.5) + 0.01 * (turn % 3)
            ts = START_NS + number * (1_000_000_000 // TICKS_PER_S)
            writer.writerow([ts, f"{SYMBOLS[which]}{CURRENCY}", f"{price:.2f}", "50", "buy" if number % 2 else "sell"])
    return path


class ContainerStack:
    """One project of Compose over a recording."""

    def __init__(self, project: str, folder: Path) -> None:
        self.folder = folder.resolve()
        self.recordings = self.folder / "recordings"
        self.compose = Compose(
            repository(),
            self.folder / "env",
            project,
            (self.folder / "override.yaml",),
            # What the shell says of another project is not meant for this one.
            {name: value for name, value in os.environ.items() if not name.startswith(("SIGMAX_", "COMPOSE_"))},
        )
        self.gateway: Gateway
        self.started_at = datetime.now(UTC)
        self._commands = itertools.count(time.time_ns())

    def prepare(self, settings: Mapping[str, str] | None = None, *, take_over: bool = False) -> None:
        """Remove what an earlier run left, and write secrets, variables, and the recording.

        `settings` are variables of compose.yaml; `take_over` goes on with what an earlier run left, if there is any.
        """
        if take_over and self.compose.overrides[0].exists():
            return
        self.remove()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.recordings.mkdir(parents=True)
        write_recording(self.recordings / "trades.csv", _RECORDING_S)
        self.compose.overrides[0].write_text(_OVERRIDE, encoding="utf-8")
        write_secrets(self.folder / "secrets")
        known = {**read_variables(repository() / ".env"), **os.environ}
        (port,) = free_ports(1)
        values = {
            **{name: known[name] for name in _IMAGES if name in known},
            "SIGMAX_GATEWAY_PORT": str(port),
            "SIGMAX_SOURCE": "replay",
            "SIGMAX_RECORDINGS": str(self.recordings),
            "SIGMAX_REPLAY_FILE": "/recordings/trades.csv",
            "SIGMAX_REPLAY_LOOP": "true",
            "SIGMAX_SEED_TIMEFRAME_S": "1",
            "SIGMAX_ACCOUNT_CURRENCY": CURRENCY,
            "SIGMAX_OPENING_BALANCES": json.dumps({CURRENCY: "1000000"}),
            "SIGMAX_START_LIMITS": json.dumps(WIDE_LIMITS),
            "SIGMAX_APPROVAL_COOLDOWN_S": "0",
            **(settings or {}),
        }
        set_variables(self.folder / "env", values)
        write_environment(self.folder / "env", self.folder / "secrets", None)

    async def start(self) -> None:
        """Start everything and sign in. Raises `ComposeError`."""
        await self.up()
        self.gateway = Gateway(self.compose.gateway_url)
        await self.sign_in()

    async def sign_in(self) -> None:
        """Open a session as the first admin."""
        password = (self.compose.secrets / "api_gateway" / "first_admin_password").read_text(encoding="utf-8").strip()
        await self.until(lambda: self._signed_in(password), "the gateway lets its first admin in")

    async def _signed_in(self, password: str) -> bool:
        try:
            await self.gateway.sign_in("admin", password)
        except GatewayError:
            return False
        return True

    def remove(self) -> None:
        """Remove containers, networks, and data by the project's name, whatever files there are; safe to repeat."""
        self.compose.engine("compose", "-p", self.compose.project, "down", "--volumes", "--timeout", "10")

    async def on_host(self, *arguments: str, timeout_s: float = _UP_S) -> str:
        """Run a command of Compose beside everything else. Raises `ComposeError`."""
        return await asyncio.to_thread(lambda: self.compose.run(*arguments, timeout_s=timeout_s))

    async def up(self, *arguments: str) -> None:
        """Start containers and wait until they are healthy. Raises `ComposeError`."""
        await asyncio.to_thread(lambda: self.compose.up(*arguments))

    async def engine(self, *arguments: str) -> str:
        """Run a command of Docker beside everything else. Raises `ComposeError`."""
        return await asyncio.to_thread(lambda: self.compose.engine(*arguments))

    async def inside(self, container: str, *command: str, is_checked: bool = True) -> str:
        """Run a command inside a container; give its output. Raises `ComposeError` when it fails and is checked."""
        with suppress(*(() if is_checked else (ComposeError,))):
            return await self.engine("exec", container, *command)
        return ""

    async def containers(self, *services: str) -> list[Container]:
        """Give the containers of some services, else all."""
        return await asyncio.to_thread(lambda: self.compose.containers(*services))

    async def only(self, service: str) -> Container:
        """Give the one container of a service."""
        (container,) = await self.containers(service)
        return container

    async def inspect(self, container: str) -> Any:
        """Give what the engine knows of a container."""
        return json.loads(await self.engine("inspect", container))[0]

    async def metric(self, container: str, name: str) -> float:
        """Give the sum of a metric of one replica over its labels; 0 before it was first counted."""
        page = await self.inside(
            container,
            *(
                "python",
                "-c",
                "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/metrics').read().decode())",
            ),
        )
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in page.splitlines()
            if line.startswith(name) and line[len(name)] in " {"
        )

    async def get(self, path: str, **params: str) -> Any:
        """Read from the gateway. Raises `GatewayError`."""
        return await self.gateway.get(path, **params)

    async def figures(self, since: datetime | None = None) -> Any:
        """Give what was done since a time, else since the start. Raises `GatewayError`."""
        return await self.get("/system/figures", since=(since or self.started_at).isoformat())

    async def until(self, condition: Callable[[], Awaitable[T]], what: str, within_s: float = _TRADING_AGAIN_S) -> T:
        """Poll for something to become true; a gateway or an engine that does not answer is not yet. Fails in time."""
        deadline = time.monotonic() + within_s
        trouble = ""
        while time.monotonic() < deadline:
            try:
                if found := await condition():
                    return found
            except (GatewayError, ComposeError, ValueError) as error:
                trouble = f" ({error})"
            await asyncio.sleep(_POLL_S)
        raise AssertionError(f"not within {within_s:.0f} s: {what}{trouble}")

    async def is_all_healthy(self) -> bool:
        """Say whether each container runs, and passes its health check."""
        found = [one for one in await self.containers() if one.service not in JOBS]
        return all(one.is_healthy for one in found)

    async def trades_again(self, orders: int = 2) -> float:
        """Wait until orders that begin from now on are filled; give the seconds it took.

        Where a fault lasts, as on a slow machine each does, a stage falls, which people alone raise: they do.
        """
        began, now = time.monotonic(), datetime.now(UTC)

        async def filled() -> bool:
            if (await self.figures(now))["orders"].get("filled", 0) >= orders:
                return True
            await self._raise_stages("the fault is over")
            return False

        await self.until(filled, f"{orders} new orders were filled")
        return time.monotonic() - began

    async def broken_books(self) -> list[str]:
        """Give each invariant that does not hold, with what breaks it."""
        told = await self.get("/system/books")
        return [f"{one['invariant']}: {'; '.join(one['broken_by'])}" for one in told["findings"] if not one["holds"]]

    async def comes_to_rest(self) -> list[str]:
        """Let no more prices in, wait until the books are right, and let prices in again; give what stays wrong."""
        await self.on_host("stop", "collector")
        deadline = time.monotonic() + _QUIET_S
        broken = ["the gateway does not answer"]
        while broken and time.monotonic() < deadline:
            with suppress(GatewayError):
                # A service that is stopped for this is not heard of, and has no queue.
                broken = await self.broken_books()
            await asyncio.sleep(_POLL_S)
        await self.on_host("start", "collector")
        return broken

    async def command(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Give the gateway a command. Raises `GatewayError`."""
        return await self.gateway.command(method, path, dict(body), f"container-test-{next(self._commands)}")

    async def resume(self, reason: str) -> None:
        """Lead every scope back to normal, one step at a time, by two people where it takes two. Fails in time."""
        await self.until(lambda: self._raise_stages(reason), "every stage is normal")

    async def _raise_stages(self, reason: str) -> bool:
        """Ask for one step up of every scope that is not normal; say whether there was none."""
        lowered = [one for one in await self.get("/risk/stages") if one["stage"] != "normal"]
        for one in lowered:
            scope = {"scope": one["scope"], "scope_id": one["scope_id"], "reason": reason}
            asked = await self.command("POST", "/risk/resume", scope)
            if asked["approval_url"]:
                await self._approve(asked["approval_url"].removeprefix("/api/v1"))
        await asyncio.sleep(_STEP_S if lowered else 0)
        return not lowered

    async def _approve(self, path: str) -> None:
        """Be the second person, with a login of its own."""
        if not any(user["login"] == _SECOND_ADMIN for user in await self.get("/users")):
            await self.gateway.post("/users", {"login": _SECOND_ADMIN, "role": "admin", "password": ADMIN_PASSWORD})
            async with Gateway(self.gateway.url) as new:
                await new.sign_in(_SECOND_ADMIN, ADMIN_PASSWORD)
                await new.change_password(OWN_PASSWORD)
        async with Gateway(self.gateway.url) as second:
            await second.sign_in(_SECOND_ADMIN, OWN_PASSWORD)
            waiting = await second.get(path)
            await second.post(f"{path}/approve", {"fingerprint": waiting["fingerprint"]})
