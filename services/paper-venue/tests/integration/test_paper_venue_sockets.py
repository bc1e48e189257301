"""Sockets as other clients use them: by path, by query, by SUBSCRIBE, and the WebSocket API by hand."""

import asyncio
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

pytestmark = pytest.mark.integration


@asynccontextmanager
async def a_socket(venue: Any, path: str) -> Any:
    async with connect(f"{venue.ws_url}{path}", proxy=None) as socket:
        yield socket


async def ask(socket: Any, request: Any) -> Any:
    await socket.send(request if isinstance(request, str) else json.dumps(request))
    return await heard(socket)


async def heard(socket: Any) -> Any:
    return json.loads(await asyncio.wait_for(socket.recv(), 5))


def signed(venue: Any, **params: Any) -> dict[str, Any]:
    values = {"apiKey": venue.key, "timestamp": int(time.time() * 1000), **params}
    payload = "&".join(f"{name}={values[name]}" for name in sorted(values))
    return values | {"signature": hmac.new(venue.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()}


async def test_a_stream_named_in_the_path_comes_raw(venue: Any) -> None:
    symbol = (await venue.market()).replace("/", "")
    async with a_socket(venue, f"/ws/{symbol.lower()}@aggTrade") as socket:
        await venue.trade(symbol, "101", "2", "sell")
        event = await heard(socket)

    assert (event["e"], event["s"], event["p"], event["q"], event["m"]) == ("aggTrade", symbol, "101", "2", True)


async def test_streams_named_in_the_query_come_wrapped(venue: Any) -> None:
    symbol = (await venue.market()).replace("/", "")
    name = symbol.lower()
    async with a_socket(venue, f"/stream?streams={name}@trade/{name}@bookTicker") as socket:
        await venue.trade(symbol, "101", "2", "buy")
        events = {event["stream"]: event["data"] for event in (await heard(socket), await heard(socket))}

    assert events[f"{name}@trade"]["t"] == 2
    assert "e" not in events[f"{name}@bookTicker"]
    assert (events[f"{name}@bookTicker"]["b"], events[f"{name}@bookTicker"]["a"]) == ("100.99", "101.01")


async def test_subscriptions_come_and_go(venue: Any) -> None:
    symbol = (await venue.market()).replace("/", "")
    name = f"{symbol.lower()}@trade"
    async with a_socket(venue, "/stream/ws/7") as socket:
        assert await ask(socket, {"method": "SUBSCRIBE", "params": [name], "id": 1}) == {"result": None, "id": 1}
        assert (await ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 2}))["result"] == [name]
        await venue.trade(symbol, "101")
        assert (await heard(socket))["p"] == "101"
        assert (await ask(socket, {"method": "UNSUBSCRIBE", "params": [name], "id": 3}))["id"] == 3
        await venue.trade(symbol, "102")
        assert (await ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": 4}))["result"] == []
        assert (await ask(socket, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 5}))["result"] is None
        assert (await ask(socket, {"method": "GET_PROPERTY", "params": ["combined"], "id": 6}))["result"] is True


async def test_what_is_no_request_is_answered_and_the_socket_stays(venue: Any) -> None:
    async with a_socket(venue, "/ws") as socket:
        assert (await ask(socket, "{nonsense"))["code"] == 3
        assert (await ask(socket, "[1]"))["code"] == 2
        assert (await ask(socket, {"method": "SUBSCRIBE", "params": ["hope"], "id": 1}))["code"] == 2
        assert (await ask(socket, {"method": "SUBSCRIBE", "params": [], "id": 2}))["id"] == 2
        assert (await ask(socket, {"method": "DANCE", "id": 3}))["code"] == 2


async def test_slow_streams_come_in_their_time(venue: Any) -> None:
    symbol = (await venue.market()).replace("/", "")
    name = symbol.lower()
    wanted = {f"{name}@ticker", f"{name}@depth5@100ms", f"{name}@kline_1h", "!miniTicker@arr"}
    seen: dict[str, Any] = {}
    async with a_socket(venue, f"/stream?streams={'/'.join(wanted)}") as socket:
        while seen.keys() != wanted:
            event = await heard(socket)
            seen[event["stream"]] = event["data"]

    assert seen[f"{name}@ticker"]["c"] == "100"
    assert len(seen[f"{name}@depth5@100ms"]["bids"]) == 5
    assert seen[f"{name}@kline_1h"]["k"]["i"] == "1h"
    assert symbol in {row["s"] for row in seen["!miniTicker@arr"]}


async def test_the_user_stream_wants_a_proven_sender(venue: Any) -> None:
    subscribe = "userDataStream.subscribe.signature"
    async with a_socket(venue, "/ws-api/v3") as socket:
        wrong = signed(venue) | {"signature": "00"}
        assert (await ask(socket, {"id": "a", "method": subscribe, "params": wrong}))["error"]["code"] == -1022
        stranger = signed(venue) | {"apiKey": "other"}
        assert (await ask(socket, {"id": "b", "method": subscribe, "params": stranger}))["status"] == 401
        good = {"id": "c", "method": subscribe, "params": signed(venue, recvWindow=5000)}
        assert await ask(socket, good) == {"id": "c", "status": 200, "result": {"subscriptionId": 0}}
        assert (await ask(socket, good | {"id": "d"}))["error"]["code"] == -2035
        assert (await ask(socket, {"id": "e", "method": "session.subscriptions"}))["result"] == [{"subscriptionId": 0}]
        assert (await ask(socket, {"id": "f", "method": "userDataStream.unsubscribe"}))["status"] == 200
        assert (await ask(socket, "nonsense"))["status"] == 400
        assert (await ask(socket, {"id": "g", "method": "hope"}))["status"] == 400


async def test_a_deposit_is_told_as_it_is_wrapped_for_a_subscription(venue: Any) -> None:
    async with a_socket(venue, "/ws-api/v3") as socket:
        await ask(socket, {"id": "1", "method": "userDataStream.subscribe.signature", "params": signed(venue)})
        await venue.admin("deposits", asset="GOLD", amount="3")
        update, position = await heard(socket), await heard(socket)

    assert (update["subscriptionId"], update["event"]["e"], update["event"]["d"]) == (0, "balanceUpdate", "3")
    assert position["event"]["B"] == [{"a": "GOLD", "f": "3", "l": "0"}]


async def test_a_muted_socket_stays_open_and_says_nothing(venue: Any) -> None:
    symbol = (await venue.market()).replace("/", "")
    async with a_socket(venue, f"/ws/{symbol.lower()}@trade") as socket:
        await venue.admin("faults", kind="mute")
        await venue.trade(symbol, "101")
        await venue.clear_faults()
        await venue.trade(symbol, "102")
        assert (await heard(socket))["p"] == "102"


async def test_orders_go_over_the_socket_as_ccxt_sends_them(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    await client.load_markets()

    placed = await client.create_order_ws(symbol, "limit", "buy", 1, 90, {"clientOrderId": "by-socket"})
    asked = await client.fetch_order_ws(placed["id"], symbol)
    listed = await client.fetch_open_orders_ws(symbol)
    canceled = await client.cancel_order_ws(placed["id"], symbol)

    assert (placed["clientOrderId"], asked["status"], len(listed)) == ("by-socket", "open", 1)
    assert canceled["status"] == "canceled"
