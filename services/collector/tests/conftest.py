"""A local server that speaks enough of Binance's spot API for unmodified ccxt."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from sigmax.runtime.clock import SystemClock

NOW_MS = SystemClock().now_ns() // 1_000_000


def _market(base: str, quote: str, tick: str, lot: str) -> dict[str, Any]:
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
        "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000.0", "stepSize": lot},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
        ],
    }


class FakeBinance:
    """Markets over HTTP, trades over WebSocket; connections can be cut, silenced, and refused."""

    def __init__(self) -> None:
        self.sockets: dict[web.WebSocketResponse, set[str]] = {}
        self.connections = 0
        self.is_refusing = False
        self.fails_markets = 0
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.now_ms = NOW_MS

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", self._exchange_info)
        app.router.add_get("/ws{tail:.*}", self._stream)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def trade(self, symbol: str, trade_id: int, price: str, quantity: str, at_ms: int | None = None) -> None:
        message = {
            "e": "trade",
            "E": NOW_MS,
            "s": symbol,
            "t": trade_id,
            "p": price,
            "q": quantity,
            "T": at_ms if at_ms is not None else NOW_MS + trade_id,
            "m": trade_id % 2 == 0,
            "M": True,
        }
        for socket, streams in list(self.sockets.items()):
            if f"{symbol.lower()}@trade" in streams:
                await socket.send_str(json.dumps(message))

    async def cut(self) -> None:
        """Cut all connections the way a dying network does: without a closing handshake."""
        for socket in list(self.sockets):
            transport = socket._req.transport if socket._req else None
            if transport is not None:
                transport.abort()
        self.sockets.clear()

    async def watched(self, stream: str) -> None:
        async with asyncio.timeout(20):
            while not any(stream in streams for streams in self.sockets.values()):
                await asyncio.sleep(0.01)

    async def _exchange_info(self, _request: web.Request) -> web.Response:
        if self.fails_markets:
            self.fails_markets -= 1
            return web.json_response({"code": -1000, "msg": "an unknown error"}, status=503)
        symbols = [
            _market("BTC", "USDT", "0.01000000", "0.00001000"),
            _market("ETH", "USDT", "0.01000000", "0.0001000"),
        ]
        return web.json_response(
            {"timezone": "UTC", "serverTime": NOW_MS, "rateLimits": [], "exchangeFilters": [], "symbols": symbols}
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.is_refusing:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self.sockets[socket] = set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                if asked["method"] == "SUBSCRIBE":
                    await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
                    self.sockets.setdefault(socket, set()).update(asked["params"])
        self.sockets.pop(socket, None)
        return socket


@pytest.fixture
async def binance() -> AsyncIterator[FakeBinance]:
    fake = FakeBinance()
    await fake.start()
    yield fake
    await fake.stop()
