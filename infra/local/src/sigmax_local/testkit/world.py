"""The bus and the tables, seen from outside a service; and a service that runs inside the test's own process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage

from sigmax.runtime.service import Service, build_service
from sigmax.runtime.settings import ServiceSettings
from sigmax.schemas.base import Message
from sigmax.schemas.topology import EXCHANGE
from sigmax_local.servers import Addresses

T = TypeVar("T")
M = TypeVar("M", bound=Message)

Wire = Callable[[Service], AbstractAsyncContextManager[None]]
"""A service's `wire`, as its app.py hands it to `build_service`."""

_POLL_S = 0.05


class World:
    """Publishes as other services do, and keeps every message of the topics it listens to."""

    def __init__(
        self, addresses: Addresses, stack: AsyncExitStack, database: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        self.database = database
        """The superuser's connection: it reads every service's schema."""
        self._addresses = addresses
        self._stack = stack

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

        async def keep(received: AbstractIncomingMessage) -> None:
            heard.append(kind.decode(received.body))

        await queue.consume(keep, no_ack=True)
        return heard

    async def until(self, look: Callable[[], Awaitable[T]], timeout_s: float = 60) -> T:
        """Look again and again until there is something; give it. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            while not (found := await look()):  # noqa: ASYNC110 - what it waits for happens in other processes
                await asyncio.sleep(_POLL_S)
        return found

    async def until_true(self, look: Callable[[], bool], timeout_s: float = 60) -> None:
        """Look again and again until it is so. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            while not look():  # noqa: ASYNC110 - as above
                await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def open_world(addresses: Addresses) -> AsyncIterator[World]:
    """Give a world whose connections end with the block."""
    async with AsyncExitStack() as stack:
        database = await asyncpg.connect(addresses.admin_urls[0])
        stack.push_async_callback(database.close)
        yield World(addresses, stack, database)


@asynccontextmanager
async def running_here(settings: type[ServiceSettings], wire: Wire) -> AsyncIterator[Service]:
    """Run a whole service inside this process, over the settings in its environment."""
    app = build_service(settings, wire)
    async with app.router.lifespan_context(app):
        service: Service = app.state.service
        yield service
