"""The venue over a store in memory: what it does, without servers."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from starlette.applications import Starlette

from paper_venue.domain.faults import Faults
from paper_venue.domain.floor import Changes
from paper_venue.domain.limits import RateCounters, RateLimits
from paper_venue.domain.signing import Credentials
from paper_venue.handlers import admin
from paper_venue.handlers.calls import Venue
from paper_venue.handlers.desk import Desk
from paper_venue.handlers.hub import Hub
from paper_venue.handlers.market_streams import MarketPublisher
from paper_venue.handlers.rest import rest_routes
from paper_venue.ports import Page, Snapshot, StoredTrade
from sigmax.domain.depth import DepthModel
from sigmax.domain.fees import FeeSchedule
from sigmax.domain.venue_orders import VenueOrder
from sigmax.domain.wallet import Balance
from sigmax.schemas.market import moment

BTC = "BTC/USDT@test"


class SteppedClock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.ns = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        return self.ns

    def now(self) -> datetime:
        return moment(self.ns).astimezone(UTC)


class MemoryStore:
    """Keeps what is recorded; can be told to fail, before or after it has stored."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, Balance]] = {}
        self.orders_by_id: dict[int, VenueOrder] = {}
        self.fills: list[tuple[VenueOrder, StoredTrade]] = []
        self.markets: dict[str, Any] = {}
        self.positions: dict[str, str] = {}
        self.commits = 0
        self.fails_before = self.fails_after = False

    async def load(self) -> Snapshot:
        return Snapshot(
            next_order_id=max(self.orders_by_id, default=0) + 1,
            next_trade_id=max((stored.trade.trade_id for _, stored in self.fills), default=0) + 1,
            balances=deepcopy(self.accounts),
            open_orders=[order for order in self.orders_by_id.values() if order.is_open],
            markets=list(self.markets.values()),
            positions=dict(self.positions),
        )

    async def open_account(self, account_id: str, opening: dict[str, Decimal]) -> None:
        if account_id not in self.accounts:
            self.accounts[account_id] = {asset: Balance(amount) for asset, amount in opening.items()}

    async def record(self, changes: Changes) -> None:
        if self.fails_before:
            raise ConnectionError("the database is away")
        self.commits += 1
        for order in (*changes.new_orders, *changes.changed_orders):
            self.orders_by_id[order.order_id] = order
        self.fills += [
            (order, StoredTrade(order.order_id, order.side.value == "buy", trade)) for order, trade in changes.trades
        ]
        for change in changes.balances:
            self.accounts[change.account_id][change.asset] = change.balance
        for record in changes.markets:
            self.markets[record.rules.instrument_id] = record
        self.positions |= changes.positions
        if self.fails_after:
            raise ConnectionError("the answer to the commit is lost")

    async def find_order(
        self, account_id: str, instrument_id: str, order_id: int | None, client_order_id: str | None
    ) -> VenueOrder | None:
        for order in sorted(self.orders_by_id.values(), key=lambda each: -each.order_id):
            if order_id in {None, order.order_id} and client_order_id in {None, order.client_order_id}:
                return order
        return None

    async def orders(self, account_id: str, instrument_id: str, page: Page) -> list[VenueOrder]:
        return list(self.orders_by_id.values())[-page.limit :]

    async def trades(self, account_id: str, instrument_id: str, page: Page) -> list[StoredTrade]:
        return [stored for _, stored in self.fills][-page.limit :]

    async def klines(self, instrument_id: str, interval: Any, page: Page) -> list[Any]:
        record = self.markets.get(instrument_id)
        return [] if record is None else list(record.bars)

    async def forget_klines(self, days: int) -> None:
        self.markets.clear()


class Bench:
    """A venue, its store, and a client that signs."""

    def __init__(self, limits: RateLimits) -> None:
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.hub = Hub()
        counters = RateCounters(limits)
        self.desk = Desk(
            store=self.store, clock=self.clock, hub=self.hub, counters=counters, fees=FeeSchedule(), depth=DepthModel()
        )
        self.credentials = Credentials("key", "secret", "paper")
        self.venue = Venue(self.desk, self.hub, self.credentials, counters, Faults(), is_admin_enabled=True)
        self.answers: list[tuple[str, int]] = []
        app = Starlette(
            routes=[*rest_routes(lambda name, status, _s: self.answers.append((name, status))), *admin.ROUTES]
        )
        app.state.venue = self.venue
        app.state.publisher = MarketPublisher(self.desk, self.hub)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://venue")

    def sign(self, payload: str) -> str:
        return hmac.new(b"secret", payload.encode(), hashlib.sha256).hexdigest()

    async def send(self, method: str, path: str, **params: Any) -> httpx2.Response:
        """Send a signed request; parameters of a POST go into the body, as ccxt does it."""
        payload = urlencode({"timestamp": self.clock.ns // 1_000_000} | params)
        signed = f"{payload}&signature={self.sign(payload)}"
        headers = {"X-MBX-APIKEY": "key"}
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return await self.http.request(method, f"/api/v3/{path}", content=signed, headers=headers)
        return await self.http.request(method, f"/api/v3/{path}?{signed}", headers=headers)

    async def place(self, **fields: str) -> httpx2.Response:
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "1",
            "price": "90",
        }
        return await self.send("POST", "order", **{name: value for name, value in (order | fields).items() if value})

    async def admin(self, path: str, /, **body: Any) -> httpx2.Response:
        return await self.http.post(f"/admin/{path}", json=body)


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A venue with one market that traded once, at 100, and 10,000 USDT; limits may be given as a parameter."""
    bench = Bench(getattr(request, "param", RateLimits(100_000, 1000, 1000)))
    await bench.desk.open("paper", {"USDT": Decimal(10_000)})
    await bench.admin("instruments", instrument_id=BTC, tick_size="0.01", lot_size="0.001", notional_min="5")
    await bench.admin("trades", symbol="BTCUSDT", price="100", quantity="1")
    yield bench
    await bench.http.aclose()
