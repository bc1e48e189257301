"""An unmodified ccxt trades here: what a user of the real venue does, this venue answers alike."""

import asyncio
from typing import Any

import ccxt
import pytest

pytestmark = pytest.mark.integration


async def free(client: Any, asset: str) -> float:
    return (await client.fetch_balance())[asset]["free"]


async def test_markets_and_time_load_with_one_call(venue: Any, client: Any) -> None:
    symbol = await venue.market()

    market = (await client.load_markets())[symbol]

    assert market["precision"] == {"amount": 0.001, "price": 0.01, "base": 1e-8, "quote": 1e-8} | market["precision"]
    assert market["limits"]["cost"]["min"] == 5
    assert market["active"]
    assert abs(await client.fetch_time() - client.milliseconds()) < 2000


async def test_market_data_reads_like_the_real_one(venue: Any, client: Any) -> None:
    symbol = await venue.market(price="100")
    await venue.trade(symbol, "101.5", "2", "buy")

    ticker = await client.fetch_ticker(symbol)
    assert (ticker["last"], ticker["bid"], ticker["ask"], ticker["open"]) == (101.5, 101.49, 101.51, 100)
    assert (await client.fetch_tickers([symbol]))[symbol]["last"] == 101.5
    assert (await client.fetch_bids_asks([symbol]))[symbol]["ask"] == 101.51
    assert (await client.fetch_last_prices([symbol]))[symbol]["price"] == 101.5
    book = await client.fetch_order_book(symbol, 5)
    assert (len(book["bids"]), book["asks"][0][0]) == (5, 101.51)
    trades = await client.fetch_trades(symbol)
    assert [(t["price"], t["amount"], t["side"]) for t in trades][-1] == (101.5, 2, "buy")
    bars = await client.fetch_ohlcv(symbol, "5m")
    assert bars[-1][4:] == [101.5, 3]
    assert (await client.public_get_avgprice({"symbol": symbol.replace("/", "")}))["price"] == "101.5"


async def test_opening_balances_are_there(venue: Any, client: Any) -> None:
    assert (await client.fetch_balance())["USDT"]["total"] > 0


async def test_a_market_order_fills_and_the_fee_is_taken_from_what_is_received(venue: Any, client: Any) -> None:
    symbol = await venue.market(base_funds="0")
    base = symbol.split("/")[0]
    before = await free(client, "USDT")

    order = await client.create_order(symbol, "market", "buy", 2)

    assert (order["status"], order["filled"], order["average"]) == ("closed", 2, 100.015)
    assert order["fees"] == [{"currency": base, "cost": 0.002}]
    assert await free(client, base) == 1.998
    assert await free(client, "USDT") == pytest.approx(before - 200.03)
    trades = await client.fetch_my_trades(symbol)
    assert [(t["price"], t["amount"], t["takerOrMaker"]) for t in trades] == [
        (100.01, 1, "taker"),
        (100.02, 1, "taker"),
    ]


async def test_a_quote_amount_buys_what_fits(venue: Any, client: Any) -> None:
    symbol = await venue.market()

    order = await client.create_market_buy_order_with_cost(symbol, 50)

    assert (order["status"], order["filled"], order["cost"]) == ("closed", 0.499, pytest.approx(49.90499))


