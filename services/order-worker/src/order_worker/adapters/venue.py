"""A venue through unmodified ccxt: submits are one request, questions are retried a few bounded times."""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import aiohttp
import ccxt.async_support as ccxt
import structlog
from opentelemetry.trace import SpanKind

from order_worker.adapters import metrics
from order_worker.adapters.asking import Asking, told_by
from order_worker.adapters.dialect import sighting_of, told_of, trade_of
from order_worker.adapters.endpoints import Switch, api_of
from order_worker.adapters.listing import Listing
from order_worker.adapters.wire import Attempt, DeadlinePassedError, current_attempt, watched_session
from order_worker.domain.budget import Kind, Told
from order_worker.domain.endpoints import Endpoint
from order_worker.domain.health import Health
from order_worker.domain.matching import Listed
from order_worker.domain.order import Order
from order_worker.domain.sightings import ALL_IDS, DUPLICATE, Answer, Capabilities, Outcome, Sighting, Trade, classify
from order_worker.domain.terms import Terms
from order_worker.ports import BudgetPort, VenueError
from sigmax.runtime import tracing
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.types import OrderType, TimeInForce

log = structlog.get_logger()
T = TypeVar("T")

_LISTED_AS = {OrderType.STOP: "STOP_LOSS", OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT"}
_AT_MARKET = frozenset({OrderType.MARKET, OrderType.STOP})
_UNANSWERED = frozenset({Outcome.UNKNOWN, Outcome.NOT_SENT})
_CONNECTIONS_MAX = 50
_PAGE = 1000
_PAGES_MAX = 50
_SYMBOLS_ONE_BY_ONE_MAX = 3
_CLOCK_QUESTION_S = 2.0

# What Binance counts for a question; other venues count less.
_WEIGHT_TIME = 1
_WEIGHT_ORDER = 4
_WEIGHT_OPEN = 6
_WEIGHT_OPEN_ALL = 80
_WEIGHT_LISTS = 20
"""Trades, balances, and what is traded."""


def exchange_settings(url: str | None, api_key: str, api_secret: str, terms: Terms) -> dict[str, Any]:
    """Give the settings of a ccxt exchange object; `url` replaces the venue's own hosts."""
    settings: dict[str, Any] = {
        "apiKey": api_key,
        "secret": api_secret,
        "enableRateLimit": False,
        "number": str,
        "timeout": int(terms.submit_timeout.total_seconds() * 1000),
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchCurrencies": False,
            "fetchMargins": False,
            "fetchOpenOrders": {"warnWithoutSymbol": False},
            "recvWindow": int(terms.recv_window.total_seconds() * 1000),
            "maxRetriesOnFailure": 0,
        },
    }
    if url is not None:
        settings["urls"] = {"api": api_of(url)}
    return settings


