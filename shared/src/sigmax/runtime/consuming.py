"""What happens around every handler: parse, trace, wait out passing faults, and park what cannot be handled."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker
from faststream.rabbit.message import RabbitMessage
from prometheus_client import Counter, Histogram

from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database
from sigmax.runtime.faults import is_passing
from sigmax.runtime.rabbitmq import TRADING, work_queue
from sigmax.runtime.tracing import handling
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert
from sigmax.schemas.topology import dead_letter_queue_of, owner_of, queue_of
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()
M = TypeVar("M", bound=Message)

_WAIT_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Between two tries at a passing fault. The message stays with us meanwhile, unacknowledged."""
_PATIENCE_S = 20 * 60.0
"""Below RabbitMQ's consumer timeout of 30 minutes; after it the message goes to the dead letters."""
_TELL_S = 60.0
"""For the alert about a dead letter: with the patience before it, still below the consumer timeout."""

_handled = Histogram(
    "sigmax_message_seconds",
    "Time to handle one message",
    ["topic"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
_rejected = Counter("sigmax_messages_rejected_total", "Messages sent to the dead letters", ["topic"])
_waited = Counter("sigmax_message_waits_total", "Times a handler waited for a passing fault to end", ["topic"])


class ForgedMessageError(Exception):
    """A message came under another topic than its own. It goes to the dead letters, and people are told."""


def check_publisher(message: Message, exchange: str, routing_key: str) -> None:
    """Raise `ForgedMessageError` when a message was published by another than its producer.

    The broker lets a login publish its own topics alone, but RabbitMQ 3.10 does not look at the topics that the headers
    CC and BCC add. What is delivered still carries the one it was let in under. Through the default exchange, named "",
    nobody but the administrator publishes: a person who moves a dead letter back.
    """
    if exchange and routing_key != message.topic:
        raise ForgedMessageError(f"{message.topic} came as {routing_key}")


class Consumers:
    """The queues of one service and what handles them."""

    def __init__(self, broker: RabbitBroker, database: Database, clock: ClockPort, service: str) -> None:
        self._broker = broker
        self._database = database
        self._clock = clock
        self._service = service
        self.queues: list[str] = []
        self.last_handled_ns = 0
        self.on_handled: Callable[[str], None] = lambda _queue: None

    def on(self, message: type[M], handler: Callable[[M], Awaitable[None]], *, prefetch: int) -> None:
        """Have `handler` called with each message of one kind, at most `prefetch` at a time.

        The handler must be one transaction that enters the message in the inbox: it may be called again.
        """
        queue = queue_of(self._service, message)
        for count in (_rejected, _waited):
            count.labels(message.TOPIC)  # begins with 0, so that the first one is a rise
        subscriber = self._broker.subscriber(
            work_queue(self._service, message),
            TRADING,
            channel=Channel(prefetch_count=prefetch),
            ack_policy=AckPolicy.REJECT_ON_ERROR,
            decoder=_as_it_is,
        )

        async def handle(received: RabbitMessage) -> None:
            await self._handle(message, handler, received, queue)

        subscriber(handle)
        self.queues.append(queue)

    async def _handle(
        self, kind: type[M], handler: Callable[[M], Awaitable[None]], received: RabbitMessage, queue: str
    ) -> None:
        started = time.perf_counter()
        try:
            message = kind.decode(received.body)
            check_publisher(message, received.raw_message.exchange or "", received.raw_message.routing_key or "")
            with handling(message, received.headers):
                await self._patiently(lambda: handler(message), kind.TOPIC, _PATIENCE_S)
        except Exception as error:
            _rejected.labels(kind.TOPIC).inc()
            log.exception("message_rejected", queue=queue, message_id=received.message_id)
            await self._tell(kind.TOPIC, queue, str(received.message_id), error)
            raise
        finally:
            _handled.labels(kind.TOPIC).observe(time.perf_counter() - started)
            self.last_handled_ns = self._clock.now_ns()
            self.on_handled(queue)

    async def _patiently(self, work: Callable[[], Awaitable[None]], topic: str, patience_s: float) -> None:
        give_up_at = time.monotonic() + patience_s
        attempt = 0
        while True:
            try:
                return await work()
            except Exception as error:
                if not is_passing(error) or time.monotonic() > give_up_at:
                    raise
                _waited.labels(topic).inc()
                log.warning("waiting_for_a_fault_to_pass", topic=topic, error=str(error))
            await asyncio.sleep(_WAIT_S[min(attempt, len(_WAIT_S) - 1)])
            attempt += 1

    async def _tell(self, topic: str, queue: str, message_id: str, error: Exception) -> None:
        alert = Alert(
            **Alert.first(f"{queue}:{message_id}", self._clock.now()),
            producer=owner_of(self._service),
            level=AlertLevel.DANGER,
            code="message_rejected",
            subject=queue,
            text=f"A message could not be handled and waits in {dead_letter_queue_of(self._service)}:"
            f" {type(error).__name__}. The service's log has the whole error; mend its cause,"
            " then move the message back.",
            values={"message_id": message_id, "error": type(error).__name__},
            dedupe_key=f"message_rejected:{queue}",
        )

        async def store() -> None:
            async with self._database.transaction() as unit:
                unit.publish(alert)

        try:
            await self._patiently(store, topic, _TELL_S)
        except Exception:
            log.exception("alert_not_stored", queue=queue)


async def _as_it_is(received: RabbitMessage) -> RabbitMessage:
    return received
