import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid5

import aio_pika
import pytest
import redis.asyncio
import websockets

from sigmax.runtime.streams import add
from sigmax.schemas.base import NAMESPACE, Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.market import TICKS, TickBatch, shard_of
from sigmax.schemas.orders import OrderApproved, VenueHealth
from sigmax.schemas.topology import EXCHANGE

pytestmark = pytest.mark.integration

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BTC = "BTC/USDT@binance"
_PATIENCE_S = 20


@asynccontextmanager
async def connected(live: Any, client: Any, *topics: str, **more: Any) -> Any:
    """Open a live connection as a user, subscribed to topics."""
    async with websockets.connect(live.process.url.replace("http", "ws") + "/ws", proxy=None, **more) as socket:
        ticket = (await client.post("/api/v1/ws-ticket")).json()["ticket"]
        await socket.send(json.dumps({"ticket": ticket}))
        assert (await event(socket))["type"] == "ready"
        await socket.send(json.dumps({"subscribe": list(topics)}))
        assert (await event(socket))["topics"] == sorted(topics)
        yield socket


async def event(socket: Any) -> Any:
    async with asyncio.timeout(_PATIENCE_S):
        return json.loads(await socket.recv())


async def closed(socket: Any) -> tuple[int, str]:
    """Wait for the end of a connection; give its code and reason."""
    async with asyncio.timeout(_PATIENCE_S):
        with pytest.raises(websockets.ConnectionClosed) as ending:
            while True:
                await socket.recv()
    assert ending.value.rcvd is not None
    return ending.value.rcvd.code, ending.value.rcvd.reason


async def publish(live: Any, message: Message, owner: str) -> None:
    """Publish as the owner does."""
    async with await aio_pika.connect(live.servers.rabbitmq_url_as(owner)) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE, ensure=False)
        await exchange.publish(
            aio_pika.Message(message.encode(), message_id=str(message.message_id)), routing_key=message.topic
        )


def a_stage_change() -> StageChanged:
    return StageChanged(
        **StageChanged.first("test", T0),
        scope="global",
        scope_id="global",
        from_stage="normal",
        to_stage="halted",
        version=2,
        changed_by="mina",
        reason="drill",
    )


def an_approval() -> OrderApproved:
    return OrderApproved(
        **OrderApproved.first("test", T0),
        client_order_id="sx1",
        signal_id=uuid5(NAMESPACE, "signal"),
        account_id="paper",
        venue="paper",
        mode="paper",
        strategy_id="ema",
        strategy_version=1,
        instrument_id=BTC,
        action="buy",
        side="buy",
        quantity=Decimal(1),
        order_type="limit",
        limit_price=Decimal(100),
        time_in_force="gtc",
        reference_price=Decimal(100),
        valid_until=T0,
        tick_received_at=T0,
        market_time=T0,
        stage="normal",
        checks=(),
        signature="secret",
    )


async def test_messages_of_the_platform_are_pushed_to_who_subscribed(live: Any) -> None:
    viewer = await live.user("viewer")
    async with connected(live, viewer, "stages") as stages, connected(live, viewer, "approvals") as approvals:
        await publish(live, an_approval(), "risk_gate")
        await publish(live, a_stage_change(), "risk_gate")
        pushed = await event(stages)
        assert (pushed["topic"], pushed["type"]) == ("stages", "risk_gate.stage_changed.v1")
        assert pushed["data"]["to_stage"] == "halted"
        approval = await event(approvals)
        assert approval["data"]["client_order_id"] == "sx1"
        assert "signature" not in approval["data"]


async def test_the_venues_health_is_pushed_as_order_worker_tells_it(live: Any) -> None:
    told = VenueHealth(
        **VenueHealth.first("test", T0),
        account_id="paper",
        venue="paper",
        is_answering=False,
        failing_since=T0,
        as_of=T0,
    )
    async with connected(live, await live.user("viewer"), "venue") as socket:
        await publish(live, told, "order_worker")
        pushed = await event(socket)
    assert (pushed["topic"], pushed["type"]) == ("venue", "order_worker.venue_health.v1")
    assert pushed["data"]["is_answering"] is False


