"""What stands around the workers: risk-gate's voice, the market and its admin, and a look into every table."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid5

import aio_pika
import asyncpg
import httpx2
import structlog
from aio_pika.abc import AbstractIncomingMessage
from redis.asyncio import Redis

from sigmax.domain.approval import client_order_id, sign
from sigmax.runtime.rabbitmq import Publisher, amqp_url
from sigmax.schemas.base import NAMESPACE, Message
from sigmax.schemas.control import Alert, StageChanged
from sigmax.schemas.market import INSTRUMENTS, Instrument
from sigmax.schemas.orders import CancelRequested, OrderApproved, OrderEvent
from sigmax.schemas.topology import EXCHANGE
from sigmax.schemas.types import Action, Mode, OrderType, Scope, Side, Stage, TimeInForce
from sigmax_local.servers import Addresses

log = structlog.get_logger()
T = TypeVar("T")

ACCOUNT = "paper"
PRICE = Decimal(100)
VALID_S = 150.0
_TICK, _LOT = Decimal("0.01"), Decimal("0.0001")
_TELL_S = 10.0
"""Workers take orders back when they have not heard of a stage for 60 s."""
_POLL_S = 0.05
_RESTART_S = 30.0
_ALERTS = "order_worker.alert.v1"


class Gate:
    """Approves as risk-gate does, with its key and under its login; moves the venue's market; reads every schema."""

    def __init__(
        self, addresses: Addresses, run: str, pool: Any, publisher: Publisher, admin: httpx2.AsyncClient
    ) -> None:
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
        self._run = run
        self._publisher = publisher
        self._admin = admin
        self._key = addresses.secrets.get("risk_gate", "approval_key").encode()
        self._versions: dict[tuple[Scope, str], int] = {}
        self._stages: dict[tuple[Scope, str], Stage] = {}

    # the market
    async def list_instrument(self, instrument_id: str) -> None:
        """List an instrument that has just traded at 100, at the venue and in the live state."""
        listed = {"instrument_id": instrument_id, "tick_size": str(_TICK), "lot_size": str(_LOT)}
        (await self._admin.post("/admin/instruments", json=listed)).raise_for_status()
        await self.trade(instrument_id, PRICE)
        base, quote = instrument_id.split("@", maxsplit=1)[0].split("/")
        known = Instrument(instrument_id, base, quote, "chaos", _TICK, _LOT, _LOT, Decimal(0), "crypto")
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

    # risk-gate's voice
    async def tell_stages(self) -> None:
        """Tell the stages of the platform and of the account."""
        for scope, scope_id in ((Scope.GLOBAL, "global"), (Scope.ACCOUNT, ACCOUNT)):
            await self.stage(scope, scope_id, self._stages.get((scope, scope_id), Stage.NORMAL))

    async def keep_telling(self) -> None:
        """Tell them again and again."""
        while True:
            await asyncio.sleep(_TELL_S)
            try:
                await self.tell_stages()
            except Exception as error:  # the broker is being restarted, and says so in many ways
                log.warning("stages_not_told", error=repr(error))

    async def stage(self, scope: Scope, scope_id: str, stage: Stage, version: int | None = None) -> StageChanged:
        """Set a stage, and give what was told; an explicit `version` may be an old one."""
        key = (scope, scope_id)
        before = self._stages.get(key, stage)
        if version is None:
            version = self._versions.get(key, 0) + (stage is not before or key not in self._versions)
            self._versions[key], self._stages[key] = version, stage
        now = datetime.now(UTC)
        message = StageChanged(
            **StageChanged.first(f"{self._run}:{scope}:{scope_id}:{version}:{now.isoformat()}", now),
            scope=scope,
            scope_id=scope_id,
            from_stage=before,
            to_stage=stage,
            version=version,
            changed_by="chaos",
            reason="chaos",
        )
        await self.say(message)
        return message

    async def release(self) -> None:
        """Release a blocked account, as a person does: down, and up again."""
        await self.stage(Scope.ACCOUNT, ACCOUNT, Stage.HALTED)
        await self.stage(Scope.ACCOUNT, ACCOUNT, Stage.NORMAL)

    def approve(
        self, name: str, instrument_id: str, side: Side = Side.BUY, quantity: str = "1", **changes: Any
    ) -> OrderApproved:
        """Sign an approval; the same name is the same signal. Without a `limit_price` it is a market order.

        `another_id` makes it another message about that signal.
        """
        now = datetime.now(UTC)
        signal_id = uuid5(NAMESPACE, f"chaos:{self._run}:{name}")
        limit_price = changes.pop("limit_price", None)
        part = ":again" if changes.pop("another_id", False) else ""
        values: dict[str, Any] = {
            "client_order_id": client_order_id(signal_id),
            "signal_id": signal_id,
            "account_id": ACCOUNT,
            "venue": "paper",
            "mode": Mode.PAPER,
            "strategy_id": "chaos",
            "strategy_version": 1,
            "instrument_id": instrument_id,
            "action": Action.BUY if side is Side.BUY else Action.SELL,
            "side": side,
            "quantity": Decimal(quantity),
            "order_type": OrderType.LIMIT if limit_price else OrderType.MARKET,
            "limit_price": Decimal(limit_price) if limit_price else None,
            "time_in_force": TimeInForce.GTC,
            "reference_price": PRICE,
            "valid_until": now + timedelta(seconds=VALID_S),
            "tick_received_at": now,
            "market_time": now,
            "stage": Stage.NORMAL,
            "checks": (),
            **changes,
        }
        approved = sign(
            OrderApproved(**OrderApproved.first(f"chaos:{self._run}:{name}{part}", now), **values), self._key
        )
        self.published.setdefault(approved.client_order_id, approved)
        return approved

    async def cancel(self, approved: OrderApproved, part: str = "") -> None:
        """Ask for an order to be canceled."""
        now = datetime.now(UTC)
        await self.say(
            CancelRequested(
                **CancelRequested.after(approved, now, part=part),
                client_order_id=approved.client_order_id,
                account_id=ACCOUNT,
                requested_by="chaos",
                reason="chaos",
            )
        )

    async def say(self, message: Message) -> None:
        """Publish as the one who owns the message, with a confirm."""
        await self._publisher.publish(message.topic, message.encode(), message.message_id, {})

    async def listen(self, connection: Any) -> None:
        """Keep what order-worker tells of orders and what it warns of."""
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EXCHANGE, OrderEvent.TOPIC)
        await queue.bind(EXCHANGE, _ALERTS)

        async def keep(received: AbstractIncomingMessage) -> None:
            if received.routing_key == _ALERTS:
                self.alerts.append(Alert.decode(received.body))
            else:
                self.events.append(OrderEvent.decode(received.body))

        await queue.consume(keep, no_ack=True)

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

    async def order(self, approved: OrderApproved) -> Any:
        """Give an order's row; None before there is one."""
        rows = await self.rows("SELECT * FROM order_worker.orders WHERE client_order_id = $1", approved.client_order_id)
        return rows[0] if rows else None

    async def venue_orders(self, approved: OrderApproved) -> Sequence[Any]:
        """Give what the venue has under a client order id."""
        return await self.rows("SELECT * FROM paper_venue.orders WHERE client_order_id = $1", approved.client_order_id)

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


@asynccontextmanager
async def open_gate(addresses: Addresses, run: str, venue_url: str) -> AsyncIterator[Gate]:
    """Give a gate whose connections end with the block, and which goes on telling the stages meanwhile."""
    password = addresses.secrets.get("risk_gate", "rabbitmq_password")
    publisher = Publisher(amqp_url(addresses.rabbitmq_url, "risk_gate", password))
    await publisher.open()
    pool = await asyncpg.create_pool(addresses.admin_urls[0], min_size=0, max_size=6)
    async with (
        httpx2.AsyncClient(base_url=venue_url, trust_env=False, timeout=10) as admin,
        await aio_pika.connect_robust(addresses.admin_urls[2]) as ear,
    ):
        gate = Gate(addresses, run, pool, publisher, admin)
        await gate.listen(ear)
        await gate.tell_stages()
        telling = asyncio.create_task(gate.keep_telling())
        try:
            yield gate
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await pool.close()
            await publisher.close()
