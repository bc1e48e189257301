"""Watches the public trades of a crypto exchange over WebSocket, with unmodified ccxt."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import ccxt.pro
import structlog

from collector.domain.desk import DeskRules
from collector.domain.feed import START, Feed, Gap, Listing, Position, Trades
from collector.domain.scaling import exponent_of, scaled
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.market import Instrument

log = structlog.get_logger()

_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_AHEAD_MAX_NS = 5_000_000_000
"""A venue's clock may run ahead by so much; a trade further ahead would make all later ones look late."""
_TRADES_LIMIT = 1000
"""Trades that ccxt keeps between two reads; it keeps them for ever, so no more than needed."""
_WAITING_MAX = 200_000
"""Trades told and not taken yet, while Redis is away. Beyond it the newest are dropped and the gap is marked."""
_CONNECTING_MAX_S = 12.0
"""ccxt gives up connecting after 10 s: a watch that has neither told nor failed for longer is a quiet market."""
_STEP_DEFAULT = Decimal("0.00000001")
_FINER = 2
"""Digits kept beyond the market's steps: venues change their steps while we listen."""
_MILLISECOND_NS = 1_000_000


class SourceError(Exception):
    """The exchange or a symbol does not exist: the text says what to set instead."""


class CcxtSource:
    """One exchange's trade streams as a source; each symbol is watched by a task of its own.

    `watch_trades_for_symbols` is not used: it leaks.
    """

    def __init__(
        self,
        exchange: str,
        symbols: Sequence[str],
        clock: ClockPort,
        *,
        url: str | None = None,
        silence_max_s: float = 60.0,
    ) -> None:
        """`url` stands in for the host of all of the exchange's addresses."""
        self.rules = DeskRules(ahead_max_ns=_AHEAD_MAX_NS)
        self.recording: str | None = None
        self._name = exchange
        self._symbols = tuple(symbols)
        self._clock = clock
        self._url = url
        self._silence_max_s = silence_max_s
        self._exchange: Any = None
        self._listings: list[Listing] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._feed = Feed()
        self._waiting = 0
        self._has_news = asyncio.Event()
        self._last_ns: list[int] = []
        self._heard_s = 0.0
        self._faults: dict[int, str] = {}
        self._asked_s: dict[int, float] = {}
        self._lost_at: dict[int, int] = {}

    async def open(self) -> list[Listing]:
        """Load the exchange's markets, trying until it answers. Raises `SourceError` for what does not exist."""
        await self.close()
        if not hasattr(ccxt.pro, self._name):
            raise SourceError(f"ccxt knows no exchange {self._name!r} with WebSocket; set SIGMAX_CCXT_EXCHANGE")
        attempt = 0
        while True:
            self._exchange = self._make_exchange()
            try:
                await self._exchange.load_markets()
                break
            except ccxt.BaseError as error:
                self._faults = dict.fromkeys(range(len(self._symbols)), _told(error))
                log.warning("markets_not_loaded", exchange=self._name, error=_told(error))
                await self._exchange.close()
                await asyncio.sleep(self._pause_s(attempt))
                attempt += 1
        self._listings = [self._listing(symbol) for symbol in self._symbols]
        self._last_ns = [0] * len(self._listings)
        self._faults = dict.fromkeys(range(len(self._listings)), "connecting")
        self._lost_at.clear()
        self._heard_s = asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(self._watch(lane)) for lane in range(len(self._listings))]
        self._tasks.append(asyncio.create_task(self._listen_for_silence()))
        return self._listings

    def seek(self, start: Position, published: Position) -> None:
        """A live feed has no beginning to go back to."""
        if max(start, published) != START:
            raise ValueError("a live feed cannot be wound")

    async def read(self) -> Feed | None:
        """Wait for the next trade, and give with it all that came meanwhile."""
        await self._has_news.wait()
        self._has_news.clear()
        feed, self._feed, self._waiting = self._feed, Feed(), 0
        return feed

    def problem(self) -> str | None:
        """Say which symbols are not heard, and why."""
        if not self._faults:
            return None
        patience_s = asyncio.get_running_loop().time() - _CONNECTING_MAX_S
        faults = [
            (lane, text) for lane, text in self._faults.items() if self._asked_s.get(lane, patience_s) >= patience_s
        ]
        if not faults:
            return None
        lane, text = faults[0]
        return f"{len(faults)} of {len(self._symbols)} symbols, first {self._symbols[lane]}: {text}"

    async def close(self) -> None:
        """Stop watching and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._exchange is not None:
            await self._exchange.close()
            self._exchange = None

    def _make_exchange(self) -> Any:
        exchange = getattr(ccxt.pro, self._name)(
            {
                "enableRateLimit": True,
                "timeout": 10_000,
                "newUpdates": True,
                "aiohttp_trust_env": True,
                "options": {
                    "defaultType": "spot",
                    "fetchMarkets": {"types": ["spot"]},
                    "fetchCurrencies": False,
                    "tradesLimit": _TRADES_LIMIT,
                },
            }
        )
        # Numbers as the venue wrote them: a float has forgotten.
        exchange.number = str
        if self._url is not None:
            exchange.urls["api"] = _moved(exchange.urls["api"], self._url)
        return exchange

    def _listing(self, symbol: str) -> Listing:
        market = self._exchange.markets.get(symbol)
        if market is None:
            known = ", ".join(sorted(self._exchange.markets)[:5])
            raise SourceError(
                f"{self._name} has no {symbol!r}; set SIGMAX_SYMBOLS to some of its markets, like {known}"
            )
        are_steps = self._exchange.precisionMode == ccxt.TICK_SIZE
        tick, lot = (_step(market, name, are_steps=are_steps) for name in ("price", "amount"))
        limits = market.get("limits") or {}
        instrument = Instrument(
            instrument_id=f"{market['base']}/{market['quote']}@{self._name}",
            base=market["base"],
            quote=market["quote"],
            market=self._name,
            tick_size=tick,
            lot_size=lot,
            quantity_min=_limit(limits, "amount") or lot,
            notional_min=_limit(limits, "cost") or Decimal(0),
            asset_class="crypto",
            is_tradable=market.get("active") is not False,
        )
        return Listing(symbol, instrument, exponent_of(tick) - _FINER, exponent_of(lot) - _FINER)

    async def _watch(self, lane: int) -> None:
        symbol, attempt = self._symbols[lane], 0
        while True:
            self._asked_s[lane] = asyncio.get_running_loop().time()
            try:
                trades = await self._exchange.watch_trades(symbol)
            except asyncio.CancelledError:
                # ccxt cancels what waits when it closes a connection: only our own end ends the watch.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                error = "the connection was closed"
            except Exception as fault:  # ccxt raises anything on a broken connection; a feed that ends is worse
                error = _told(fault)
            else:
                attempt = 0
                self._take(lane, trades)
                continue
            self._lose(lane, error)
            await asyncio.sleep(self._pause_s(attempt))
            attempt += 1

    def _lose(self, lane: int, error: str) -> None:
        if lane not in self._faults:
            log.warning("feed_interrupted", symbol=self._symbols[lane], error=error)
        self._faults[lane] = error
        if self._last_ns[lane]:
            self._lost_at.setdefault(lane, self._last_ns[lane])

    def _take(self, lane: int, told: Sequence[dict[str, Any]]) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        self._faults.pop(lane, None)
        if self._waiting >= _WAITING_MAX:
            self._lost_at.setdefault(lane, self._last_ns[lane])
            return
        listing = self._listings[lane]
        ids: list[int | str | None] = []
        trades = Trades(self._clock.now_ns(), trade_ids=ids)
        for trade in told:
            trades.lanes.append(lane)
            trades.ts_ns.append(int(trade["timestamp"] or 0) * _MILLISECOND_NS)
            trades.prices.append(scaled(trade["price"], listing.price_exponent))
            trades.quantities.append(scaled(trade["amount"], listing.quantity_exponent))
            trades.sides.append({"buy": 1, "sell": -1}.get(trade["side"], 0))
            ids.append(_id(trade["id"]))
        if not trades.lanes:
            return
        lost_ns = self._lost_at.pop(lane, None)
        if lost_ns is not None:
            self._feed.gaps.append(Gap(lane, "reconnect", lost_ns, max(lost_ns, trades.ts_ns[0])))
        self._last_ns[lane] = trades.ts_ns[-1]
        self._feed.trades.append(trades)
        self._waiting += len(trades.lanes)
        self._has_news.set()

    async def _listen_for_silence(self) -> None:
        """Cut a connection that looks alive and says nothing: the watching tasks then connect anew."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._silence_max_s / 4)
            if loop.time() - self._heard_s >= self._silence_max_s:
                log.warning("feed_silent", exchange=self._name, seconds=round(loop.time() - self._heard_s))
                self._heard_s = loop.time()
                for client in list(self._exchange.clients.values()):
                    client.on_error(ccxt.NetworkError(f"nothing came for {self._silence_max_s:.0f} s"))

    def _pause_s(self, attempt: int) -> float:
        """Give the pause before the next try, spread so that many do not come back at once."""
        pause = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
        return pause * (0.5 + self._clock.now_ns() // 1000 % 1000 / 1000)


def _moved(urls: Any, to: str) -> Any:
    """Put another host under every address in a tree of them."""
    if isinstance(urls, dict):
        return {key: _moved(value, to) for key, value in urls.items()}
    if not isinstance(urls, str):
        return urls
    target, parts = urlsplit(to), urlsplit(urls)
    is_secure = target.scheme == "https"
    scheme = ("wss" if is_secure else "ws") if parts.scheme.startswith("ws") else target.scheme
    return urlunsplit((scheme, target.netloc, parts.path, parts.query, ""))


def _step(market: dict[str, Any], name: str, *, are_steps: bool) -> Decimal:
    """Give the step of prices or amounts; exchanges tell it as it is, or as a count of digits."""
    value = (market.get("precision") or {}).get(name)
    if value in (None, ""):
        return _STEP_DEFAULT
    step = Decimal(str(value)) if are_steps else Decimal(1).scaleb(-int(value))
    return step.normalize() if step > 0 else _STEP_DEFAULT


def _limit(limits: dict[str, Any], name: str) -> Decimal | None:
    value = (limits.get(name) or {}).get("min")
    return Decimal(str(value)) if value not in (None, "") else None


def _id(value: object) -> int | str | None:
    if value is None:
        return None
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
