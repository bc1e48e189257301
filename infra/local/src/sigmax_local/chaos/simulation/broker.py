"""The broker: at least once, in no certain order, with confirms that get lost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from sigmax.schemas.base import Message
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.process import Process

_DELAYS_S = (0.001, 0.003, 0.01, 0.05, 0.4)
_HEARTBEAT_S = 5.0
"""After so much silence a connection counts as lost, and what it held is delivered again."""
_CONFIRM_S = (0.001, 0.006)
_AWAY_S = 0.5


class BrokerAwayError(OSError):
    """Not published, or nobody knows whether it was."""


@dataclass
class Delivery:
    """One message with one consumer."""

    number: int
    message: Message
    process: Process


@dataclass
class Consumer:
    """One process that reads one queue."""

    process: Process
    take: Callable[[Delivery], None]
    prefetch: int
    held: int = 0


@dataclass
class Queue:
    """One queue: what waits, and what a consumer has and has not acknowledged."""

    waiting: list[Message] = field(default_factory=list)
    held: dict[int, Delivery] = field(default_factory=dict)
    consumers: list[Consumer] = field(default_factory=list)


class Broker:
    """Queues by topic; topics that nobody here consumes go to the others."""

    def __init__(self, loop: VirtualLoop, chance: Random) -> None:
        self.loop = loop
        self.chance = chance
        self.queues: dict[str, Queue] = {}
        self.dead: list[Message] = []
        self.told: dict[UUID, Message] = {}
        """What the others have received, each message once: their inbox drops the second."""
        self.is_calm = False
        self.down_until = 0.0
        self.doubled = 0
        self.unconfirmed: dict[str, int] = {}
        """By process: its next publishes are routed, and their confirms get lost."""
        self.twice = 0
        """So many of the next messages are delivered twice."""
        self._number = 0

    def queue(self, topic: str) -> Queue:
        """Give a queue."""
        return self.queues.setdefault(topic, Queue())

    @property
    def is_empty(self) -> bool:
        """Say whether every message was acknowledged."""
        return not any(queue.waiting or queue.held for queue in self.queues.values())

    def consume(self, topic: str, process: Process, take: Callable[[Delivery], None], prefetch: int) -> None:
        """Have a process read a queue, until it dies."""
        queue = self.queue(topic)
        consumer = Consumer(process, take, prefetch)
        queue.consumers.append(consumer)
        process.at_death.append(lambda: self._gone(queue, consumer))
        self._deliver(queue)

    def route(self, message: Message) -> None:
        """Put a message where it belongs."""
        if message.TOPIC not in self.queues:
            if message.message_id in self.told:
                self.doubled += 1
            self.told.setdefault(message.message_id, message)
            return
        copies = 1
        if self.twice and not self.is_calm:
            self.twice -= 1
            copies = 2
        for _ in range(copies):
            delay = self.chance.choice(_DELAYS_S)
            self.loop.call_later(delay, self._arrive, self.queue(message.TOPIC), message)

    async def publish(self, process: Process, message: Message) -> None:
        """Publish, and wait for the confirm. Raises `BrokerAwayError`."""
        await process.hop("publish", self.chance.uniform(*_CONFIRM_S))
        if not self._reached_by(process):
            await process.hop("publish: no connection", _AWAY_S)
            raise BrokerAwayError("not connected")
        self.route(message)
        await process.hop("confirm", self.chance.uniform(*_CONFIRM_S))
        lost = self.unconfirmed.get(process.name, 0)
        if lost or not self._reached_by(process):
            self.unconfirmed[process.name] = max(lost - 1, 0)
            raise BrokerAwayError("the confirm was lost")

    async def acknowledge(self, delivery: Delivery, *, is_dead: bool = False) -> None:
        """Say that a message was handled, or that it cannot be; a lost acknowledgement brings it back."""
        await delivery.process.hop("acknowledge", self.chance.uniform(*_CONFIRM_S))
        if not self._reached_by(delivery.process):
            return
        queue = self.queue(delivery.message.TOPIC)
        if queue.held.pop(delivery.number, None) is not None:
            self._free(queue, delivery.process)
            if is_dead:
                self.dead.append(delivery.message)
        self._deliver(queue)

    def drop(self, process: Process) -> None:
        """Lose a process's connection: what it holds is delivered again, to it or another."""
        for queue in self.queues.values():
            for number, delivery in list(queue.held.items()):
                if delivery.process is process:
                    del queue.held[number]
                    self._free(queue, process)
                    queue.waiting.append(delivery.message)
            self._deliver(queue)

    def frozen(self, process: Process) -> None:
        """Notice, after a while, that a process does not answer heartbeats."""
        self.loop.call_later(_HEARTBEAT_S, lambda: self.drop(process) if process.is_frozen else None)

    def restart(self, seconds: float) -> None:
        """Be away for a while: every connection ends."""
        self.down_until = self.loop.time() + seconds
        for queue in self.queues.values():
            for consumer in queue.consumers:
                self.drop(consumer.process)
        self.loop.call_later(seconds + 0.001, self.wake)

    def wake(self) -> None:
        """Deliver what waits."""
        for queue in self.queues.values():
            self._deliver(queue)

    def _reached_by(self, process: Process) -> bool:
        return process.reaches("broker") and self.loop.time() >= self.down_until

    def _arrive(self, queue: Queue, message: Message) -> None:
        queue.waiting.append(message)
        self._deliver(queue)

    def _deliver(self, queue: Queue) -> None:
        while queue.waiting:
            ready = [each for each in queue.consumers if each.held < each.prefetch and self._reached_by(each.process)]
            if not ready:
                return
            consumer = self.chance.choice(ready)
            message = queue.waiting.pop(0)
            self._number += 1
            delivery = Delivery(self._number, message, consumer.process)
            queue.held[delivery.number] = delivery
            consumer.held += 1
            self.loop.call_soon(consumer.take, delivery)

    def _free(self, queue: Queue, process: Process) -> None:
        for consumer in queue.consumers:
            if consumer.process is process:
                consumer.held -= 1

    def _gone(self, queue: Queue, consumer: Consumer) -> None:
        queue.consumers.remove(consumer)
        for number, delivery in list(queue.held.items()):
            if delivery.process is consumer.process:
                del queue.held[number]
                queue.waiting.append(delivery.message)
        self._deliver(queue)
