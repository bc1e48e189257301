"""RabbitMQ as every service uses it: declared by the deploy job, confirmed when published, one connection each way."""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote, urlsplit
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractRobustChannel, AbstractRobustConnection
from faststream.rabbit import ExchangeType, QueueType, RabbitExchange, RabbitQueue

from sigmax.schemas.base import Message
from sigmax.schemas.topology import EXCHANGE, queue_of

TRADING = RabbitExchange(EXCHANGE, type=ExchangeType.TOPIC, durable=True, declare=False)
"""The one exchange. Services have no right to declare: the deploy job does."""

_PUBLISH_TIMEOUT_S = 5.0
_SERVER_MIN = (3, 10)
"""Older ones take the arguments of our queues without a word, and do not act on them."""


class UnsupportedServerError(Exception):
    """The broker is too old to keep what moves money. The text says what it is, and what is needed."""


def check_server(version: str) -> None:
    """Raise `UnsupportedServerError` unless RabbitMQ is known to act on what our queues are declared with."""
    parts = tuple(int(part) if part.isdigit() else -1 for part in version.split(".")[:2])
    if parts < _SERVER_MIN:
        needed = ".".join(map(str, _SERVER_MIN))
        raise UnsupportedServerError(f"RabbitMQ {version} is older than {needed}: queues would lose dead letters")


def work_queue(service: str, message: type[Message]) -> RabbitQueue:
    """Name the quorum queue on which a service reads a message."""
    return RabbitQueue(queue_of(service, message), queue_type=QueueType.QUORUM, durable=True, declare=False)


def amqp_url(url: str, user: str, password: str) -> str:
    """Put a login and a heartbeat into `amqp://host:port/vhost`: a silent connection is found within a minute."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    login = f"{quote(user)}:{quote(password, safe='')}"
    return f"{parts.scheme}://{login}@{parts.hostname}{port}{parts.path or '/'}?heartbeat=10"


class Publisher:
    """Publishes with confirms, persistent and mandatory: an unroutable message is an error."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractRobustConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._looks: AbstractRobustChannel | None = None
        self._looking = asyncio.Lock()

    async def open(self) -> None:
        """Connect. Raises `OSError` or an AMQP error when the broker is away or refuses the login.

        Raises `UnsupportedServerError` for a broker that would take our queues and not keep their promises.
        """
        self._connection = await aio_pika.connect_robust(self._url, timeout=10, reconnect_interval=1)
        check_server(_version_of(self._connection))
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        self._exchange = await channel.get_exchange(EXCHANGE, ensure=False)

    async def publish(self, topic: str, body: bytes, message_id: UUID, headers: Mapping[str, str]) -> None:
        """Send one message and wait for the broker's confirm. Raises when it does not come within 5 s."""
        assert self._exchange is not None, "open() comes first"
        # On a lost connection aio-pika waits for the next one, whatever timeout it was given.
        async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
            await self._exchange.publish(
                aio_pika.Message(
                    body,
                    content_type="application/json",
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    message_id=str(message_id),
                    headers=dict(headers),
                ),
                routing_key=topic,
                mandatory=True,
            )

    @property
    def is_connected(self) -> bool:
        """Say whether the broker is there now."""
        return self._connection is not None and self._connection.connected.is_set()

    async def depth(self, queue: str) -> tuple[int, int]:
        """Give (messages waiting, consumers) of a queue. Raises when the queue is gone or the broker away."""
        assert self._connection is not None, "open() comes first"
        async with asyncio.timeout(_PUBLISH_TIMEOUT_S), self._looking:
            # A missing queue closes its channel, so this one is not the publishing one.
            if self._looks is None or self._looks.is_closed:
                self._looks = await self._connection.channel(publisher_confirms=False)
            try:
                # Not robust: aio-pika would answer the second look with the first one's figures.
                found = await self._looks.declare_queue(queue, passive=True, robust=False)
            except BaseException:
                closing, self._looks = self._looks, None
                await closing.close()
                raise
            declared = found.declaration_result
            return declared.message_count or 0, declared.consumer_count or 0

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


def _version_of(connection: AbstractRobustConnection) -> str:
    transport = connection.transport
    assert transport is not None, "it is connected"
    version = transport.connection.server_properties["version"]
    return version.decode() if isinstance(version, bytes) else str(version)
