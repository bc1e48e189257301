"""A small Binance-like venue on loopback that fails on demand."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import WSMsgType, web

FILLED = ("FILLED", "EXPIRED", "CANCELED")
FEE = Decimal("0.001")


def a_symbol(base: str, quote: str) -> dict[str, Any]:
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        ],
    }


@dataclass
class FakeVenue:
    """Fills what crosses the price at once, in full; the rest rests. Faults hit the next submits, in order."""

    price: Decimal = Decimal(100)
    balances: dict[str, Decimal] = field(default_factory=lambda: {"USDT": Decimal(100000)})
    symbols: tuple[tuple[str, str], ...] = (("BTC", "USDT"), ("ETH", "USDT"))
    faults: list[str] = field(default_factory=list)
    """`timeout`, `accept_then_timeout`, `reset`, `unavailable`, `garbage`, `refuse`, `too_many`,
    `accept_then_garbage`."""
    delay_s: float = 0.0
    orders_10s: int = 100000
    """What it says that it takes; it takes all."""
    is_hidden: bool = False
    """Queries know of no order, as long as this stands."""
    is_away: bool = False
    """Every request is answered with 503."""
    asked: Counter[str] = field(default_factory=Counter)
    asked_at: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By the clock of `time.monotonic`."""
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    trades: list[dict[str, Any]] = field(default_factory=list)
    submits: list[dict[str, str]] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    url: str = ""

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self.answering])
        app.router.add_get("/api/v3/exchangeInfo", self.exchange_info)
        app.router.add_get("/api/v3/time", self.time)
        app.router.add_get("/api/v3/account", self.account)
        app.router.add_post("/api/v3/order", self.submit)
        app.router.add_get("/api/v3/order", self.query)
        app.router.add_delete("/api/v3/order", self.cancel)
        app.router.add_get("/api/v3/openOrders", self.open_orders)
        app.router.add_get("/api/v3/myTrades", self.my_trades)
        app.router.add_get("/ws-api/v3", self.user_stream)
        return app

    @web.middleware
    async def answering(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked[f"{request.method} {request.path}"] += 1
        self.asked_at[f"{request.method} {request.path}"].append(time.monotonic())
        if self.is_away:
            return web.Response(status=503, text="upstream")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def exchange_info(self, _request: web.Request) -> web.Response:
        listed = [a_symbol(base, quote) for base, quote in self.symbols]
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 600000},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": self.orders_10s},
        ]
        return web.json_response({"timezone": "UTC", "serverTime": _now(), "rateLimits": limits, "symbols": listed})

    async def time(self, _request: web.Request) -> web.Response:
        return web.json_response({"serverTime": _now()})

    async def account(self, _request: web.Request) -> web.Response:
        balances = [{"asset": asset, "free": str(amount), "locked": "0"} for asset, amount in self.balances.items()]
        return web.json_response({"balances": balances, "updateTime": _now(), "accountType": "SPOT"})

    async def submit(self, request: web.Request) -> web.StreamResponse:
        values = {key: str(value) for key, value in (await request.post()).items()}
        self.submits.append(values)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refuse":
            return _error(-2010, "Account has insufficient balance for requested action.")
        if fault == "too_many":
            body = {"code": -1015, "msg": "Too many new orders; please slow down."}
            return web.json_response(body, status=429, headers={"Retry-After": "2"})
        if fault == "unavailable":
            return web.Response(status=503, text="upstream")
        if fault == "garbage":
            return web.Response(status=200, text="<html>welcome</html>", content_type="text/html")
        if fault in ("timeout", "reset"):
            await (asyncio.sleep(30) if fault == "timeout" else _cut(request))
        if any(order["clientOrderId"] == values["newClientOrderId"] for order in self.orders.values()):
            return _error(-2010, "Duplicate order sent.")
        order = self.accept(values)
        if fault == "accept_then_timeout":
            await asyncio.sleep(30)
        if fault == "accept_then_garbage":
            return web.Response(status=200, text="<html>welcome</html>", content_type="text/html")
        await asyncio.sleep(self.delay_s)
        return web.json_response(order)

    def accept(self, values: dict[str, str]) -> dict[str, Any]:
        order_id = len(self.orders) + 1
        order = {
            "symbol": values["symbol"],
            "orderId": order_id,
            "orderListId": -1,
            "clientOrderId": values["newClientOrderId"],
            "transactTime": _now(),
            "price": values.get("price", "0"),
            "origQty": values["quantity"],
            "executedQty": "0",
            "cummulativeQuoteQty": "0",
            "status": "NEW",
            "timeInForce": values.get("timeInForce", "GTC"),
            "type": values["type"],
            "side": values["side"],
            "fills": [],
        }
        self.orders[order_id] = order
        limit = Decimal(values["price"]) if "price" in values else None
        sign = 1 if values["side"] == "BUY" else -1
        if limit is None or (limit - self.price) * sign >= 0:
            self.fill(order_id, Decimal(values["quantity"]))
        return self.orders[order_id]

    def fill(self, order_id: int, quantity: Decimal) -> None:
        order = self.orders[order_id]
        base, quote = next(pair for pair in self.symbols if "".join(pair) == order["symbol"])
        is_buy = order["side"] == "BUY"
        received, asset = (quantity, base) if is_buy else (quantity * self.price, quote)
        fee = received * FEE
        trade = {
            "symbol": order["symbol"],
            "id": len(self.trades) + 1,
            "orderId": order_id,
            "orderListId": -1,
            "price": str(self.price),
            "qty": str(quantity),
            "quoteQty": str(quantity * self.price),
            "commission": str(fee),
            "commissionAsset": asset,
            "time": _now(),
            "isBuyer": is_buy,
            "isMaker": False,
            "isBestMatch": True,
        }
        self.trades.append(trade)
        named = {"price": trade["price"], "qty": trade["qty"], "commission": str(fee), "commissionAsset": asset}
        order["fills"] = [*order["fills"], {**named, "tradeId": trade["id"]}]
        executed = Decimal(order["executedQty"]) + quantity
        order["executedQty"] = str(executed)
        order["cummulativeQuoteQty"] = str(Decimal(order["cummulativeQuoteQty"]) + quantity * self.price)
        order["status"] = "FILLED" if executed == Decimal(order["origQty"]) else "PARTIALLY_FILLED"
        sign = 1 if is_buy else -1
        self.balances[base] = self.balances.get(base, Decimal(0)) + sign * quantity
        self.balances[quote] = self.balances.get(quote, Decimal(0)) - sign * quantity * self.price
        self.balances[asset] -= fee

    async def query(self, request: web.Request) -> web.Response:
        order = self._named(request)
        return _error(-2013, "Order does not exist.") if order is None else web.json_response(_told(order))

    async def cancel(self, request: web.Request) -> web.Response:
        order = self._named(request)
        if order is None or order["status"] in FILLED:
            return _error(-2011, "Unknown order sent.")
        order["status"] = "CANCELED"
        told = {**_told(order), "origClientOrderId": order["clientOrderId"], "clientOrderId": "the-cancel"}
        return web.json_response(told)

    def _named(self, request: web.Request) -> dict[str, Any] | None:
        if self.is_hidden:
            return None
        if "orderId" in request.query:
            return self.orders.get(int(request.query["orderId"]))
        wanted = request.query["origClientOrderId"]
        return next((order for order in self.orders.values() if order["clientOrderId"] == wanted), None)

    async def open_orders(self, _request: web.Request) -> web.Response:
        resting = [] if self.is_hidden else [_told(o) for o in self.orders.values() if o["status"] not in FILLED]
        return web.json_response(resting)

    async def my_trades(self, request: web.Request) -> web.Response:
        since = int(request.query.get("startTime", 0))
        wanted = request.query.get("orderId")
        rows = [
            trade
            for trade in ([] if self.is_hidden else self.trades)
            if trade["symbol"] == request.query["symbol"]
            and trade["time"] >= since
            and wanted in (None, str(trade["orderId"]))
        ]
        return web.json_response(rows)

    async def user_stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                asked = json.loads(message.data)
                await socket.send_json({"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}})
                self.sockets.append(socket)
        return socket

    async def report(self, order_id: int, kind: str) -> None:
        """Tell the stream of an order; `TRADE` tells of its newest trade."""
        order = self.orders[order_id]
        mine = [trade for trade in self.trades if trade["orderId"] == order_id]
        trade = mine[-1] if kind == "TRADE" else None
        event = {
            "e": "executionReport",
            "E": _now(),
            "s": order["symbol"],
            "c": order["clientOrderId"],
            "S": order["side"],
            "o": order["type"],
            "f": order["timeInForce"],
            "q": order["origQty"],
            "p": order["price"],
            "P": "0",
            "F": "0",
            "g": -1,
            "C": "",
            "x": kind,
            "X": order["status"],
            "r": "NONE",
            "i": order_id,
            "l": trade["qty"] if trade else "0",
            "z": order["executedQty"],
            "L": trade["price"] if trade else "0",
            "n": trade["commission"] if trade else "0",
            "N": trade["commissionAsset"] if trade else None,
            "T": trade["time"] if trade else _now(),
            "t": trade["id"] if trade else -1,
            "m": False,
            "O": order["transactTime"],
            "Z": order["cummulativeQuoteQty"],
            "Y": trade["quoteQty"] if trade else "0",
        }
        for socket in self.sockets:
            await socket.send_json({"subscriptionId": 0, "event": event})


def _told(order: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in order.items() if key not in ("fills", "transactTime")}
    return {**told, "time": order["transactTime"], "updateTime": _now(), "isWorking": True}


def _error(code: int, text: str) -> web.Response:
    return web.json_response({"code": code, "msg": text}, status=400)


async def _cut(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        transport.abort()
    raise asyncio.CancelledError


def _now() -> int:
    return int(time.time() * 1000)


@asynccontextmanager
async def serving(fake: FakeVenue) -> AsyncIterator[FakeVenue]:
    """Serve a venue on loopback; its address is in `url`."""
    runner = web.AppRunner(fake.application(), handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server: Any = site._server
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
