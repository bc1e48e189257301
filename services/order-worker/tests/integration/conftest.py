import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from order_worker_builders import a_stage, an_approval
from order_worker_venue import FakeVenue, serving
from order_worker_waiting import until

from sigmax.runtime.rabbitmq import Publisher, amqp_url
from sigmax.schemas.base import Message
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Scope, Stage

if TYPE_CHECKING:
    from sigmax_local.servers import Addresses


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    """Give a venue that listens on loopback."""
    async with serving(FakeVenue()) as fake:
        yield fake


@dataclass
class Platform:
    """What stands around order-worker: risk-gate's voice, and a look into the database."""

    addresses: "Addresses"
    publisher: Publisher
    connection: asyncpg.Connection
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One connection, one question at a time."""
    telling: asyncio.Task[None] | None = None

    async def say(self, message: Message) -> None:
        await self.publisher.publish(message.topic, message.encode(), message.message_id, {})

    async def allow(self, stage: Stage = Stage.NORMAL, version: int = 1) -> None:
        """Tell the stages, now and again every 15 s as risk-gate does, and wait until a worker knows them.

        They come over another queue than approvals, which might overtake them and find that nothing may be sent.
        """
        self.fall_silent()
        await self._tell(stage, version)
        self.telling = asyncio.create_task(self._go_on_telling(stage, version))
        known = "SELECT count(*) = 2 FROM stages WHERE stage = $1 AND version = $2"
        await until(lambda: self.value(known, stage, version))

    def fall_silent(self) -> None:
        """Tell the stages no more."""
        if self.telling is not None:
            self.telling.cancel()

    async def _tell(self, stage: Stage, version: int) -> None:
        now = datetime.now(UTC)
        for scope in (Scope.GLOBAL, Scope.ACCOUNT):
            await self.say(a_stage(scope, stage, version=version, now=now))

    async def _go_on_telling(self, stage: Stage, version: int) -> None:
        while True:
            await asyncio.sleep(15)
            await self._tell(stage, version)

    def approval(self, number: int = 1, **changes: Any) -> OrderApproved:
        key = self.addresses.secrets.get("risk_gate", "approval_key").encode()
        now = datetime.now(UTC)
        return an_approval(number, now=now, key=key, **{"valid_until": now + timedelta(minutes=5), **changes})

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        async with self.turn:
            return await self.connection.fetch(query, *values)

    async def value(self, query: str, *values: object) -> Any:
        async with self.turn:
            return await self.connection.fetchval(query, *values)

    async def order(self, approved: OrderApproved) -> Any:
        rows = await self.rows("SELECT * FROM orders WHERE client_order_id = $1", approved.client_order_id)
        return rows[0] if rows else None


@pytest.fixture
async def platform(clean: "Addresses") -> AsyncIterator[Platform]:
    """Give the surroundings on empty servers."""
    password = clean.secrets.get("risk_gate", "rabbitmq_password")
    publisher = Publisher(amqp_url(clean.rabbitmq_url, "risk_gate", password))
    await publisher.open()
    connection = await asyncpg.connect(
        clean.database_url_as("postgres").replace("+asyncpg", ""), server_settings={"search_path": "order_worker"}
    )
    platform = Platform(clean, publisher, connection)
    yield platform
    platform.fall_silent()
    await connection.close()
    await publisher.close()


@pytest.fixture
def settings(venue: FakeVenue) -> Callable[..., dict[str, str]]:
    """Give the settings of a worker for tests: short waits, everything else as in production."""

    def make(**changes: str) -> dict[str, str]:
        short = {
            "submit_timeout_s": "0.5",
            "recv_window_ms": "500",
            "send_s": "1.5",
            "lease_s": "3",
            "first_look_s": "0.3",
            "absence_window_s": "2",
        }
        return {"venue_url": venue.url, "account_currency": "USDT", **short, **changes}

    return make