async def test_a_limit_order_rests_fills_in_part_and_is_canceled(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    order = await client.create_order(symbol, "limit", "buy", 2, 90, {"clientOrderId": "part-1"})
    assert order["status"] == "open"
    assert [o["id"] for o in await client.fetch_open_orders(symbol)] == [order["id"]]

    await venue.trade(symbol, "89.5", "0.75", "sell")

    partial = await client.fetch_order(None, symbol, {"clientOrderId": "part-1"})
    assert (partial["status"], partial["filled"], partial["average"]) == ("open", 0.75, 90)
    canceled = await client.cancel_order(order["id"], symbol)
    assert (canceled["status"], canceled["info"]["origClientOrderId"]) == ("canceled", "part-1")
    assert await client.fetch_open_orders(symbol) == []
    (trade,) = await client.fetch_my_trades(symbol)
    assert (trade["takerOrMaker"], trade["amount"]) == ("maker", 0.75)
    with pytest.raises(ccxt.OrderNotFound, match="Unknown order sent"):
        await client.cancel_order(order["id"], symbol)


async def test_times_in_force_do_what_they_say(venue: Any, client: Any) -> None:
    symbol = await venue.market()

    ioc = await client.create_order(symbol, "limit", "buy", 5, 100.01, {"timeInForce": "IOC"})
    fok = await client.create_order(symbol, "limit", "sell", 5, 99.99, {"timeInForce": "FOK"})
    maker = await client.create_order(symbol, "limit", "buy", 1, 99, {"postOnly": True})

    assert (ioc["status"], ioc["filled"]) == ("expired", 1)
    assert (fok["status"], fok["filled"]) == ("expired", 0)
    assert (await client.fetch_order(maker["id"], symbol))["status"] == "open"
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await client.create_order(symbol, "limit", "sell", 1, 99.99, {"postOnly": True})


async def test_a_market_order_beyond_the_book_expires_with_what_it_got(venue: Any, client: Any) -> None:
    symbol = await venue.market(base_funds="1000")

    order = await client.create_order(symbol, "market", "sell", 500)

    assert (order["status"], order["filled"]) == ("expired", 210)


@pytest.mark.parametrize(
    ("kind", "side", "price", "params", "quiet", "loud", "got"),
    [
        ("limit", "sell", 94, {"triggerPrice": 95}, "95.01", "95", 94.99),
        ("market", "sell", None, {"stopLossPrice": 95}, "95.01", "94", 93.99),
        ("limit", "buy", 106, {"stopPrice": 105}, "104.99", "105", 105.01),
        ("market", "buy", None, {"triggerPrice": 105}, "104.99", "105", 105.01),
        ("limit", "sell", 104, {"takeProfitPrice": 105}, "104.99", "105", 104.99),
        ("market", "buy", None, {"takeProfitPrice": 95}, "95.01", "95", 95.01),
    ],
)
async def test_a_stop_rests_until_its_price_trades_and_then_fills_under_its_own_id(
    venue: Any,
    client: Any,
    kind: str,
    side: str,
    price: float | None,
    params: dict[str, float],
    quiet: str,
    loud: str,
    got: float,
) -> None:
    symbol = await venue.market()
    locked = symbol.split("/")[0] if side == "sell" else "USDT"
    before = await free(client, locked)
    placed = await client.create_order(symbol, kind, side, 1, price, params)
    (stop,) = params.values()

    await venue.trade(symbol, quiet)
    waiting = await client.fetch_order(placed["id"], symbol)
    assert (waiting["status"], waiting["filled"], waiting["triggerPrice"]) == ("open", 0, stop)
    assert waiting["info"]["isWorking"] is False
    assert [order["id"] for order in await client.fetch_open_orders(symbol)] == [placed["id"]]
    assert before - await free(client, locked) == pytest.approx(1 if side == "sell" else price or stop)

    await venue.trade(symbol, loud)
    woken = await client.fetch_order(placed["id"], symbol)
    assert (woken["status"], woken["filled"], woken["average"]) == ("closed", 1, got)
    assert woken["info"]["isWorking"] is True


async def test_the_user_stream_tells_of_a_stop_that_wakes_up(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    await client.load_markets()
    orders = asyncio.create_task(client.watch_orders(symbol))
    while not any(c.url.endswith("/ws-api/v3") and c.subscriptions for c in client.clients.values()):
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    placed = await client.create_order(symbol, "limit", "sell", 1, 94, {"stopPrice": 95})
    (seen,) = await asyncio.wait_for(orders, 5)
    assert (seen["id"], seen["status"], seen["triggerPrice"]) == (placed["id"], "open", 95)

    fills = asyncio.create_task(client.watch_my_trades(symbol))
    await asyncio.sleep(0.1)
    await venue.trade(symbol, "95")
    (fill,) = await asyncio.wait_for(fills, 5)
    assert (fill["order"], fill["price"]) == (placed["id"], 94.99)


async def test_a_client_id_is_refused_while_its_order_is_open(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    order = await client.create_order(symbol, "limit", "buy", 1, 90, {"clientOrderId": "twice"})

    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        await client.create_order(symbol, "limit", "buy", 1, 90, {"clientOrderId": "twice"})
    await client.cancel_order(None, symbol, {"clientOrderId": "twice"})
    again = await client.create_order(symbol, "limit", "buy", 1, 90, {"clientOrderId": "twice"})
    newest = await client.fetch_order(None, symbol, {"clientOrderId": "twice"})
    assert newest["id"] == again["id"] != order["id"]


async def test_refusals_come_as_the_classes_that_adapters_know(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    name = symbol.replace("/", "")
    await client.load_markets()

    async def raw(**fields: str) -> Any:
        order = {"symbol": name, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "90"}
        sent = {key: value for key, value in (order | fields).items() if value}
        return await client.private_post_order(sent)

    for expected, text, fields in (
        (ccxt.InvalidOrder, "PRICE_FILTER", {"price": "90.001"}),
        (ccxt.InvalidOrder, "LOT_SIZE", {"quantity": "1.0001"}),
        (ccxt.InvalidOrder, "PERCENT_PRICE_BY_SIDE", {"price": "1"}),
        (ccxt.BadRequest, "NOTIONAL", {"quantity": "0.001"}),
        (ccxt.InsufficientFunds, "insufficient balance", {"quantity": "1000000"}),
        (ccxt.BadSymbol, "Invalid symbol", {"symbol": "NOPENOPE"}),
        (ccxt.BadRequest, "-1102", {"price": ""}),
        (ccxt.BadRequest, "-1104", {"reduceOnly": "true"}),
        (ccxt.BadRequest, "-1106", {"stopPrice": "80"}),
        (ccxt.OrderImmediatelyFillable, "Stop price would trigger", {"type": "STOP_LOSS_LIMIT", "stopPrice": "100"}),
        (ccxt.InvalidOrder, "PRICE_FILTER", {"type": "STOP_LOSS_LIMIT", "stopPrice": "110.001"}),
        (ccxt.InsufficientFunds, "balance", {"type": "STOP_LOSS_LIMIT", "stopPrice": "110", "quantity": "1000000"}),
        (ccxt.BadRequest, "-1102", {"type": "STOP_LOSS_LIMIT"}),
        (ccxt.BadRequest, "-1100", {"newClientOrderId": "a b"}),
        (ccxt.BadRequest, "-1111", {"price": "90.0000000001"}),
        (ccxt.BadRequest, "-1115", {"timeInForce": "DAY"}),
        (ccxt.BadRequest, "-1116", {"type": "HOPE"}),
        (ccxt.BadRequest, "-1117", {"side": "HOLD"}),
    ):
        with pytest.raises(expected, match=text):
            await raw(**fields)
    with pytest.raises(ccxt.OrderNotFound, match="Order does not exist"):
        await client.fetch_order("999999", symbol)
    assert await client.fetch_open_orders(symbol) == []
    assert all(order["symbol"] != symbol for order in await client.fetch_open_orders())


async def test_who_cannot_prove_who_they_are_is_refused(venue: Any) -> None:
    for settings, expected in (
        ({"secret": "wrong"}, ccxt.AuthenticationError),
        ({"apiKey": "wrong"}, ccxt.AuthenticationError),
    ):
        stranger = venue.client(**settings)
        try:
            with pytest.raises(expected):
                await stranger.fetch_balance()
        finally:
            await stranger.close()


async def test_a_request_that_is_too_old_is_refused(venue: Any, client: Any) -> None:
    client.options["timeDifference"] = 20_000

    with pytest.raises(ccxt.InvalidNonce):
        await client.fetch_balance()


async def test_all_orders_are_canceled_and_listed(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    placed = [await client.create_order(symbol, "limit", "buy", 1, price) for price in (90, 91)]

    canceled = await client.cancel_all_orders(symbol)

    assert [order["id"] for order in canceled] == [order["id"] for order in placed]
    assert {order["status"] for order in await client.fetch_orders(symbol)} == {"canceled"}


async def test_a_test_order_is_checked_and_not_placed(venue: Any, client: Any) -> None:
    symbol = await venue.market()

    await client.create_order(symbol, "limit", "buy", 1, 90, {"test": True})

    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(symbol, "limit", "sell", 1000, 110, {"test": True})
    assert await client.fetch_orders(symbol) == []


async def test_the_user_stream_tells_of_orders_fills_and_balances(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    await client.load_markets()
    orders = asyncio.create_task(client.watch_orders(symbol))
    while not any(c.url.endswith("/ws-api/v3") and c.subscriptions for c in client.clients.values()):
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)

    placed = await client.create_order(symbol, "limit", "buy", 1, 90, {"clientOrderId": "streamed"})

    (seen,) = await asyncio.wait_for(orders, 5)
    assert (seen["id"], seen["status"], seen["clientOrderId"]) == (placed["id"], "open", "streamed")
    fills = asyncio.create_task(client.watch_my_trades(symbol))
    balance = asyncio.create_task(client.watch_balance())
    await asyncio.sleep(0.1)
    await venue.trade(symbol, "89", "2", "sell")
    (fill,) = await asyncio.wait_for(fills, 5)
    assert (fill["price"], fill["amount"], fill["order"]) == (90, 1, placed["id"])
    assert symbol.split("/")[0] in await asyncio.wait_for(balance, 5)


async def test_market_streams_tell_what_happens(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    await client.load_markets()
    watches = {
        "trades": client.watch_trades(symbol),
        "ticker": client.watch_ticker(symbol),
        "quotes": client.watch_bids_asks([symbol]),
        "bars": client.watch_ohlcv(symbol, "1m"),
    }
    tasks = {name: asyncio.create_task(watch) for name, watch in watches.items()}
    while not all(task.done() for task in tasks.values()):
        await venue.trade(symbol, "105", "0.5", "buy")
        await asyncio.sleep(0.2)

    assert (await tasks["trades"])[-1]["price"] == 105
    assert (await tasks["ticker"])["last"] == 105
    assert (await tasks["quotes"])[symbol]["ask"] == 105.01
    assert (await tasks["bars"])[-1][4] == 105


async def test_the_book_stream_has_no_gaps(venue: Any, client: Any) -> None:
    symbol = await venue.market()
    await client.load_markets()
    for turn in range(8):
        watch = asyncio.create_task(client.watch_order_book(symbol))
        while not watch.done():
            await venue.trade(symbol, f"{100 + turn}", "1", "buy")
            await asyncio.sleep(0.03)
        book = await watch
        assert book["bids"][0][0] < book["asks"][0][0]
    assert len(book["asks"]) >= 20