async def test_ticks_come_as_the_newest_of_each_instrument_that_was_asked_for(live: Any) -> None:
    viewer = await live.user("viewer")
    collector = redis.asyncio.Redis.from_url(live.servers.redis_url_as("collector"))
    names = [BTC, "ETH/USDT@binance"]
    batch = TickBatch(
        names, [-2, -2], [0, 0], [0, 1, 0], [1, 1, 2], [1, 2, 3], [1, 2, 3], [100, 200, 101], [1, 1, 1], [1, 1, -1]
    )
    async with connected(live, viewer) as socket:
        await socket.send(json.dumps({"subscribe": ["ticks"], "instruments": [BTC]}))
        await event(socket)
        await add(collector, TICKS.format(shard=shard_of(BTC)), batch.encode(), maxlen=100)
        pushed = await event(socket)
    await collector.aclose()
    assert [(tick["instrument_id"], tick["price"], tick["side"]) for tick in pushed["data"]] == [(BTC, "1.01", "sell")]


async def test_a_ticket_opens_one_connection(live: Any) -> None:
    viewer = await live.user("viewer")
    ticket = (await viewer.post("/api/v1/ws-ticket")).json()["ticket"]
    url = live.process.url.replace("http", "ws") + "/ws"
    async with websockets.connect(url, proxy=None) as first:
        await first.send(json.dumps({"ticket": ticket}))
        assert (await event(first))["type"] == "ready"
        async with websockets.connect(url, proxy=None) as second:
            await second.send(json.dumps({"ticket": ticket}))
            assert await closed(second) == (1008, "the ticket is not valid")


async def test_no_ticket_is_no_connection(live: Any) -> None:
    async with websockets.connect(live.process.url.replace("http", "ws") + "/ws", proxy=None) as socket:
        await socket.send(json.dumps({"subscribe": ["orders"]}))
        assert await closed(socket) == (1008, "a ticket comes first")


async def test_a_strange_pages_connection_is_refused(live: Any) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(
            live.process.url.replace("http", "ws") + "/ws", origin="https://evil.example", proxy=None
        )
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("x" * 5000, (1009, "a message is too big")),
        ("{}", (1008, "a message is not valid")),
        ('{"subscribe": ["everything"]}', (1008, "a message is not valid")),
    ],
)
async def test_a_message_out_of_bounds_ends_the_connection(live: Any, text: str, ending: tuple[int, str]) -> None:
    async with connected(live, await live.user("viewer"), "orders") as socket:
        await socket.send(text)
        assert await closed(socket) == ending


async def test_a_client_that_sends_too_much_is_dropped(live: Any) -> None:
    async with connected(live, await live.user("viewer"), "orders") as socket:
        for _ in range(60):
            await socket.send('{"subscribe": ["orders"]}')
        assert await closed(socket) == (1008, "too many messages")


async def test_who_is_no_longer_allowed_is_dropped_at_the_next_look(start_live: Any) -> None:
    async with start_live(ws_recheck_s="0.2") as live:
        viewer, admin = await live.user("viewer"), await live.signed_in()
        user_id = (await viewer.get("/api/v1/auth/me")).json()["user_id"]
        async with connected(live, viewer, "orders") as socket:
            await admin.patch(f"/api/v1/users/{user_id}", json={"is_active": False})
            assert await closed(socket) == (1008, "the session has ended")


async def test_a_user_has_a_bounded_number_of_connections(start_live: Any) -> None:
    async with start_live(ws_clients_per_user_max="1") as live:
        viewer = await live.user("viewer")
        async with connected(live, viewer, "orders"):
            url = live.process.url.replace("http", "ws") + "/ws"
            async with websockets.connect(url, proxy=None) as second:
                ticket = (await viewer.post("/api/v1/ws-ticket")).json()["ticket"]
                await second.send(json.dumps({"ticket": ticket}))
                assert await closed(second) == (1013, "too many live connections")
