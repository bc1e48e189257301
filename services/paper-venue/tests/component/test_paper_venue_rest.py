from typing import Any

import pytest

from paper_venue.domain.limits import RateLimits


async def test_an_order_is_stored_before_it_is_answered(bench: Any) -> None:
    answer = await bench.place(type="MARKET", timeInForce="", price="", newClientOrderId="mine")

    body = answer.json()
    stored = bench.store.orders_by_id[body["orderId"]]
    assert (answer.status_code, body["status"], stored.client_order_id) == (200, "FILLED", "mine")
    assert [fill["tradeId"] for fill in body["fills"]] == [trade.trade.trade_id for _, trade in bench.store.fills]
    assert answer.headers["x-mbx-order-count-10s"] == "1"


async def test_the_kind_of_answer_is_the_clients_choice(bench: Any) -> None:
    ack = (await bench.place(newOrderRespType="ACK")).json()
    result = (await bench.place(newOrderRespType="RESULT")).json()
    maker = (await bench.place(type="LIMIT_MAKER", timeInForce="")).json()

    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert "fills" not in result
    assert "status" not in maker


async def test_what_an_order_needs_and_may_not_have_depends_on_its_type(bench: Any) -> None:
    for fields, code in (
        ({"timeInForce": ""}, -1102),
        ({"price": ""}, -1102),
        ({"quantity": ""}, -1102),
        ({"quoteOrderQty": "50"}, -1106),
        ({"type": "MARKET", "price": ""}, -1106),
        ({"type": "MARKET", "timeInForce": "", "price": "", "quantity": ""}, -1102),
        ({"type": "MARKET", "timeInForce": "", "price": "", "quoteOrderQty": "50"}, -1106),
        ({"type": "LIMIT_MAKER"}, -1106),
        ({"stopPrice": "80"}, -1106),
        ({"type": "STOP_LOSS_LIMIT"}, -1102),
        ({"type": "STOP_LOSS_LIMIT", "side": "SELL", "stopPrice": "80", "timeInForce": ""}, -1102),
        ({"type": "TAKE_PROFIT_LIMIT", "side": "SELL", "stopPrice": "120", "price": ""}, -1102),
        ({"type": "STOP_LOSS", "stopPrice": "120"}, -1106),
        ({"type": "STOP_LOSS", "stopPrice": "120", "price": ""}, -1106),
        ({"type": "STOP_LOSS", "stopPrice": "99", "price": "", "timeInForce": ""}, -2010),
        ({"type": "STOP_LOSS", "stopPrice": "120.001", "price": "", "timeInForce": ""}, -1013),
        ({"type": "STOP_LOSS", "trailingDelta": "100", "price": "", "timeInForce": ""}, -1106),
        ({"icebergQty": "1"}, -1106),
        ({"newOrderRespType": "SOME"}, -1100),
        ({"selfTradePreventionMode": "EXPIRE_TAKER"}, -1100),
        ({"quantity": "1e3"}, -1100),
        ({"quantity": "-1"}, -1100),
        ({"price": "NaN"}, -1100),
        ({"quantity": "1" * 40}, -1100),
        ({"newClientOrderId": "x" * 37}, -1100),
    ):
        answer = await bench.place(**fields)
        assert (answer.status_code, answer.json()["code"]) == (400, code), fields
    assert bench.store.orders_by_id == {}


async def test_a_signature_covers_query_and_body_as_they_were_sent(bench: Any) -> None:
    now = bench.clock.ns // 1_000_000
    query = f"symbol=BTCUSDT&side=BUY&timestamp={now}"
    body = "type=LIMIT&timeInForce=GTC&quantity=1&price=90&newClientOrderId=a%2Db"
    headers = {"X-MBX-APIKEY": "key"}

    async def send(signature: str) -> Any:
        return await bench.http.post(f"/api/v3/order?{query}", content=f"{body}&signature={signature}", headers=headers)

    assert (await send(bench.sign(query + body.replace("%2D", "-")))).json()["code"] == -1022
    good = await send(bench.sign(query + body).upper())
    assert (good.status_code, good.json()["clientOrderId"]) == (200, "a-b")


