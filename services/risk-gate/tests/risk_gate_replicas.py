"""Two replicas of the gate over real Postgres, in one test's process."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from risk_gate_builders import a_signal, some_limits
from risk_gate_fakes import FakeWorld
from sqlalchemy import text

from risk_gate.adapters.postgres import PostgresLedger, ledgers
from risk_gate.adapters.start import open_account
from risk_gate.domain.situation import Book, Situation
from risk_gate.handlers import deciding
from risk_gate.ports import World
from risk_gate.settings import Settings
from sigmax.runtime.database import Database, asyncpg_url
from sigmax.schemas.orders import OrderApproved
from sigmax_local.servers import Addresses


class Gate:
    """Two replicas: each with connections of its own."""

    def __init__(self, databases: list[Database], worlds: list[World], settings: Settings, fake: FakeWorld) -> None:
        self.databases, self.worlds, self.settings, self.fake = databases, worlds, settings, fake
        self.world = worlds[0]

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        async with self.databases[0].reading() as session:
            return list((await session.execute(text(sql), values)).all())

    async def change(self, sql: str, **values: Any) -> None:
        async with self.databases[0].transaction() as unit:
            await unit.session.execute(text(sql), values)

    async def limit(self, **changes: Any) -> None:
        """Add a version of the limits in which some differ."""
        await self.change(
            "INSERT INTO limits SELECT account_id, version + 1, \"values\" || CAST(:changes AS jsonb), 'ada'"
            " FROM limits ORDER BY version DESC LIMIT 1",
            changes=json.dumps(changes),
        )

    async def outbox(self, topic: str) -> int:
        rows = await self.rows("SELECT 1 FROM outbox WHERE topic = :topic", topic=topic)
        return len(rows)

    async def approve(self, name: str = "signal", **changes: Any) -> OrderApproved:
        signal = a_signal(name, at=self.fake.clock.now(), **changes)
        await deciding.on_signal(signal, self.world)
        (row,) = await self.rows(
            "SELECT body FROM outbox WHERE topic = 'risk_gate.order_approved.v1'"
            " AND convert_from(body, 'UTF8')::jsonb ->> 'signal_id' = :id",
            id=str(signal.message_id),
        )
        return OrderApproved.decode(row.body)

    async def book(self, strategy_id: str = "ema") -> Book:
        return (await self.situation(strategy_id=strategy_id)).book

    async def situation(self, **changes: Any) -> Situation:
        signal = a_signal("a look", at=self.fake.clock.now(), **changes)
        async with self.databases[0].transaction() as unit:
            ledger = PostgresLedger(unit)
            account = await ledger.lock_account("paper")
            situation = await ledger.situation(signal, account, self.fake.clock.now())
            assert situation is not None
            return situation


@asynccontextmanager
async def a_gate(
    addresses: Addresses, service_env: Any, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[Gate]:
    plain = some_limits().model_dump_json(include={"posture_limit_share_pct", "alerting_required"})
    own = {"start_limits": plain, **settings}
    for name, value in service_env("risk-gate", account_currency="USDT", **own).items():
        monkeypatch.setenv(name, value)
    loaded = Settings.load()
    url = asyncpg_url(loaded.database_url, "risk_gate", loaded.database_password.get_secret_value())
    databases = [Database(url, owner="risk_gate", application=f"test-{replica}") for replica in range(2)]
    fake = FakeWorld()
    try:
        await open_account(databases[0], loaded.account, loaded.limits_at_start())
        worlds = [replace(fake.world, open_ledger=ledgers(database)) for database in databases]
        yield Gate(databases, worlds, loaded, fake)
    finally:
        for database in databases:
            await database.close()
