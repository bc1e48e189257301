"""What stands around the services in every run: the market and its admin, the bus, and a look into every table."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import asyncpg
import httpx2
from aio_pika.abc import AbstractIncomingMessage
from redis.asyncio import Redis

from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert
from sigmax.schemas.market import INSTRUMENTS, Instrument
from sigmax.schemas.orders import OrderApproved, OrderEvent
from sigmax.schemas.topology import EXCHANGE
from sigmax.schemas.types import Scope
from sigmax_local.servers import Addresses

T = TypeVar("T")

ACCOUNT = "paper"
PRICE = Decimal(100)
PRICE_AGE_MAX_S = 15.0
"""A busy machine may not say a price for two seconds, which is no fault that a cell is about."""
_TICK, _LOT = Decimal("0.01"), Decimal("0.0001")
_POLL_S = 0.05
_RESTART_S = 120.0


class Named(Protocol):
    """An order, or the wish for one: both have the same name."""

    @property
    def client_order_id(self) -> str:
        """Give the name."""


class Outside:
    """Moves the venue's market, hears the bus, and reads every schema."""

    def __init__(self, addresses: Addresses, pool: Any, admin: httpx2.AsyncClient) -> None:
        self.addresses = addresses
        self.pool = pool
        self.published: dict[str, OrderApproved] = {}
        """Every approval of the run, by client order id."""
        self.halts: list[tuple[Scope, str, datetime, datetime | None]] = []
        """Scope, its id, from when on no send is allowed, and until when."""
        self.events: list[OrderEvent] = []
        """Every order event as it came over the bus, doubles included."""
        self.alerts: list[Alert] = []
        self.planted = 0
        """Dead letters that the run itself has made."""
        self._admin = admin

    # the market
    async def list_instrument(self, instrument_id: str) -> None:
        """List an instrument that has just traded at 100, at the venue and in the live state."""
        listed = {"instrument_id": instrument_id, "tick_size": str(_TICK), "lot_size": str(_LOT)}
        (await self._admin.post("/admin/instruments", json=listed)).raise_for_status()
        await self.trade(instrument_id, PRICE)
        base, quote = instrument_id.split("@", maxsplit=1)[0].split("/")
        known = Instrument(
            instrument_id,
            base,
            quote,
            "chaos",
            _TICK,
            _LOT,
            _LOT,
            Decimal(0),
            "crypto",
            price_age_max_s=PRICE_AGE_MAX_S,
        )
        async with Redis.from_url(self.addresses.redis_url_as("collector")) as redis:
            await redis.hset(INSTRUMENTS, instrument_id, known.encode())

    async def trade(self, instrument_id: str, price: Decimal, quantity: str = "50") -> None:
        """Let the market trade."""
        body = {"symbol": venue_symbol(instrument_id), "price": str(price), "quantity": quantity}
        (await self._admin.post("/admin/trades", json=body)).raise_for_status()

    async def fault(self, **fault: Any) -> None:
        """Switch a fault of the venue on."""
        (await self._admin.post("/admin/faults", json=fault)).raise_for_status()

    async def end_faults(self) -> None:
        """Switch every fault of the venue off."""
        (await self._admin.delete("/admin/faults")).raise_for_status()

    async def settle(self) -> None:
        """Wait until orders may be sent, once everything runs."""

    # the bus
    async def listen(self, connection: Any) -> None:
        """Keep what the services tell of orders, and what they warn of."""
        await self.hear(connection, OrderEvent.TOPIC, OrderEvent, self.events.append)
        for producer in ("order_worker", "risk_gate"):
            await self.hear(connection, f"{producer}.alert.v1", Alert, self.alerts.append)

    async def hear(self, connection: Any, topic: str, kind: Any, keep: Callable[[Any], None]) -> None:
        """Hand on every message of a topic from now on."""
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EXCHANGE, topic)

        async def take(received: AbstractIncomingMessage) -> None:
            message: Message = kind.decode(received.body)
            keep(message)

        await queue.consume(take, no_ack=True)

    # the tables
    async def rows(self, sql: str, *values: object) -> Sequence[Any]:
        """Read rows of any schema."""
        return list(await self._asked(lambda: self.pool.fetch(sql, *values)))

    async def value(self, sql: str, *values: object) -> Any:
        """Read one value of any schema."""
        return await self._asked(lambda: self.pool.fetchval(sql, *values))

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask again while Postgres is being restarted."""
        deadline = asyncio.get_running_loop().time() + _RESTART_S
        while True:
            try:
                return await ask()
            except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(_POLL_S)

    async def order(self, named: Named) -> Any:
        """Give an order's row; None before there is one."""
        rows = await self.rows("SELECT * FROM order_worker.orders WHERE client_order_id = $1", named.client_order_id)
        return rows[0] if rows else None

    async def venue_orders(self, named: Named) -> Sequence[Any]:
        """Give what the venue has under a client order id."""
        return await self.rows("SELECT * FROM paper_venue.orders WHERE client_order_id = $1", named.client_order_id)

    async def until(self, look: Callable[[], Awaitable[T]], timeout_s: float, what: str) -> T:
        """Look again and again until there is something; give it. Raises `AssertionError` that says what never came."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not (found := await look()):
            if loop.time() > deadline:
                raise AssertionError(f"{what}: not within {timeout_s:.0f} s")
            await asyncio.sleep(_POLL_S)
        return found


def venue_symbol(instrument_id: str) -> str:
    """Give the venue's spelling: `C01USDT`."""
    return instrument_id.split("@", maxsplit=1)[0].replace("/", "")