async def test_who_sends_without_key_signature_or_time_is_told_so(bench: Any) -> None:
    now = bench.clock.ns // 1_000_000

    async def ask(query: str, key: str | None = "key") -> tuple[int, int]:
        answer = await bench.http.get(f"/api/v3/account?{query}", headers={"X-MBX-APIKEY": key} if key else {})
        return answer.status_code, answer.json()["code"]

    def signed(query: str) -> str:
        return f"{query}&signature={bench.sign(query)}"

    assert await ask(signed(f"timestamp={now}"), None) == (401, -2014)
    assert await ask(signed(f"timestamp={now}"), "other") == (401, -2015)
    assert await ask(f"timestamp={now}") == (400, -1102)
    assert await ask(f"timestamp={now}&signature=00") == (400, -1022)
    assert await ask(signed("recvWindow=5000")) == (400, -1102)
    assert await ask(signed(f"timestamp={now - 5001}")) == (400, -1021)
    assert await ask(signed(f"timestamp={now + 1000}")) == (400, -1021)
    assert await ask(signed(f"timestamp={now}&recvWindow=60001")) == (400, -1131)
    assert await ask(signed(f"timestamp={now}&timestamp={now}")) == (400, -1101)
    assert await ask(signed(f"timestamp={now}&hope=1")) == (400, -1104)


async def test_a_late_request_passes_with_a_wider_window(bench: Any) -> None:
    late = bench.clock.ns // 1_000_000 - 9000

    assert (await bench.send("GET", "account", timestamp=late, recvWindow=10_000)).status_code == 200


async def test_both_names_of_an_order_must_fit_it(bench: Any) -> None:
    order = (await bench.place(newClientOrderId="one")).json()

    wrong = await bench.send("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"], origClientOrderId="two")
    none = await bench.send("GET", "order", symbol="BTCUSDT")
    right = await bench.send(
        "DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"], origClientOrderId="one", newClientOrderId="undo"
    )

    assert (wrong.json()["code"], none.json()["code"]) == (-2011, -1102)
    assert (right.json()["clientOrderId"], right.json()["origClientOrderId"]) == ("undo", "one")


async def test_histories_longer_than_a_day_are_refused(bench: Any) -> None:
    answer = await bench.send("GET", "myTrades", symbol="BTCUSDT", startTime=0, endTime=86_400_001)

    assert answer.json()["code"] == -1127


async def test_what_is_not_offered_is_refused(bench: Any) -> None:
    for method, path in (("POST", "orderList/oco"), ("POST", "order/cancelReplace"), ("GET", "orderList")):
        assert (await bench.send(method, path)).json()["code"] == -1014
    assert (await bench.http.post("/api/v3/userDataStream")).status_code == 410


@pytest.mark.parametrize("bench", [RateLimits(weight_1m=45, orders_10s=1000, orders_1d=1000)], indirect=True)
async def test_too_much_weight_is_refused_until_the_minute_ends(bench: Any) -> None:
    answers = [(await bench.send("GET", "account")).status_code for _ in range(3)]

    assert answers == [200, 200, 429]
    refused = await bench.send("GET", "account")
    assert refused.json()["code"] == -1003
    assert int(refused.headers["retry-after"]) >= 1
    bench.clock.ns += 60_000_000_000
    assert (await bench.send("GET", "account")).status_code == 200


@pytest.mark.parametrize("bench", [RateLimits(weight_1m=1000, orders_10s=2, orders_1d=1000)], indirect=True)
async def test_too_many_orders_are_refused(bench: Any) -> None:
    answers = [await bench.place(price=price) for price in ("90", "91", "92")]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == -1015


async def test_a_commit_that_fails_answers_unknown_and_the_state_is_read_anew(bench: Any) -> None:
    bench.store.fails_before = True
    answer = await bench.place(newClientOrderId="lost")
    assert (answer.status_code, answer.json()["code"]) == (503, -1007)
    bench.store.fails_before = False
    assert (await bench.place()).json()["code"] == -1008

    await bench.desk.open("paper", {})

    assert (await bench.place(newClientOrderId="lost")).status_code == 200
    assert [order.client_order_id for order in bench.store.orders_by_id.values()] == ["lost"]


async def test_a_commit_whose_answer_is_lost_is_found_afterwards(bench: Any) -> None:
    bench.store.fails_after = True
    assert (await bench.place(newClientOrderId="there")).json()["code"] == -1007
    bench.store.fails_after = False

    await bench.desk.open("paper", {})

    assert (await bench.place(newClientOrderId="there")).json()["msg"] == "Duplicate order sent."


async def test_an_answer_that_is_lost_was_still_carried_out(bench: Any) -> None:
    await bench.admin("faults", kind="lose_answer", method="POST", path="/api/v3/order", times=1)

    assert (await bench.place(newClientOrderId="kept")).status_code == 504
    assert (await bench.send("GET", "order", symbol="BTCUSDT", origClientOrderId="kept")).json()["status"] == "NEW"


async def test_an_injected_refusal_places_nothing(bench: Any) -> None:
    await bench.admin("faults", kind="refuse", method="POST", status=429, code=-1003, times=1)
    await bench.admin("faults", kind="refuse", status=502, times=1)

    assert [(await bench.place()).status_code for _ in range(3)] == [429, 502, 200]
    assert len(bench.store.orders_by_id) == 1
    await bench.admin("faults", kind="delay", delay_s=0.001)
    assert len((await bench.http.get("/admin/faults")).json()) == 1
    await bench.http.delete("/admin/faults")
    assert (await bench.http.get("/admin/faults")).json() == []


