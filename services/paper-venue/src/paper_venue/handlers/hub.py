"""Who listens to what: market streams and accounts. One process, no broker."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import orjson

_QUEUE_MAX = 5000
"""A listener that is this far behind is cut off: it would trade on old news, and we would run out of memory."""


class Listener:
    """One socket's outgoing messages."""

    def __init__(self, *, is_combined: bool = False) -> None:
        self.is_combined = is_combined
        self.is_too_slow = False
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE_MAX)

    def send(self, message: Any) -> None:
        """Put one JSON message into the queue."""
        self.send_encoded(orjson.dumps(message))

    def send_encoded(self, message: bytes) -> None:
        """Put one encoded message into the queue, or give up on a listener that does not read."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self.is_too_slow = True

    async def next(self) -> bytes:
        """Wait for the next message. Raises `ConnectionAbortedError` when the listener fell too far behind."""
        message = await self._queue.get()
        if message is None or self.is_too_slow:
            raise ConnectionAbortedError
        return message

    def close(self) -> None:
        """End the listener's `next`."""
        self.is_too_slow = True
        if self._queue.empty():
            self._queue.put_nowait(None)


class Hub:
    """Hands events to the listeners of a topic: a market stream's name, or `user:<account>`."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[Listener, Callable[[Any], Any]]] = {}
        self.on_new_topic: Callable[[str], None] = lambda _topic: None
        """Told of each topic that gets its first listener."""
        self.is_muted = False
        """A fault for tests: sockets stay open and say nothing."""

    def subscribe(self, topic: str, listener: Listener, wrap: Callable[[Any], Any]) -> None:
        """Send every event of the topic to the listener, in the wrapping that it wants."""
        if topic not in self._topics:
            self._topics[topic] = {}
            self.on_new_topic(topic)
        self._topics[topic][listener] = wrap

    def unsubscribe(self, topic: str, listener: Listener) -> None:
        """End one subscription; one that is not there is no fault."""
        listeners = self._topics.get(topic, {})
        listeners.pop(listener, None)
        if not listeners:
            self._topics.pop(topic, None)

    def leave(self, listener: Listener) -> None:
        """End all subscriptions of a listener."""
        for topic in self.topics_of(listener):
            self.unsubscribe(topic, listener)

    def topics_of(self, listener: Listener) -> list[str]:
        """Give the topics that one listener subscribed to."""
        return [topic for topic, listeners in self._topics.items() if listener in listeners]

    def topics(self) -> Iterable[str]:
        """Give the topics that somebody listens to."""
        return tuple(self._topics)

    def has(self, topic: str) -> bool:
        """Say whether somebody listens."""
        return topic in self._topics

    def publish(self, topic: str, event: Any) -> None:
        """Send one event to all who listen; nobody listening is normal."""
        if self.is_muted:
            return
        for listener, wrap in self._topics.get(topic, {}).items():
            listener.send(wrap(event))


def user_topic(account_id: str) -> str:
    """Name the topic of an account."""
    return f"user:{account_id}"
