"""A running gateway on real servers, signed in as its first admin."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import httpx2
import pytest_asyncio

from sigmax.schemas.base import NAMESPACE
from sigmax_local.testkit.service_process import running_service

PASSWORD = "the first admin walks by the river"
_POLLS = 200


@dataclass
class Live:
    """A gateway as its users see it, and the servers behind it."""

    servers: Any
    process: Any
    http: httpx2.AsyncClient
    new_client: Callable[[], httpx2.AsyncClient]
    clients: list[httpx2.AsyncClient]
    password: str = PASSWORD
    some_id: UUID = uuid5(NAMESPACE, "some")

    async def login(self, login: str, password: str) -> dict[str, Any]:
        """Sign in as a program does; give the session."""
        answer = await self.http.post(
            "/api/v1/auth/login", json={"login": login, "password": password, "wants_refresh_token": True}
        )
        answer.raise_for_status()
        return answer.json()

    async def signed_in(self, login: str = "admin", password: str = PASSWORD) -> httpx2.AsyncClient:
        """Give a client of a user."""
        session = await self.login(login, password)
        client = self.new_client()
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        return client

    async def user(self, role: str, login: str | None = None) -> httpx2.AsyncClient:
        """Add a user of a role, and give the user's client."""
        admin = await self.signed_in()
        body = {"login": login or role, "role": role, "accounts": ["paper"]}
        added = (await admin.post("/api/v1/users", json=body)).raise_for_status().json()
        return await self.signed_in(added["login"], added["password"])

    async def rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Read or write any schema as the superuser."""
        connection = await asyncpg.connect(self.servers.admin_urls[0])
        try:
            await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()

    async def insert(self, table: str, **values: Any) -> None:
        """Put one row into any service's table."""
        names = ", ".join(f'"{name}"' for name in values)
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        await self.rows(f"INSERT INTO {table} ({names}) VALUES ({places})", *values.values())


async def until(look: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Poll until `look` gives something."""
    for _ in range(_POLLS):
        if found := await look():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"never seen: {what}")


@asynccontextmanager
async def _running(servers: Any, run_service: Any, **settings: str) -> AsyncIterator[Live]:
    clients: list[httpx2.AsyncClient] = []
    chosen = {"login_delay_s": "0", "ticks_interval_s": "0.05", **settings}
    async with run_service("api-gateway", **chosen) as process:

        def new_client() -> httpx2.AsyncClient:
            clients.append(httpx2.AsyncClient(base_url=process.url, trust_env=False))
            return clients[-1]

        yield Live(servers, process, new_client(), new_client, clients)
        for client in clients:
            await client.aclose()


@pytest_asyncio.fixture(scope="module")
async def shared_gateway(cleaner: Any) -> AsyncIterator[tuple[Live, Any]]:
    """Run one gateway for all tests of a file, and remember its first admin."""
    await cleaner.clean()
    servers = cleaner.addresses
    servers.secrets.put("api_gateway", "first_admin_password", PASSWORD)
    async with _running(servers, partial(running_service, servers)) as live:
        yield live, (await live.rows("SELECT * FROM api_gateway.users"))[0]


@pytest_asyncio.fixture
async def live(shared_gateway: tuple[Live, Any], cleaner: Any) -> AsyncIterator[Live]:
    """Give a running gateway over empty tables, with nobody but its first admin."""
    live, admin = shared_gateway
    await cleaner.clean()
    await live.insert("api_gateway.users", **dict(admin))
    opened = len(live.clients)
    yield live
    for client in live.clients[opened:]:
        await client.aclose()
    del live.clients[opened:]


@pytest_asyncio.fixture
async def start_live(clean: Any, run_service: Any) -> Any:
    """Give a function that runs a gateway with settings; `password=None` leaves the first password to it."""

    def start(*, password: str | None = PASSWORD, **settings: str) -> Any:
        if password:
            clean.secrets.put("api_gateway", "first_admin_password", password)
        else:
            (clean.secrets.folder_of("api_gateway") / "first_admin_password").unlink(missing_ok=True)
        return _running(clean, run_service, **settings)

    return start


@pytest_asyncio.fixture
async def poll() -> Any:
    """Give the function that waits for an effect."""
    return until
