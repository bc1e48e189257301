"""One running venue per test module; each test trades a market of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from typing import Any

import ccxt.pro
import httpx2
import pytest

_letters = count()


class VenueUnderTest:
    """A running venue with its control routes."""

    def __init__(self, process: Any, key: str, secret: str) -> None:
        self.process = process
        self.key, self.secret = key, secret
        self.url = process.url
        self.ws_url = process.url.replace("http", "ws", 1)
        self.http = httpx2.AsyncClient(base_url=process.url, trust_env=False, timeout=10)

    async def admin(self, path: str, /, **body: Any) -> Any:
        answer = await self.http.post(
            f"/admin/{path}", json={k: str(v) if isinstance(v, Decimal) else v for k, v in body.items()}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def clear_faults(self) -> None:
        await self.http.delete("/admin/faults")

    async def trade(self, symbol: str, price: str, quantity: str = "1", side: str | None = None) -> None:
        await self.admin("trades", symbol=symbol.replace("/", ""), price=price, quantity=quantity, side=side)

    async def market(self, price: str = "100", quantity: str = "1", base_funds: str = "10", **rules: str) -> str:
        """List a market of its own, let it trade once, and give the account some of its base; gives `AAA/USDT`."""
        number = next(_letters)
        base = "T" + chr(65 + number // 26) + chr(65 + number % 26)
        listed = {"tick_size": "0.01", "lot_size": "0.001", "notional_min": "5"} | rules
        await self.admin("instruments", instrument_id=f"{base}/USDT@test", **listed)
        await self.trade(f"{base}USDT", price, quantity)
        if Decimal(base_funds):
            await self.admin("deposits", asset=base, amount=base_funds)
        return f"{base}/USDT"

    def client(self, **settings: Any) -> Any:
        """Give an unmodified ccxt, pointed here."""
        rest = f"{self.url}/api/v3"
        return ccxt.pro.binance(
            {
                "apiKey": self.key,
                "secret": self.secret,
                "enableRateLimit": False,
                "urls": {
                    "api": {
                        "public": rest,
                        "private": rest,
                        "v1": f"{self.url}/api/v1",
                        "sapi": f"{self.url}/sapi/v1",
                        "ws": {"spot": f"{self.ws_url}/stream/ws", "ws-api": {"spot": f"{self.ws_url}/ws-api/v3"}},
                    }
                },
                "options": {
                    "defaultType": "spot",
                    "fetchMarkets": {"types": ["spot"]},
                    "fetchCurrencies": False,
                    "fetchMargins": False,
                    "fetchOpenOrders": {"warnWithoutSymbol": False},
                    "warnOnFetchOpenOrdersWithoutSymbol": False,
                },
            }
            | settings
        )


@pytest.fixture
def open_venue(servers: Any, run_service: Any) -> Any:
    """Give a function that runs a venue as a process: `async with open_venue() as venue`."""

    @asynccontextmanager
    async def open_it(**settings: str) -> AsyncIterator[VenueUnderTest]:
        values = {"admin_enabled": "true", "opening_balances": '{"USDT": "100000"}'} | settings
        secrets = servers.secrets
        async with run_service("paper-venue", **values) as process:
            yield VenueUnderTest(
                process, secrets.get("paper_venue", "venue_api_key"), secrets.get("paper_venue", "venue_api_secret")
            )

    return open_it


@pytest.fixture(scope="module")
async def venue(servers: Any, cleaner: Any) -> AsyncIterator[VenueUnderTest]:
    from sigmax_local.testkit.service_process import running_service

    await cleaner.clean()
    secrets = servers.secrets
    settings = {"admin_enabled": "true", "opening_balances": '{"USDT": "1000000"}'}
    async with running_service(servers, "paper-venue", **settings) as process:
        yield VenueUnderTest(
            process, secrets.get("paper_venue", "venue_api_key"), secrets.get("paper_venue", "venue_api_secret")
        )


@pytest.fixture
async def client(venue: VenueUnderTest) -> AsyncIterator[Any]:
    exchange = venue.client()
    yield exchange
    await exchange.close()
