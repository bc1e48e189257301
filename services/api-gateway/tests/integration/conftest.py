"""A running gateway on real servers, signed in as its first admin."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid5

import asyncpg
import httpx2
import pytest_asyncio

from sigmax.schemas.base import NAMESPACE
from sigmax_local.testkit.service_process import running_service

PASSWORD = "the first admin walks by the river"
_POLLS = 200
A_DAY_AGO = "password_set_at = password_set_at - interval '1 day', rights_set_at = rights_set_at - interval '1 day'"
"""Of a user: what others did to the login was a day before."""

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BTC = "BTC/USDT@binance"
SIGNAL = uuid5(NAMESPACE, "signal")
CHAIN = uuid5(NAMESPACE, "chain")
REQUEST = uuid5(NAMESPACE, "request")
TAPE = uuid5(NAMESPACE, "tape")


@dataclass
class Live:
    """A gateway as its users see it, and the servers behind it."""

    servers: Any
    process: Any
    http: httpx2.AsyncClient
    new_client: Callable[[], httpx2.AsyncClient]
    clients: list[httpx2.AsyncClient]
    password: str = PASSWORD

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
        """Add a user of a role who has been there for a day, with a password of their own; give the user's client."""
        admin = await self.signed_in()
        body = {"login": login or role, "role": role, "accounts": ["paper"]}
        added = (await admin.post("/api/v1/users", json=body)).raise_for_status().json()
        await self.rows(
            f"UPDATE api_gateway.users SET is_own_password = true, {A_DAY_AGO} WHERE login = $1", added["login"]
        )
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

    async def seed_chain(self) -> None:
        """Put one whole chain, from a signal to a position, into the tables of its owners."""
        await _seed_judgement(self)
        await _seed_order(self)


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


def _ms(count: int) -> datetime:
    return T0 + timedelta(milliseconds=count)


async def _seed_judgement(live: Any) -> None:
    await live.insert(
        "strategy_engine.strategies",
        strategy_id="ema",
        kind="ema_cross",
        version=3,
        status="active",
        account_id="paper",
        timeframe_s=60,
        instruments=[BTC],
        params={"fast": 10, "slow": 30},
        asks_judgement=True,
    )
    await live.insert(
        "strategy_engine.signals",
        signal_id=SIGNAL,
        correlation_id=CHAIN,
        strategy_id="ema",
        strategy_version=3,
        account_id="paper",
        instrument_id=BTC,
        action="buy",
        strength=Decimal("0.8"),
        reference_price=Decimal(100),
        reason="fast crossed slow",
        snapshot_id=SIGNAL,
        features={"ema_fast": "101.5"},
        market_time=T0 - timedelta(days=400),
        tick_received_at=T0,
        valid_until=_ms(60_000),
        asks_judgement=True,
        created_at=_ms(2),
    )
    await live.insert(
        "llm_controller.decisions",
        decision_id=uuid5(NAMESPACE, "decision"),
        request_id=REQUEST,
        signal_id=SIGNAL,
        correlation_id=CHAIN,
        strategy_id="ema",
        instrument_id=BTC,
        policy="single",
        verdict="approve",
        size_factor=Decimal(1),
        confidence=Decimal("0.7"),
        reasons=["the trend holds"],
        answers=[],
        cost_usd=Decimal("0.002"),
        latency_ms=Decimal(800),
        tape_id=TAPE,
        created_at=_ms(800),
    )
    await live.insert(
        "llm_controller.calls",
        tape_id=TAPE,
        request_id=REQUEST,
        endpoint="http://models",
        model="small",
        prompt=[{"role": "user", "content": "What of it?"}],
        parameters={"temperature": 0},
        reply="approve",
        latency_ms=Decimal(790),
        cost_usd=Decimal("0.002"),
        created_at=_ms(795),
    )


async def _seed_order(live: Any) -> None:
    await live.insert(
        "risk_gate.accounts", account_id="paper", venue="paper", mode="paper", currency="USDT", created_at=T0
    )
    check = {"control": 6, "code": "notional_exceeds_max", "passed": True, "seen": "50", "limit": "1000"}
    await live.insert(
        "risk_gate.verdicts",
        verdict_id=uuid5(NAMESPACE, "verdict"),
        signal_id=SIGNAL,
        correlation_id=CHAIN,
        account_id="paper",
        strategy_id="ema",
        instrument_id=BTC,
        action="buy",
        outcome="approved",
        client_order_id="sx1",
        text="",
        checks=[check],
        approved={"quantity": "0.5", "signature": "secret"},
        created_at=_ms(810),
    )
    await live.insert(
        "order_worker.orders",
        client_order_id="sx1",
        signal_id=SIGNAL,
        correlation_id=CHAIN,
        account_id="paper",
        venue="paper",
        mode="paper",
        strategy_id="ema",
        instrument_id=BTC,
        symbol="BTCUSDT",
        side="buy",
        order_type="limit",
        time_in_force="gtc",
        quantity=Decimal("0.5"),
        limit_price=Decimal(100),
        reduce_only=False,
        valid_until=_ms(60_000),
        approved={},
        approved_at=_ms(810),
        tick_received_at=T0,
        status="partially_filled",
        submission="acked",
        sequence=2,
        fence=1,
        attempts=1,
        cancel_wanted=False,
        venue_status="",
        venue_filled_quantity=Decimal("0.3"),
        filled_quantity=Decimal("0.3"),
        reason="",
        sent_at=_ms(820),
        looks=0,
        absences=0,
        created_at=_ms(811),
        updated_at=_ms(830),
    )
    for number, quantity in ((1, "0.1"), (2, "0.2")):
        await live.insert(
            "order_worker.fills",
            venue="paper",
            account_id="paper",
            execution_id=f"e{number}",
            client_order_id="sx1",
            venue_order_id="7",
            signal_id=SIGNAL,
            strategy_id="ema",
            instrument_id=BTC,
            side="buy",
            price=Decimal(100),
            quantity=Decimal(quantity),
            fee=Decimal("0.001"),
            fee_currency="BTC",
            liquidity="taker",
            executed_at=_ms(825),
            source="stream",
            recorded_at=_ms(830),
        )
    entries = (("cash", "USDT", "1000", None), ("cash", "USDT", "-30", "e1"), ("holding", "BTC", "0.3", "e1"))
    for ledger_account, asset, amount, execution_id in entries:
        await live.insert(
            "order_worker.ledger_entries",
            transaction_id=CHAIN,
            account_id="paper",
            ledger_account=ledger_account,
            asset=asset,
            amount=Decimal(amount),
            settles_at=T0,
            reason="trade",
            execution_id=execution_id,
            created_at=_ms(830),
        )
    await live.insert(
        "order_worker.positions",
        account_id="paper",
        instrument_id=BTC,
        quantity=Decimal("0.298"),
        average_price=Decimal(100),
        realized_pnl=Decimal(0),
        last_executed_at=_ms(825),
        last_execution_id="e2",
        updated_at=_ms(830),
    )
