import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from api_gateway.adapters.feed import EVENTS, Feed
from api_gateway.domain.rights import Topic
from api_gateway.handlers.live import is_origin_allowed
from api_gateway.handlers.messages import TOPIC_OF, on_message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.topology import REACH

USER = UUID(int=1)


def a_feed(clock: Any, **limits: Any) -> Feed:
    chosen: dict[str, Any] = {
        "clients_max": 3,
        "clients_per_user_max": 2,
        "pending_max": 2,
        "ticks_interval_s": 0.2,
        "events_kept": 10,
    }
    return Feed(None, clock, **(chosen | limits))  # type: ignore[arg-type]


def an_event(topic: Topic) -> tuple[str, str, bytes]:
    return EVENTS, "1-0", orjson.dumps({"topic": topic, "type": "x", "data": {}})


async def test_an_event_reaches_who_subscribed_and_nobody_else(clock: Any) -> None:
    feed = a_feed(clock)
    orders, fills = feed.join(USER), feed.join(USER)
    assert orders
    assert fills
    orders.topics, fills.topics = frozenset({Topic.ORDERS}), frozenset({Topic.FILLS})
    feed.take([an_event(Topic.ORDERS)])
    assert orjson.loads(await orders.next() or b"")["topic"] == "orders"
    async with asyncio.timeout(1):
        feed.take([an_event(Topic.FILLS)])
        assert orjson.loads(await fills.next() or b"")["topic"] == "fills"


async def test_a_reader_that_falls_behind_is_dropped_and_costs_no_memory(clock: Any) -> None:
    feed = a_feed(clock)
    slow = feed.join(USER)
    assert slow
    slow.topics = frozenset({Topic.ORDERS})
    feed.take([an_event(Topic.ORDERS)] * 1000)
    assert await slow.next() is None


def test_connections_are_bounded_per_user_and_in_all(clock: Any) -> None:
    feed = a_feed(clock)
    first = feed.join(USER)
    assert [feed.join(USER) is None, feed.join(USER) is None] == [False, True]
    assert feed.join(UUID(int=2)) is not None
    assert feed.join(UUID(int=3)) is None
    feed.leave(first)
    assert feed.join(USER) is not None


def test_every_message_the_gateway_takes_has_a_live_topic() -> None:
    assert set(TOPIC_OF) == set(REACH["api-gateway"].consumes)


async def test_a_message_is_published_with_its_topic_and_type() -> None:
    published: list[Any] = []

    class Feeding:
        async def publish(self, *event: Any) -> None:
            published.append(event)

    change = StageChanged(
        **StageChanged.first("x", datetime(2026, 1, 5, tzinfo=UTC)), scope="global", scope_id="global",
        from_stage="normal", to_stage="halted", version=1, changed_by="a", reason="",
    )  # fmt: skip
    await on_message(change, Feeding())  # type: ignore[arg-type]
    topic, kind, data = published[0]
    assert (topic, kind, data["to_stage"]) == (Topic.STAGES, "risk_gate.stage_changed.v1", "halted")


def test_only_our_own_and_listed_pages_may_connect() -> None:
    allowed = ("https://desk.example",)
    assert is_origin_allowed(None, "gw:8000", allowed)
    assert is_origin_allowed("http://gw:8000", "gw:8000", allowed)
    assert is_origin_allowed("https://desk.example", "gw:8000", allowed)
    assert not is_origin_allowed("https://evil.example", "gw:8000", allowed)
    assert not is_origin_allowed("null", "gw:8000", allowed)
