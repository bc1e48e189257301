"""The bus and the tables, seen from outside the service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import aio_pika
import asyncpg
import pytest

from llm_controller.app import wire
from llm_controller.settings import Settings
from sigmax.runtime.service import Service, build_service
from sigmax.schemas.base import Message
from sigmax.schemas.topology import EXCHANGE

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class World:
    """Publishes as other services do, and keeps every message of the topics it listens to."""

    def __init__(self, addresses: Any, stack: AsyncExitStack, database: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._addresses = addresses
        self._stack = stack
        self.database = database

    async def publish(self, message: Message) -> None:
        """Publish under the login of the message's producer, as the broker demands."""
        connection = await aio_pika.connect(self._addresses.rabbitmq_url_as(message.producer))
        async with connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(EXCHANGE, ensure=False)
            body = aio_pika.Message(message.encode(), message_id=str(message.message_id), delivery_mode=2)
            await exchange.publish(body, routing_key=message.topic)

    async def listen(self, kind: type[M], topic: str) -> list[M]:
        """Give a list that grows with each message of a topic from now on."""
        connection = await self._stack.enter_async_context(await aio_pika.connect(self._addresses.admin_urls[2]))
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EXCHANGE, topic)
        heard: list[M] = []

        async def keep(received: aio_pika.abc.AbstractIncomingMessage) -> None:
            heard.append(kind.decode(received.body))

        await queue.consume(keep, no_ack=True)
        return heard

    async def until(self, look: Callable[[], Awaitable[T]], timeout_s: float = 30) -> T:
        """Look again and again until there is something; give it."""
        async with asyncio.timeout(timeout_s):
            while not (found := await look()):
                await asyncio.sleep(0.05)
        return found

    async def until_true(self, look: Callable[[], bool], timeout_s: float = 30) -> None:
        """Look again and again until it is so."""
        async with asyncio.timeout(timeout_s):
            while not look():
                await asyncio.sleep(0.05)


@pytest.fixture
async def world(clean: Any) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        database = await asyncpg.connect(clean.admin_urls[0])
        stack.push_async_callback(database.close)
        yield World(clean, stack, database)


@pytest.fixture
def start(
    service_env: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[Service]]:
    """Give what starts the whole service inside this process: quicker than a process of its own, and as real."""

    @asynccontextmanager
    async def start_here(**settings: str) -> AsyncIterator[Service]:
        for name, value in service_env("llm-controller", **settings).items():
            monkeypatch.setenv(name, value)
        app = build_service(Settings, wire)
        async with app.router.lifespan_context(app):
            yield app.state.service

    return start_here