class CcxtVenue:
    """One account at one venue."""

    def __init__(
        self,
        venue_class: str,
        settings: dict[str, Any],
        clock: ClockPort,
        terms: Terms,
        budget: BudgetPort,
        *,
        spare_url: str | None = None,
        capabilities: Capabilities = ALL_IDS,
    ) -> None:
        self._switch = Switch(clock, spare_url)
        self._asking = Asking(budget, clock, self._switch)
        self._listing = Listing(self._asking, capabilities)
        self._capabilities = capabilities
        self._clock = clock
        self._terms = terms
        self._class = venue_class
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._exchange: Any = None
        self._loading = asyncio.Lock()
        self._asking_home: asyncio.Task[None] | None = None

    @property
    def health(self) -> Health:
        """Say which kinds of requests are answered."""
        return self._asking.health

    @property
    def capabilities(self) -> Capabilities:
        """Say what the venue keeps and tells of our orders."""
        return self._capabilities

    async def start(self) -> None:
        """Open the connection pool; nothing is asked yet."""
        self._session = watched_session(self._clock, _CONNECTIONS_MAX)
        self._exchange = getattr(ccxt, self._class)({**self._settings, "session": self._session})
        self._switch.join(self._exchange)

    async def close(self) -> None:
        """Close all connections."""
        if self._asking_home is not None:
            self._asking_home.cancel()
        await self._exchange.close()
        if self._session is not None:
            await self._session.close()

    async def submit(self, order: Order) -> Answer:
        """Send one order, once, before its deadline. Never raises for what the venue or the network does."""
        approved = order.approved
        about = {"client_order_id": approved.client_order_id, "instrument_id": approved.instrument_id}
        with tracing.working("submit", approved, SpanKind.CLIENT, venue=approved.venue, **about) as span:
            answer = await self._submit(order)
            tracing.show(span, outcome=str(answer.outcome))
            if answer.outcome is not Outcome.ACCEPTED:
                tracing.failed(span, str(answer.outcome))
        if answer.sent_at is not None and answer.outcome is Outcome.UNKNOWN and not answer.is_duplicate:
            self._asking.health = self.health.failed(Kind.ORDERS, answer.sent_at, self._clock.now())
        elif answer.sent_at is not None:
            self._asking.health = self.health.answered(Kind.ORDERS, self._clock.now())
        self._measure(order, answer)
        return answer

    async def _submit(self, order: Order) -> Answer:
        attempt, used = Attempt(order.send_deadline or self._clock.now()), self._switch.use()
        token = current_attempt.set(None)
        try:
            async with asyncio.timeout(self._terms.submit_timeout.total_seconds()):
                await self._know(order.symbol)
                arguments = self._arguments(order)
                current_attempt.set(attempt)
                reply = await self._exchange.create_order(*arguments)
            sighting = self._seen(reply, order)
            return Answer(Outcome.ACCEPTED, sighting=sighting, sent_at=attempt.sent_at)
        except Exception as error:
            answer = _explained(error, attempt)
            is_late = isinstance(error, DeadlinePassedError)
            if answer.outcome in _UNANSWERED and not answer.is_duplicate and not is_late:
                self._switch.failed(used)
            return answer
        finally:
            current_attempt.reset(token)

    def _arguments(self, order: Order) -> tuple[Any, ...]:
        approved = order.approved
        if approved.client_order_id != order.client_order_id or order.symbol not in self._exchange.markets:
            raise ccxt.BadSymbol(f"{self._terms.venue} does not trade {order.symbol}")
        amount = self._exact(self._exchange.amount_to_precision, order.symbol, approved.quantity, "quantity")
        params: dict[str, Any] = {}
        if self._capabilities.client_ids:
            params["clientOrderId"] = approved.client_order_id
        if approved.order_type in _LISTED_AS:
            params["triggerPrice"] = self._trigger(order)
        if approved.order_type in _AT_MARKET:
            return order.symbol, "market", str(approved.side), amount, None, params
        if approved.limit_price is None:
            raise ccxt.InvalidOrder("a limit order without a price")
        price = self._exact(self._exchange.price_to_precision, order.symbol, approved.limit_price, "price")
        # A venue that never closes knows no day: the order works until it is canceled.
        lifetime = TimeInForce.GTC if approved.time_in_force is TimeInForce.DAY else approved.time_in_force
        params["timeInForce"] = lifetime.upper()
        return order.symbol, "limit", str(approved.side), amount, price, params

    def _trigger(self, order: Order) -> str:
        """Give a stop's price; plain `triggerPrice` means the stop-loss family: a sale below, a purchase above."""
        if order.approved.trigger_price is None:
            raise ccxt.InvalidOrder("a stop order without a trigger price")
        exchange = self._exchange
        is_offered = exchange.feature_value(order.symbol, "createOrder", "triggerPrice", False)
        # Binance and its likes name what each market takes.
        listed = exchange.markets[order.symbol]["info"].get("orderTypes")
        if not is_offered or (listed is not None and _LISTED_AS[order.approved.order_type] not in listed):
            raise ccxt.NotSupported(f"{self._terms.venue} has no stop orders for {order.symbol}")
        return self._exact(exchange.price_to_precision, order.symbol, order.approved.trigger_price, "trigger price")

    def _exact(self, rounded: Callable[[str, str], str], symbol: str, value: Decimal, name: str) -> str:
        """Refuse what ccxt would round: what is sent is what was approved, to the last digit."""
        text = f"{value:f}"
        if Decimal(rounded(symbol, text)) != value:
            raise ccxt.InvalidOrder(f"{name} {text} is no multiple of the venue's step for {symbol}")
        return text

    def _measure(self, order: Order, answer: Answer) -> None:
        metrics.submits.labels(answer.outcome).inc()
        if answer.sent_at is not None:
            metrics.tick_to_order.observe((answer.sent_at - order.approved.tick_received_at).total_seconds())
            metrics.submit_seconds.observe((self._clock.now() - answer.sent_at).total_seconds())

    async def cancel(self, order: Order) -> Sighting | None:
        """Cancel an order; None when the venue says that nothing of it is open. Raises `VenueError`."""
        known, params = self._reference(order)
        if order.venue_reference is not None:
            params = {**params, "branch": order.venue_reference}
        reply = await self._asking.ask(
            lambda: self._exchange.cancel_order(known, order.symbol, params), 1, Kind.CANCELS
        )
        return None if reply is None else self._seen(reply, order)

    async def find(self, order: Order) -> Sighting | None:
        """Ask for an order by its id; None when the venue does not know it. Raises `VenueError`."""
        known, params = self._reference(order)
        reply = await self._asking.ask(lambda: self._exchange.fetch_order(known, order.symbol, params), _WEIGHT_ORDER)
        return None if reply is None else self._seen(reply, order)

    async def order(self, symbol: str, venue_order_id: str) -> Sighting | None:
        """Ask for an order by the venue's id. Raises `VenueError`."""
        reply = await self._asking.ask(lambda: self._exchange.fetch_order(venue_order_id, symbol), _WEIGHT_ORDER)
        return None if reply is None else self._seen(reply)

    async def open_orders(self, symbols: Collection[str]) -> list[Sighting]:
        """Give the orders that rest. Raises `VenueError`."""
        if len(symbols) > _SYMBOLS_ONE_BY_ONE_MAX:
            everything = await self._asking.ask(self._exchange.fetch_open_orders, _WEIGHT_OPEN_ALL)
            return [self._seen(each) for each in everything or ()]
        found = []
        for symbol in symbols:
            replies = await self._asking.ask(partial(self._exchange.fetch_open_orders, symbol), _WEIGHT_OPEN)
            found += [self._seen(each) for each in replies or ()]
        return found

    async def orders(self, symbol: str, since: datetime) -> list[Listed]:
        """Give every order placed since a time, every page. Raises `VenueError` for a list that proves nothing."""
        return await self._listing.read(self._exchange, symbol, since)

    async def trades_of(self, order: Order) -> list[Trade]:
        """Give the trades of one order that the venue has. Raises `VenueError`."""
        if not self._capabilities.execution_ids:
            return []
        replies = await self._asking.ask(
            lambda: self._exchange.fetch_order_trades(order.venue_order_id, order.symbol), _WEIGHT_LISTS
        )
        return [trade_of(each) for each in replies or ()]

    async def trades(self, symbol: str, since: datetime) -> list[Trade]:
        """Give our trades from a time on, every page. Raises `VenueError`."""
        if not self._capabilities.execution_ids:
            return []
        since_ms = int(since.timestamp() * 1000)
        found: dict[str, Trade] = {}
        for _ in range(_PAGES_MAX):
            page = await self._asking.ask(
                partial(self._exchange.fetch_my_trades, symbol, since_ms, _PAGE), _WEIGHT_LISTS
            )
            trades = [trade_of(each) for each in page or ()]
            found |= {trade.execution_id: trade for trade in trades}
            newest_ms = int(trades[-1].executed_at.timestamp() * 1000) if trades else since_ms
            if len(trades) < _PAGE or newest_ms == since_ms:
                return list(found.values())
            since_ms = newest_ms
        raise VenueError(f"more than {_PAGES_MAX} pages of trades in {symbol} since {since}")

    async def balances(self) -> dict[str, Decimal]:
        """Give free and locked together, by asset. Raises `VenueError`."""
        reply: Any = await self._asking.ask(self._exchange.fetch_balance, _WEIGHT_LISTS)
        return {asset: Decimal(amount) for asset, amount in reply["total"].items() if amount}

    async def now(self) -> datetime:
        """Give the venue's time, asked once and not for long: a late answer tells no time. Raises `VenueError`."""
        if self._switch.is_home_due and (self._asking_home is None or self._asking_home.done()):
            # Beside the question: an address that does not answer would make this one late.
            self._asking_home = asyncio.create_task(self._ask_home())
        reply: Any = await self._asking.ask(self._ask_time, _WEIGHT_TIME, is_retried=False)
        return datetime.fromtimestamp(int(reply) / 1000, UTC)

    async def _ask_time(self) -> Any:
        async with asyncio.timeout(_CLOCK_QUESTION_S):
            return await self._exchange.fetch_time()

    async def _ask_home(self) -> None:
        """Ask the main address whether it answers again, while requests go to the spare one."""
        self._switch.use(Endpoint.MAIN)
        try:
            await self._ask_time()
        except Exception as error:
            log.info("main_endpoint_does_not_answer", error=told_by(error))
            self._switch.asked_home(is_answered=False)
        else:
            self._switch.asked_home(is_answered=True)

    async def symbols(self) -> frozenset[str]:
        """Give what is traded there, asked anew. Raises `VenueError`."""
        async with self._loading:
            return frozenset(await self._asking.ask(partial(self._exchange.load_markets, True), _WEIGHT_LISTS) or ())

    async def limits(self) -> Told:
        """Give how many requests the venue says it takes; nothing where its class has no word for it.

        Raises `VenueError`.
        """
        ask = getattr(self._exchange, "public_get_exchangeinfo", None)
        if ask is None:
            return Told()
        reply: Any = await self._asking.ask(partial(ask, self._any_symbol()), _WEIGHT_LISTS)
        return told_of(reply.get("rateLimits") or ())

    def _any_symbol(self) -> dict[str, str]:
        """Name one market where some are known: of all of them the answer is megabytes long."""
        markets = list((self._exchange.markets or {}).values())
        return {"symbol": markets[0]["id"]} if markets else {}

    def _seen(self, reply: Any, order: Order | None = None) -> Sighting:
        return sighting_of(reply, None if order is None else order.client_order_id, self._capabilities)

    def _reference(self, order: Order) -> tuple[str | None, dict[str, str]]:
        """Name an order by the venue's id where we know it: a client id may be used again. Raises `VenueError`."""
        if order.venue_order_id is not None:
            return order.venue_order_id, {}
        if not self._capabilities.client_ids:
            raise VenueError("the venue keeps no client ids, and its own is not known yet")
        return None, {"clientOrderId": order.client_order_id}

    async def _know(self, symbol: str) -> None:
        if symbol not in (self._exchange.markets or {}):
            async with self._loading:
                await self._exchange.load_markets(True)


def _explained(error: Exception, attempt: Attempt) -> Answer:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    text = told_by(error)
    outcome = classify(kinds, text, has_left=attempt.sent_at is not None)
    return Answer(
        outcome,
        text,
        is_duplicate=DUPLICATE in text,
        was_too_late=isinstance(error, DeadlinePassedError),
        sent_at=attempt.sent_at,
        retry_after_s=attempt.retry_after_s if outcome is Outcome.LIMITED else None,
    )
