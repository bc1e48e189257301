"""The names of market streams, and what is sent on them."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from paper_venue.domain.intervals import INTERVALS, Interval
from paper_venue.domain.market_answers import aggregate_row, close_ms, ticker_24h, trade_row
from paper_venue.domain.orders import number
from paper_venue.domain.tape import Kline, PublicTrade, Tape
from sigmax.domain.depth import Depth

ALL_TICKERS = "!miniTicker@arr"
_name = re.compile(r"([a-z0-9]{1,40})@([A-Za-z]+)(5|10|20)?(?:_([0-9]{1,2}[smhdwM]))?(?:@(100ms|1000ms))?")
_TICKER_KEYS = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "x": "prevClosePrice",
    "c": "lastPrice",
    "Q": "lastQty",
    "b": "bidPrice",
    "B": "bidQty",
    "a": "askPrice",
    "A": "askQty",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}


class StreamKind(StrEnum):
    """What a stream tells."""

    TRADE = "trade"
    AGGREGATE = "aggTrade"
    BOOK_TICKER = "bookTicker"
    MINI_TICKER = "miniTicker"
    TICKER = "ticker"
    DEPTH = "depth"
    PARTIAL_DEPTH = "depth5"
    """Stands for every number of levels."""
    KLINE = "kline"
    ALL_MINI_TICKERS = ALL_TICKERS


@dataclass(frozen=True, slots=True)
class StreamName:
    """A stream's name, taken apart."""

    text: str
    kind: StreamKind
    symbol: str = ""
    """As in payloads: upper case."""
    interval: Interval | None = None
    levels: int = 0


def read_name(text: str) -> StreamName | None:
    """Take a stream's name apart, or give None for one that names no stream."""
    if text == ALL_TICKERS:
        return StreamName(text, StreamKind.ALL_MINI_TICKERS)
    found = _name.fullmatch(text)
    if found is None:
        return None
    symbol, word, levels, interval, _speed = found.groups()
    if (word == "kline") != (interval in INTERVALS) or (levels and word != "depth"):
        return None
    if levels:
        return StreamName(text, StreamKind.PARTIAL_DEPTH, symbol.upper(), levels=int(levels))
    if word not in {"trade", "aggTrade", "bookTicker", "miniTicker", "ticker", "depth", "kline"}:
        return None
    return StreamName(text, StreamKind(word), symbol.upper(), INTERVALS.get(interval))


def trade_event(symbol: str, trade: PublicTrade, now_ms: int) -> dict[str, Any]:
    """Give a `trade` event."""
    row = trade_row(trade)
    return {
        "e": "trade",
        "E": now_ms,
        "s": symbol,
        "t": row["id"],
        "p": row["price"],
        "q": row["qty"],
        "T": row["time"],
        "m": row["isBuyerMaker"],
        "M": True,
    }


def aggregate_event(symbol: str, trade: PublicTrade, now_ms: int) -> dict[str, Any]:
    """Give an `aggTrade` event."""
    return {"e": "aggTrade", "E": now_ms, "s": symbol} | aggregate_row(trade)


def book_ticker_event(book: dict[str, str], update_id: int) -> dict[str, Any]:
    """Give a `bookTicker` event: it has neither type nor time."""
    return {
        "u": update_id,
        "s": book["symbol"],
        "b": book["bidPrice"],
        "B": book["bidQty"],
        "a": book["askPrice"],
        "A": book["askQty"],
    }


def ticker_event(depth: Depth, tape: Tape, now_ms: int) -> dict[str, Any]:
    """Give a `24hrTicker` event."""
    row = ticker_24h(depth, tape, now_ms)
    return {"e": "24hrTicker", "E": now_ms, "s": row["symbol"]} | {key: row[name] for key, name in _TICKER_KEYS.items()}


def mini_ticker_event(depth: Depth, tape: Tape, now_ms: int) -> dict[str, Any]:
    """Give a `24hrMiniTicker` event."""
    full = ticker_event(depth, tape, now_ms)
    return {"e": "24hrMiniTicker"} | {key: full[key] for key in ("E", "s", "c", "o", "h", "l", "v", "q")}


def kline_event(symbol: str, bar: Kline, interval: Interval, now_ms: int, *, is_closed: bool) -> dict[str, Any]:
    """Give a `kline` event."""
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": bar.open_ns // 1_000_000,
            "T": close_ms(bar, interval),
            "s": symbol,
            "i": interval.name,
            "f": -1,
            "L": -1,
            "o": number(bar.open),
            "c": number(bar.close),
            "h": number(bar.high),
            "l": number(bar.low),
            "v": number(bar.volume),
            "n": bar.trades,
            "x": is_closed,
            "q": number(bar.quote_volume),
            "V": number(bar.taker_volume),
            "Q": number(bar.taker_quote_volume),
            "B": "0",
        },
    }


Levels = dict[str, str]
"""Quantity by price, both as the dialect writes them."""


class DepthFeed:
    """Turns states of one book into a gapless series of changes."""

    def __init__(self, update_id: int, bids: Levels, asks: Levels) -> None:
        self.update_id = update_id
        """Of the last state that was told."""
        self._bids, self._asks = bids, asks

    def step(self, symbol: str, update_id: int, bids: Levels, asks: Levels, now_ms: int) -> dict[str, Any]:
        """Give the `depthUpdate` from the last state to this later one."""
        event = {
            "e": "depthUpdate",
            "E": now_ms,
            "s": symbol,
            "U": self.update_id + 1,
            "u": update_id,
            "b": _difference(self._bids, bids),
            "a": _difference(self._asks, asks),
        }
        self.update_id, self._bids, self._asks = update_id, bids, asks
        return event


def _difference(before: Levels, after: Levels) -> list[list[str]]:
    gone = [[price, "0"] for price in before if price not in after]
    return gone + [[price, quantity] for price, quantity in after.items() if before.get(price) != quantity]
