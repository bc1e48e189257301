"""What a running stack has done so far, read with the gateway's read-only role."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import cast

import asyncpg
import httpx2
import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from sigmax.schemas.market import LATEST, Quote
from sigmax_local.servers import Addresses

READER = "api_gateway"
_RATE_LOOKS = 10

_COUNTS = """
SELECT
  (SELECT count(*) FROM strategy_engine.signals WHERE created_at >= $1) AS signals,
  (SELECT count(*) FROM llm_controller.decisions WHERE created_at >= $1) AS decisions,
  (SELECT count(*) FROM risk_gate.verdicts WHERE created_at >= $1 AND outcome = 'approved') AS approved,
  (SELECT count(*) FROM risk_gate.verdicts WHERE created_at >= $1 AND outcome = 'denied') AS denied,
  (SELECT count(*) FROM order_worker.fills WHERE recorded_at >= $1) AS fills,
  (SELECT count(*) FROM notifier.alerts WHERE last_at >= $1) AS alerts
"""
_ORDERS = "SELECT status, count(*) AS orders FROM order_worker.orders WHERE created_at >= $1 GROUP BY status ORDER BY 1"
_DENIALS = """
SELECT code, count(*) AS denials FROM risk_gate.verdicts
WHERE created_at >= $1 AND outcome = 'denied' GROUP BY code ORDER BY 2 DESC, 1
"""
_LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at - tick_received_at) * 1000)
FROM order_worker.orders WHERE created_at >= $1 AND sent_at IS NOT NULL
"""
_POSITIONS = """
SELECT instrument_id, quantity, average_price, realized_pnl FROM order_worker.positions
WHERE quantity <> 0 ORDER BY instrument_id
"""
_BALANCES = """
SELECT asset, sum(amount) AS amount FROM order_worker.ledger_entries
WHERE ledger_account IN ('cash', 'holding') GROUP BY asset HAVING sum(amount) <> 0 ORDER BY asset
"""


@dataclass(frozen=True)
class Holding:
    """What is held of one instrument, and its newest price."""

    instrument_id: str
    quantity: Decimal
    average_price: Decimal
    realized_pnl: Decimal
    last: Decimal | None


@dataclass(frozen=True)
class Figures:
    """One look at the platform; counts are of this run."""

    signals: int = 0
    decisions: int = 0
    approved: int = 0
    denied: int = 0
    fills: int = 0
    alerts: int = 0
    orders: Mapping[str, int] = field(default_factory=dict)
    denials: Mapping[str, int] = field(default_factory=dict)
    holdings: tuple[Holding, ...] = ()
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    equity: Decimal | None = None
    """In the account's currency; None while something held has no price."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    ticks_per_s: float = 0.0
    ticks: int = 0

    @property
    def filled_orders(self) -> int:
        """Give the number of orders filled whole."""
        return self.orders.get("filled", 0)


class FiguresReader:
    """Reads figures again and again over connections of its own."""

    def __init__(self, addresses: Addresses, collector_url: str, currency: str, since: datetime) -> None:
        self._addresses = addresses
        self._collector_url = collector_url
        self._currency = currency
        self._since = since
        self._counter = 0.0
        self._ticks: deque[tuple[float, float]] = deque(maxlen=_RATE_LOOKS)
        """(moment, ticks so far): what the rate is taken over."""
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._redis = redis.asyncio.Redis.from_url(addresses.redis_url_as(READER), socket_timeout=2)
        self._http = httpx2.AsyncClient(trust_env=False, timeout=2)

    async def close(self) -> None:
        """Give the connections back."""
        if self._connection is not None:
            await self._connection.close()
        await self._redis.aclose()
        await self._http.aclose()

    async def connection(self) -> "asyncpg.Connection[asyncpg.Record]":
        """Give an open connection that can only read."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._addresses.database_url_as(READER),
                timeout=5,
                server_settings={"default_transaction_read_only": "on", "application_name": "sigmax-view"},
            )
        return self._connection

    async def read(self, now_s: float) -> Figures:
        """Look once; `now_s` is a monotonic clock. Raises `OSError` or `asyncpg.PostgresError`."""
        database = await self.connection()
        counts = await database.fetchrow(_COUNTS, self._since)
        latency = await database.fetchval(_LATENCY, self._since)
        quotes = await self._quotes()
        await self._count_ticks(now_s)
        holdings = tuple(
            Holding(**dict(row), last=quotes.get(row["instrument_id"])) for row in await database.fetch(_POSITIONS)
        )
        balances = {row["asset"]: row["amount"] for row in await database.fetch(_BALANCES)}
        return Figures(
            **dict(counts or {}),
            orders={row["status"]: row["orders"] for row in await database.fetch(_ORDERS, self._since)},
            denials={row["code"]: row["denials"] for row in await database.fetch(_DENIALS, self._since)},
            holdings=holdings,
            balances=balances,
            equity=equity_of(self._currency, balances, holdings),
            p50_ms=latency[0] if latency else None,
            p99_ms=latency[1] if latency else None,
            ticks_per_s=rate_of(self._ticks),
            ticks=int(self._ticks[-1][1]) if self._ticks else 0,
        )

    async def _quotes(self) -> dict[str, Decimal]:
        try:
            found = await self._redis.hgetall(LATEST)
        except (RedisError, OSError):
            return {}
        quotes = {}
        for body in found.values():
            try:
                quote = Quote.decode(cast("bytes", body))
            except msgspec.DecodeError:
                continue
            quotes[quote.instrument_id] = quote.last
        return quotes

    async def _count_ticks(self, now_s: float) -> None:
        try:
            text = (await self._http.get(f"{self._collector_url}/metrics")).text
        except httpx2.HTTPError:
            return
        found = re.search(r"^sigmax_collector_ticks_accepted_total (\S+)", text, re.MULTILINE)
        if found is None:
            return
        count = float(found.group(1))
        grown = count - self._counter if count >= self._counter else count  # a restarted collector counts from 0
        self._counter = count
        self._ticks.append((now_s, (self._ticks[-1][1] if self._ticks else 0.0) + grown))


def rate_of(looks: Sequence[tuple[float, float]]) -> float:
    """Give events per second over a few looks at a counter: (moment, count)."""
    if len(looks) < 2 or looks[-1][0] <= looks[0][0]:
        return 0.0
    return (looks[-1][1] - looks[0][1]) / (looks[-1][0] - looks[0][0])


def equity_of(currency: str, balances: Mapping[str, Decimal], holdings: tuple[Holding, ...]) -> Decimal | None:
    """Value cash and holdings in the account's currency; None while something held has no price."""
    total = balances.get(currency, Decimal(0))
    for holding in holdings:
        if holding.last is None:
            return None
        total += holding.quantity * holding.last
    return total
