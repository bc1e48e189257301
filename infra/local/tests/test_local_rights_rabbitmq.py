"""RabbitMQ's rows of the table of rights, each tried on a real broker: what is no row is refused."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused

from sigmax.schemas.topology import (
    DEAD_LETTER_EXCHANGE,
    EXCHANGE,
    MESSAGES,
    REACH,
    SERVICES,
    dead_letter_queue_of,
    owner_of,
    queue_of,
)
from sigmax_local.servers import Addresses

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("service", SERVICES)]

TOPICS = {message.TOPIC.replace("*", owner_of(owner), 1) for message in MESSAGES for owner in SERVICES}
QUEUES = {queue_of(service, message) for service in SERVICES for message in REACH[service].consumes}
QUEUES |= {dead_letter_queue_of(service) for service in SERVICES if REACH[service].consumes}


class Login:
    """A service's connection. A refusal closes a channel, so each try has one that is open."""

    def __init__(self, service: str, connection: AbstractConnection) -> None:
        self.owner = owner_of(service)
        self.reach = REACH[service]
        self._connection = connection
        self._channel: AbstractChannel | None = None

    async def may(self, work: Callable[..., Awaitable[object]], *arguments: str) -> bool:
        """Try it; say whether the broker allowed it."""
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._connection.channel()
        try:
            await work(self._channel, *arguments)
        except ChannelAccessRefused:
            return False
        return True

    async def may_publish(self, topic: str, exchange: str = EXCHANGE, **headers: list[str]) -> bool:
        """Publish an empty message and wait for the broker's confirm."""

        async def publish(channel: AbstractChannel) -> None:
            target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            await target.publish(aio_pika.Message(b"{}", headers=dict(headers)), topic, mandatory=False)

        return await self.may(publish)


@pytest.fixture
async def login(service: str, servers: Addresses) -> AsyncIterator[Login]:
    async with await aio_pika.connect(servers.rabbitmq_url_as(owner_of(service))) as connection:
        yield Login(service, connection)


async def test_a_service_publishes_exactly_the_topics_of_its_row(login: Login) -> None:
    odd = {"", "#", "*", *(f"{topic}.x" for topic in TOPICS), *(f"x.{topic}" for topic in TOPICS), *QUEUES}

    published = {topic for topic in TOPICS | odd if await login.may_publish(topic)}

    assert published == {message.TOPIC.replace("*", login.owner, 1) for message in login.reach.publishes}


async def test_a_service_consumes_from_exactly_the_queues_of_its_row(login: Login) -> None:
    async def consume(channel: AbstractChannel, name: str) -> None:
        queue = await channel.get_queue(name, ensure=False)
        await queue.cancel(await queue.consume(lambda _: None))  # type: ignore[arg-type,return-value]

    async def get(channel: AbstractChannel, name: str) -> None:
        await (await channel.get_queue(name, ensure=False)).get(no_ack=True, fail=False)

    async def purge(channel: AbstractChannel, name: str) -> None:
        await (await channel.get_queue(name, ensure=False)).purge()

    own = {queue_of(login.owner, message) for message in login.reach.consumes}
    own |= {dead_letter_queue_of(login.owner)} if own else set()
    # Who may read a queue may empty it, by acknowledging: the broker asks for the same right.
    for work in (consume, get, purge):
        assert {name for name in QUEUES if await login.may(work, name)} == own


@pytest.mark.parametrize("exchange", ["", DEAD_LETTER_EXCHANGE, "amq.direct", "amq.topic", "amq.fanout", "amq.headers"])
async def test_nobody_publishes_past_the_one_exchange(login: Login, exchange: str) -> None:
    for key in (*QUEUES, *TOPICS):
        assert not await login.may_publish(key, exchange)


async def test_nobody_changes_the_topology(login: Login) -> None:
    own = next(iter(login.reach.consumes), None)
    names = {"a_new_one", f"{login.owner}.a_new_one", "order_worker.order_approved.v1"}
    names |= {queue_of(login.owner, own)} if own else set()
    for name in names:
        tries = (
            lambda channel, name: channel.declare_queue(name, durable=True),
            lambda channel, name: channel.queue_delete(name),
            lambda channel, name: channel.declare_exchange(name),
            _bind,
            _unbind,
        )
        assert not [number for number, work in enumerate(tries) if await login.may(work, name)], name
    for work in (
        lambda channel: channel.declare_queue(None, exclusive=True),
        lambda channel: channel.exchange_delete(EXCHANGE),
        lambda channel: channel.exchange_delete(DEAD_LETTER_EXCHANGE),
        _bind_exchanges,
    ):
        assert not await login.may(work)


async def _bind(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(EXCHANGE, "#")


async def _unbind(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).unbind(EXCHANGE, "risk_gate.order_approved.v1")


async def _bind_exchanges(channel: AbstractChannel) -> None:
    await (await channel.get_exchange(EXCHANGE, ensure=False)).bind(DEAD_LETTER_EXCHANGE, "#")
