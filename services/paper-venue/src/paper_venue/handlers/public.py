"""Market data that anybody may ask for."""

from collections.abc import Callable
from typing import Any

from paper_venue.domain import market_answers
from paper_venue.domain.intervals import interval_of
from paper_venue.domain.tape import PublicTrade
from paper_venue.handlers.calls import Call, Endpoint, endpoint
from paper_venue.ports import Page

_DEPTH_MAX = 5000
_ROWS_MAX = 1000


async def ping(call: Call) -> dict[str, Any]:  # noqa: ARG001 - every action takes the call
    """Answer that the venue lives."""
    return {}


async def server_time(call: Call) -> dict[str, int]:
    """Tell the venue's time."""
    return {"serverTime": call.now_ms}


async def exchange_info(call: Call) -> dict[str, Any]:
    """Tell what is traded, and in which steps."""
    floor = call.desk.floor
    rules = [floor.market(instrument_id).rules for instrument_id in _wanted(call)]
    return market_answers.exchange_info(rules, call.venue.counters.limits, call.now_ms)


async def depth(call: Call) -> dict[str, Any]:
    """Give a snapshot of the book."""
    market = call.desk.floor.market(call.instrument_id)
    return market_answers.book(market.depth, call.params.limit(100, _DEPTH_MAX))


async def trades(call: Call) -> list[dict[str, Any]]:
    """Give the newest trades of the outside market."""
    from_id = call.params.integer("fromId")
    found = [trade for trade in _tape(call) if from_id is None or trade.trade_id >= from_id]
    limit = call.params.limit(500, _ROWS_MAX)
    return [market_answers.trade_row(trade) for trade in _cut(found, limit, is_from_start=from_id is not None)]


async def aggregate_trades(call: Call) -> list[dict[str, Any]]:
    """Give the newest trades of the outside market, each standing for itself."""
    from_id, start_ns, end_ns = call.params.integer("fromId"), call.time_ns("startTime"), call.time_ns("endTime")
    found = [
        trade
        for trade in _tape(call)
        if (from_id is None or trade.trade_id >= from_id)
        and (start_ns is None or trade.ts_ns >= start_ns)
        and (end_ns is None or trade.ts_ns <= end_ns)
    ]
    limit = call.params.limit(500, _ROWS_MAX)
    is_from_start = from_id is not None or start_ns is not None
    return [market_answers.aggregate_row(trade) for trade in _cut(found, limit, is_from_start=is_from_start)]


async def klines(call: Call) -> list[list[Any]]:
    """Give bars of market time; the last one is running."""
    interval = interval_of(call.params.text("interval"))
    page = Page(call.params.limit(500, _ROWS_MAX), None, call.time_ns("startTime"), call.time_ns("endTime"))
    bars = await call.desk.klines(call.instrument_id, interval, page)
    return [market_answers.kline_row(bar, interval) for bar in bars]


async def average_price(call: Call) -> dict[str, Any]:
    """Give the price that notionals are held against."""
    floor, instrument_id = call.desk.floor, call.instrument_id
    return market_answers.average_price(floor.tape(instrument_id), floor.market(instrument_id).depth, call.now_ms)


async def ticker_24h(call: Call) -> Any:
    """Give the last day, of one symbol or of several."""
    floor = call.desk.floor
    return _one_or_all(
        call,
        lambda name: market_answers.ticker_24h(floor.market(name).depth, floor.tape(name), call.now_ms),
    )


async def ticker_price(call: Call) -> Any:
    """Give the last price, of one symbol or of several."""
    floor = call.desk.floor

    def row(name: str) -> dict[str, str]:
        market = floor.market(name)
        price = market_answers.average_price(floor.tape(name), market.depth, call.now_ms)["price"]
        return {"symbol": market.rules.symbol, "price": price}

    return _one_or_all(call, row)


async def ticker_book(call: Call) -> Any:
    """Give the best bid and ask, of one symbol or of several."""
    floor = call.desk.floor
    return _one_or_all(call, lambda name: market_answers.book_ticker(floor.market(name).depth))


def _wanted(call: Call) -> list[str]:
    floor = call.desk.floor
    if "symbol" in call.params:
        return [call.instrument_id]
    symbols = call.params.names("symbols")
    if symbols is not None:
        return [floor.instrument_of(symbol) for symbol in symbols]
    return sorted(floor.names)


def _one_or_all(call: Call, row: Callable[[str], Any]) -> Any:
    rows = [row(name) for name in _wanted(call)]
    return rows[0] if "symbol" in call.params else rows


def _tape(call: Call) -> list[PublicTrade]:
    return list(call.desk.floor.tape(call.instrument_id).trades)


def _cut(found: list[PublicTrade], limit: int, *, is_from_start: bool) -> list[PublicTrade]:
    return found[:limit] if is_from_start else found[-limit:]


_TIMES = "startTime endTime limit"
_TICKER = "symbol symbols type symbolStatus"
ENDPOINTS: tuple[Endpoint, ...] = (
    endpoint("GET", "ping", ping, socket_method="ping"),
    endpoint("GET", "time", server_time, socket_method="time"),
    endpoint(
        "GET",
        "exchangeInfo",
        exchange_info,
        optional="symbol symbols permissions showPermissionSets symbolStatus",
        weight=20,
        socket_method="exchangeInfo",
    ),
    endpoint("GET", "depth", depth, required="symbol", optional="limit symbolStatus", weight=5, socket_method="depth"),
    endpoint("GET", "trades", trades, required="symbol", optional="limit", weight=25, socket_method="trades.recent"),
    endpoint("GET", "historicalTrades", trades, required="symbol", optional="limit fromId", weight=25),
    endpoint(
        "GET",
        "aggTrades",
        aggregate_trades,
        required="symbol",
        optional=f"fromId {_TIMES}",
        weight=4,
        socket_method="trades.aggregate",
    ),
    endpoint("GET", "klines", klines, required="symbol interval", optional=_TIMES, weight=2, socket_method="klines"),
    endpoint("GET", "uiKlines", klines, required="symbol interval", optional=_TIMES, weight=2),
    endpoint("GET", "avgPrice", average_price, required="symbol", weight=2, socket_method="avgPrice"),
    endpoint("GET", "ticker/24hr", ticker_24h, optional=_TICKER, weight=2, socket_method="ticker.24hr"),
    endpoint("GET", "ticker/price", ticker_price, optional=_TICKER, weight=2, socket_method="ticker.price"),
    endpoint("GET", "ticker/bookTicker", ticker_book, optional=_TICKER, weight=2, socket_method="ticker.book"),
)
