"""Live events: one Redis stream that every replica tails, and one bounded inbox per connection."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api_gateway.adapters.metrics import WS_CLIENTS, WS_EVENTS
from api_gateway.domain.rights import Topic
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.streams import Tail, add
from sigmax.schemas.market import SHARDS, TICKS, TickBatch, moment

log = structlog.get_logger()

EVENTS = "gateway.events"
_BLOCK_MS = 100
_RETRY_S = 1.0


class Inbox:
    """The events that wait for one live connection."""

    def __init__(self, user_id: UUID, pending_max: int) -> None:
        self.user_id = user_id
        self.topics: frozenset[Topic] = frozenset()
        self.instruments: frozenset[str] = frozenset()
        """Narrows ticks; empty is all."""
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue(pending_max)
        self.is_slow = False

    def put(self, event: bytes) -> None:
        """Add an event; a full inbox is emptied and closed: a reader that far behind sees a past that is over."""
        if self.is_slow:
            return
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.is_slow = True
            while not self._events.empty():
                self._events.get_nowait()
            self._events.put_nowait(None)

    async def next(self) -> bytes | None:
        """Wait for the next event, JSON; None once the connection is too slow and is to be dropped."""
        return await self._events.get()


class Feed:
    """Fans events out to live connections."""

    def __init__(
        self,
        redis: Redis,
        clock: ClockPort,
        *,
        clients_max: int,
        clients_per_user_max: int,
        pending_max: int,
        ticks_interval_s: float,
        events_kept: int,
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._clients_max = clients_max
        self._clients_per_user_max = clients_per_user_max
        self._pending_max = pending_max
        self._ticks_interval_ns = int(ticks_interval_s * 1e9)
        self._events_kept = events_kept
        self._inboxes: set[Inbox] = set()
        self._ticks: dict[str, dict[str, Any]] = {}
        self._flushed_ns = 0

    async def publish(self, topic: Topic, kind: str, data: Mapping[str, Any]) -> None:
        """Give an event to all replicas."""
        body = orjson.dumps({"topic": topic.value, "type": kind, "data": data}, default=str)
        await add(self._redis, EVENTS, body, maxlen=self._events_kept)

    def join(self, user_id: UUID) -> Inbox | None:
        """Open an inbox; None when there are too many, of this user or at all."""
        of_users = Counter(inbox.user_id for inbox in self._inboxes)
        if len(self._inboxes) >= self._clients_max or of_users[user_id] >= self._clients_per_user_max:
            return None
        inbox = Inbox(user_id, self._pending_max)
        self._inboxes.add(inbox)
        WS_CLIENTS.set(len(self._inboxes))
        return inbox

    def leave(self, listener: Any) -> None:
        """Close an inbox."""
        self._inboxes.discard(listener)
        WS_CLIENTS.set(len(self._inboxes))

    async def run(self) -> None:
        """Tail the streams and fill the inboxes, until cancelled; a lost Redis is waited for."""
        streams = [EVENTS, *(TICKS.format(shard=shard) for shard in range(SHARDS))]
        while True:
            # What happened while Redis was away is over: each start is from now.
            tail = Tail(self._redis, dict.fromkeys(streams, "$"), block_ms=_BLOCK_MS)
            try:
                while True:
                    self.take(await tail.read())
            except (RedisError, OSError) as error:
                log.warning("feed_interrupted", error=str(error))
                await asyncio.sleep(_RETRY_S)

    def take(self, entries: list[tuple[str, str, bytes]]) -> None:
        """Hand entries of the streams to whom they concern."""
        wants_ticks = any(Topic.TICKS in inbox.topics for inbox in self._inboxes)
        for stream, _, body in entries:
            if stream == EVENTS:
                self._spread(Topic(orjson.loads(body)["topic"]), body)
            elif wants_ticks:
                self._remember(TickBatch.decode(body))
        now_ns = self._clock.now_ns()
        if self._ticks and now_ns - self._flushed_ns >= self._ticks_interval_ns:
            self._flushed_ns = now_ns
            self._spread_ticks()

    def _spread(self, topic: Topic, event: bytes) -> None:
        for inbox in self._inboxes:
            if topic in inbox.topics:
                inbox.put(event)
                WS_EVENTS.labels(topic.value).inc()

    def _remember(self, batch: TickBatch) -> None:
        # Only the newest tick of each instrument is worth showing to a person: find it from the back.
        seen = set()
        for i in range(len(batch) - 1, -1, -1):
            place = batch.instrument_index[i]
            if place in seen:
                continue
            seen.add(place)
            side = batch.side(i)
            self._ticks[batch.instruments[place]] = {
                "instrument_id": batch.instruments[place],
                "price": format(batch.price(i), "f"),
                "quantity": format(batch.quantity(i), "f"),
                "side": side.value if side else None,
                "market_time": moment(batch.ts_ns[i]).isoformat(),
                "received_at": moment(batch.received_ns[i]).isoformat(),
            }
            if len(seen) == len(batch.instruments):
                break

    def _spread_ticks(self) -> None:
        ticks, self._ticks = self._ticks, {}
        everything = _ticks_event(list(ticks.values()))
        for inbox in self._inboxes:
            if Topic.TICKS not in inbox.topics:
                continue
            if not inbox.instruments:
                inbox.put(everything)
            elif chosen := [tick for name, tick in ticks.items() if name in inbox.instruments]:
                inbox.put(_ticks_event(chosen))
            WS_EVENTS.labels(Topic.TICKS.value).inc()


def _ticks_event(ticks: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"topic": Topic.TICKS.value, "type": "ticks", "data": ticks})