async def test_control_routes_refuse_what_makes_no_sense(bench: Any) -> None:
    assert (await bench.admin("trades", symbol="BTCUSDT", price="-1", quantity="1")).status_code == 422
    assert (await bench.admin("trades", symbol="NOPE", price="1", quantity="1")).json()["code"] == -1121
    assert (await bench.admin("deposits", asset="USDT", amount="-99999999")).status_code == 409
    assert (await bench.admin("faults", kind="earthquake")).status_code == 422


async def test_control_routes_are_closed_unless_asked_for(bench: Any) -> None:
    bench.venue.is_admin_enabled = False

    assert (await bench.admin("deposits", asset="USDT", amount="1")).status_code == 404


async def test_a_body_without_end_is_cut_off(bench: Any) -> None:
    answer = await bench.http.post("/api/v3/order", content=b"a" * 70_000, headers={"X-MBX-APIKEY": "key"})

    assert answer.status_code == 413


async def test_the_reports_of_an_order_come_in_the_venues_sequence(bench: Any) -> None:
    told: list[dict[str, Any]] = []
    from paper_venue.handlers.hub import Listener

    class Collecting(Listener):
        def send(self, message: Any) -> None:
            told.append(message)

    bench.hub.subscribe("user:paper", Collecting(), lambda event: event)

    def heard() -> list[Any]:
        reports = [(e.get("x"), e.get("X")) if e["e"] == "executionReport" else e["e"] for e in told]
        told.clear()
        return reports

    position = "outboundAccountPosition"
    await bench.place(type="MARKET", timeInForce="", price="", quantity="2")
    assert heard() == [("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"), ("TRADE", "FILLED"), position]
    await bench.admin("deposits", asset="BTC", amount="500")
    assert heard() == ["balanceUpdate", position]
    await bench.place(side="SELL", type="MARKET", timeInForce="", price="", quantity="300")
    reports = heard()
    assert (reports[0], reports[-2:]) == (("NEW", "NEW"), [("EXPIRED", "EXPIRED"), position])
    await bench.place(price="80", newClientOrderId="bid")
    assert heard() == [("NEW", "NEW"), position]
    await bench.send("DELETE", "order", symbol="BTCUSDT", origClientOrderId="bid", newClientOrderId="undo")
    canceled = told[0]
    assert (canceled["c"], canceled["C"]) == ("undo", "bid")
    assert heard() == [("CANCELED", "CANCELED"), position]
    await bench.place(quantity="99999")
    assert heard() == []


async def test_a_stop_waits_without_working_and_is_told_of_again_when_it_wakes_up(bench: Any) -> None:
    from paper_venue.handlers.hub import Listener

    told: list[dict[str, Any]] = []

    class Collecting(Listener):
        def send(self, message: Any) -> None:
            told.append(message)

    bench.hub.subscribe("user:paper", Collecting(), lambda event: event)
    await bench.admin("deposits", asset="BTC", amount="5")
    stop = {"side": "SELL", "type": "STOP_LOSS_LIMIT", "stopPrice": "95", "price": "94.5", "newClientOrderId": "guard"}

    ack = (await bench.place(**stop)).json()
    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    asked = (await bench.send("GET", "order", symbol="BTCUSDT", origClientOrderId="guard")).json()
    assert (asked["status"], asked["stopPrice"], asked["isWorking"], asked["workingTime"]) == ("NEW", "95", False, -1)
    told.clear()
    await bench.admin("trades", symbol="BTCUSDT", price="95", quantity="1", side="sell")

    reports = [each for each in told if each["e"] == "executionReport"]
    assert [(each["x"], each["X"], each["P"], each["w"]) for each in reports] == [
        ("NEW", "NEW", "95", True),
        ("TRADE", "FILLED", "95", False),
    ]
    woken = (await bench.send("GET", "order", symbol="BTCUSDT", origClientOrderId="guard")).json()
    assert (woken["type"], woken["isWorking"]) == ("STOP_LOSS_LIMIT", True)
    assert woken["workingTime"] == bench.clock.ns // 1_000_000


async def test_a_stop_that_waits_is_canceled_with_its_price_in_the_answer(bench: Any) -> None:
    order = {"type": "STOP_LOSS", "stopPrice": "120", "price": "", "timeInForce": "", "newOrderRespType": "FULL"}
    placed = (await bench.place(**order)).json()
    assert (placed["status"], placed["workingTime"], placed["fills"]) == ("NEW", -1, [])

    canceled = (await bench.send("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"])).json()

    assert (canceled["status"], canceled["stopPrice"], canceled["price"]) == ("CANCELED", "120", "0")
