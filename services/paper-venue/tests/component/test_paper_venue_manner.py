"""The venue as one that keeps less than Binance does."""

from typing import Any

RESTING = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "90"}


async def without_ids(bench: Any, **changes: Any) -> None:
    body = {"client_ids": False, "execution_ids": False, **changes}
    assert (await bench.http.post("/admin/manner", json=body)).status_code == 200


async def test_a_client_id_is_ignored_and_never_told(bench: Any) -> None:
    await without_ids(bench)
    placed = await bench.send("POST", "order", symbol="BTCUSDT", newClientOrderId="mine", **RESTING)
    again = await bench.send("POST", "order", symbol="BTCUSDT", newClientOrderId="mine", **RESTING)
    asked = await bench.send("GET", "order", symbol="BTCUSDT", origClientOrderId="mine")
    listed = await bench.send("GET", "allOrders", symbol="BTCUSDT")

    assert placed.status_code == again.status_code == 200, again.text
    assert asked.json()["code"] == -1102
    for told in (placed.json(), again.json(), *listed.json()):
        assert told["branch"] == "00950"
        assert not {"clientOrderId", "origClientOrderId", "fills"} & told.keys()
    assert len(listed.json()) == 2


async def test_a_cancel_names_the_branch(bench: Any) -> None:
    await without_ids(bench)
    order_id = (await bench.send("POST", "order", symbol="BTCUSDT", **RESTING)).json()["orderId"]
    unnamed = await bench.send("DELETE", "order", symbol="BTCUSDT", orderId=order_id)
    named = await bench.send("DELETE", "order", symbol="BTCUSDT", orderId=order_id, branch="00950")

    assert unnamed.json()["code"] == -2011
    assert named.json()["status"] == "CANCELED"


async def test_no_trade_is_told_and_the_page_is_short(bench: Any) -> None:
    await without_ids(bench, orders_page_max=2)
    for _ in range(3):
        filled = await bench.send("POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.1")
        assert filled.json()["status"] == "FILLED"

    assert (await bench.send("GET", "myTrades", symbol="BTCUSDT")).json() == []
    assert len((await bench.send("GET", "allOrders", symbol="BTCUSDT", limit="1000")).json()) == 2


async def test_a_late_request_is_taken_where_no_window_keeps_it_out(bench: Any) -> None:
    late = {"timestamp": bench.clock.ns // 1_000_000 - 60_000, "symbol": "BTCUSDT", **RESTING}

    assert (await bench.send("POST", "order", **late)).json()["code"] == -1021
    await without_ids(bench)
    assert (await bench.send("POST", "order", **late)).status_code == 200


async def test_a_branch_is_no_parameter_of_a_venue_that_keeps_names(bench: Any) -> None:
    order_id = (await bench.send("POST", "order", symbol="BTCUSDT", **RESTING)).json()["orderId"]
    canceled = await bench.send("DELETE", "order", symbol="BTCUSDT", orderId=order_id, branch="00950")

    assert canceled.json()["code"] == -1104
