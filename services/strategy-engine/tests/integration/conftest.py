"""The engine's surroundings on real servers: what it reads is put there, what it says is collected."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import aio_pika
import asyncpg
import httpx2
import pytest
from redis.asyncio import Redis

from sigmax.runtime.clock import SystemClock
from sigmax.runtime.streams import add
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert, Command, CommandName
from sigmax.schemas.market import BARS, TICKS, Bar, TickBatch, shard_of
from sigmax.schemas.orders import Fill, OrderDenied, OrderEvent
from sigmax.schemas.signals import JudgementRequested, Signal
from sigmax.schemas.topology import EXCHANGE, queue_of
from sigmax.schemas.types import DenialCode, Liquidity, OrderStatus, OrderType, Side, Submission
from sigmax_local.servers import Addresses

START_S = 1_700_000_100
M = TypeVar("M", bound=Message)


class World:
    """Market data in; signals, requests, and alerts out."""

    def __init__(
        self, redis: Redis, channel: aio_pika.abc.AbstractChannel, database: "asyncpg.Connection[Any]"
    ) -> None:
        self.redis = redis
        self.database = database
        self.signals: list[Signal] = []
        self.requests: list[JudgementRequested] = []
        self.alerts: list[Alert] = []
        self._channel = channel
        self._sequences: dict[str, int] = {}

    async def listen(self) -> None:
        for service, kind, heard in (
            ("risk-gate", Signal, self.signals),
            ("llm-controller", JudgementRequested, self.requests),
            ("notifier", Alert, self.alerts),
        ):
            queue = await self._channel.get_queue(queue_of(service, kind), ensure=False)
            await queue.consume(self._keep(kind, heard), no_ack=True)

    def _keep(self, kind: type[M], heard: list[M]) -> Callable[[aio_pika.abc.AbstractIncomingMessage], Awaitable[None]]:
        async def keep(received: aio_pika.abc.AbstractIncomingMessage) -> None:
            message = kind.decode(received.body)
            if message not in heard:  # as an inbox does: the outbox sends at least once
                heard.append(message)

        return keep

    async def bar(self, instrument_id: str, minute: int, close: float, *, timeframe_s: int = 60) -> None:
        price = Decimal(str(close))
        open_ns = (START_S + minute * 60) * 10**9
        bar = Bar(
            instrument_id, timeframe_s, open_ns, price, price, price, price, Decimal(1), 1, SystemClock().now_ns()
        )
        await add(self.redis, BARS.format(shard=shard_of(instrument_id)), bar.encode(), maxlen=10_000)

    async def bars(self, instrument_id: str, closes: list[float], *, first: int = 0) -> None:
        for i, close in enumerate(closes):
            await self.bar(instrument_id, first + i, close)

    async def tick(self, instrument_id: str, at_s: float, price: float) -> None:
        sequence = self._sequences[instrument_id] = self._sequences.get(instrument_id, 0) + 1
        batch = TickBatch(
            [instrument_id], [-2], [-3], [0], [sequence], [int((START_S + at_s) * 10**9)], [SystemClock().now_ns()],
            [round(price * 100)], [1000], [1],
        )  # fmt: skip
        await add(self.redis, TICKS.format(shard=shard_of(instrument_id)), batch.encode(), maxlen=10_000)

    async def publish(self, message: Message) -> None:
        exchange = await self._channel.get_exchange(EXCHANGE, ensure=False)
        body = aio_pika.Message(message.encode(), message_id=str(message.message_id))
        await exchange.publish(body, message.topic, mandatory=True)

    async def command(self, name: CommandName, subject: str, key: str = "1", **values: str) -> None:
        envelope = Command.first(f"{name}:{subject}:{key}", SystemClock().now())
        await self.publish(Command(**envelope, command=name, subject=subject, values=values, requested_by="ann"))

    async def deny(self, signal: Signal) -> None:
        await self.publish(
            OrderDenied(
                **OrderDenied.after(signal, SystemClock().now()), signal_id=signal.message_id, checks=(), text="no",
                code=DenialCode.PRICE_STALE, **_whose(signal),
                action=signal.action,
            )
        )  # fmt: skip

    async def fill(self, signal: Signal, side: Side, quantity: str, execution_id: str, fee: str = "0") -> None:
        fill = Fill(
            **Fill.after(signal, SystemClock().now(), part=execution_id), execution_id=execution_id, venue="paper",
            client_order_id="sx1", venue_order_id="1", signal_id=signal.message_id, **_whose(signal), side=side,
            price=signal.reference_price, quantity=Decimal(quantity), fee=Decimal(fee),
            fee_currency=signal.instrument_id.split("/")[0], liquidity=Liquidity.TAKER,
            executed_at=SystemClock().now(),
        )  # fmt: skip
        await self.publish(fill)

    async def order_event(self, signal: Signal, status: OrderStatus, filled: str, sequence: int = 1) -> None:
        event = OrderEvent(
            **OrderEvent.after(signal, SystemClock().now(), part=f"{sequence}"), client_order_id="sx1", sequence=sequence,
            signal_id=signal.message_id, venue="paper", **_whose(signal), side=Side.BUY, order_type=OrderType.MARKET,
            quantity=Decimal(1), status=status, submission=Submission.ACKED, filled_quantity=Decimal(filled),
            leaves_quantity=Decimal(0),
        )  # fmt: skip
        await self.publish(event)

    async def settled(self, signal_id: UUID) -> bool:
        """Say whether the engine waits no more for the order of this signal."""
        working = await self.database.fetch("SELECT working_signal_id FROM strategy_engine.holdings")
        return signal_id not in [row[0] for row in working]

    async def stop(self, strategy_id: str) -> None:
        """Stop a strategy, and wait until it is."""
        await self.command(CommandName.STOP_STRATEGY, strategy_id)
        query = "SELECT status FROM strategy_engine.strategies WHERE strategy_id = $1"
        while await self.database.fetchval(query, strategy_id) != "stopped":
            await asyncio.sleep(0.02)


def _whose(signal: Signal) -> dict[str, Any]:
    return {name: getattr(signal, name) for name in ("account_id", "strategy_id", "instrument_id")}


@pytest.fixture
async def world(clean: Addresses) -> AsyncIterator[World]:
    redis = Redis.from_url(clean.redis_url_as("sigmax_admin"))
    connection = await aio_pika.connect(clean.rabbitmq_url_as("sigmax_admin"))
    database = await asyncpg.connect(clean.admin_urls[0])
    world = World(redis, await connection.channel(), database)
    await world.listen()
    yield world
    await database.close()
    await connection.close()
    await redis.aclose()


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Give a function that polls until something holds, and fails naming what was seen in the end."""

    async def wait(holds: Callable[[], Any], *, within_s: float = 20, seen: Callable[[], object] = lambda: "") -> None:
        give_up_at = time.monotonic() + within_s
        while True:
            outcome = holds()
            if asyncio.iscoroutine(outcome):
                outcome = await outcome
            if outcome:
                return
            if time.monotonic() > give_up_at:
                pytest.fail(f"it did not come to hold within {within_s} s: {seen()}")
            await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def metric() -> Callable[..., Awaitable[float]]:
    """Give a function that reads one metric of a service's URL, summed over the labels that contain a text."""

    async def read(url: str, name: str, label: str = "") -> float:
        async with httpx2.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{url}/metrics")).text
        lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name and label in line]
        return sum(float(line.split()[-1]) for line in lines)

    return read
