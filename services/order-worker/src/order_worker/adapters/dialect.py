"""Reads ccxt's unified structures. Numbers are strings throughout (`number: str`), so nothing is ever a float."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from order_worker.domain.budget import Limit, Told
from order_worker.domain.matching import Listed
from order_worker.domain.sightings import ALL_IDS, Capabilities, Sighting, Trade
from sigmax.domain.orders import VenueWord
from sigmax.schemas.types import Liquidity, OrderStatus, OrderType, Side

_STATUSES = {
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
LISTED_TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop_loss": OrderType.STOP,
    "stop_loss_limit": OrderType.STOP_LIMIT,
}
"""The types of orders that we send, in ccxt's words."""


def sighting_of(
    order: dict[str, Any], client_order_id: str | None = None, capabilities: Capabilities = ALL_IDS
) -> Sighting:
    """Read an order. Raises `ValueError` or `KeyError` for one that has no id.

    `client_order_id` replaces the one in the answer: the answer to a cancel names the cancel. Where the venue keeps no
    ids of ours or of trades, what it says in their place is not read.
    """
    venue_order_id = _named(order, "id")
    filled = Decimal(order.get("filled") or 0)
    status = _STATUSES.get(order.get("status") or "")
    if status is None:
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW
    # A trade inside an answer to a submit leaves out what the order says already.
    shared = {name: order.get(name) for name in ("symbol", "side", "timestamp")} | {"order": venue_order_id}
    named = (order.get("trades") or ()) if capabilities.execution_ids else ()
    trades = tuple(trade_of(shared | _present(trade), client_order_id) for trade in named)
    named_by_us = order.get("clientOrderId") if capabilities.client_ids else None
    notional = None if capabilities.execution_ids else order.get("cost")
    return Sighting(
        venue_order_id=venue_order_id,
        word=VenueWord(status, filled),
        client_order_id=client_order_id or named_by_us,
        symbol=order.get("symbol"),
        trades=trades,
        reference=(order.get("info") or {}).get("branch"),
        filled_notional=None if notional is None else Decimal(notional),
        changed_at=_time(order.get("lastUpdateTimestamp")),
    )


def listed_of(order: dict[str, Any], capabilities: Capabilities = ALL_IDS) -> Listed:
    """Read a row of the venue's list of orders. Raises `ValueError` or `KeyError` for one that lacks what it was."""
    order_type = LISTED_TYPES[_named(order, "type")]
    is_at_market = order_type in (OrderType.MARKET, OrderType.STOP)
    is_stop = order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    return Listed(
        sighting=sighting_of(order, capabilities=capabilities),
        symbol=_named(order, "symbol"),
        side=Side(_named(order, "side")),
        quantity=Decimal(_named(order, "amount")),
        order_type=order_type,
        limit_price=None if is_at_market else Decimal(_named(order, "price")),
        trigger_price=Decimal(_named(order, "triggerPrice")) if is_stop else None,
        placed_at=datetime.fromtimestamp(int(_named(order, "timestamp")) / 1000, UTC),
    )


def trade_of(trade: dict[str, Any], client_order_id: str | None = None) -> Trade:
    """Read a trade. Raises `ValueError` or `KeyError` for one that lacks what the books need."""
    fee = trade.get("fee") or {}
    symbol = _named(trade, "symbol")
    return Trade(
        execution_id=f"{symbol.replace('/', '')}-{_named(trade, 'id')}",
        venue_order_id=_named(trade, "order"),
        symbol=symbol,
        side=Side(_named(trade, "side")),
        price=Decimal(_named(trade, "price")),
        quantity=Decimal(_named(trade, "amount")),
        fee=Decimal(fee.get("cost") or 0),
        fee_currency=fee.get("currency") or symbol.split("/")[1],
        # What is filled in the answer to a submit was taken, and is not marked.
        liquidity=Liquidity(trade.get("takerOrMaker") or "taker"),
        executed_at=datetime.fromtimestamp(int(_named(trade, "timestamp")) / 1000, UTC),
        client_order_id=client_order_id or _told_by_stream(trade.get("info") or {}),
    )


def told_of(rate_limits: Iterable[dict[str, Any]]) -> Told:
    """Read Binance's `rateLimits`. Orders are also limited per day, which no pace of ours reaches."""
    orders = weight = None
    for row in rate_limits:
        window_s = _SECONDS.get(str(row.get("interval")), 0.0) * int(row.get("intervalNum") or 1)
        if row.get("rateLimitType") == "REQUEST_WEIGHT" and window_s:
            weight = Limit(float(row["limit"]), window_s)
        elif row.get("rateLimitType") == "ORDERS" and row.get("interval") == "SECOND":
            orders = Limit(float(row["limit"]), window_s)
    return Told(orders, weight)


_SECONDS = {"SECOND": 1.0, "MINUTE": 60.0}


def _time(milliseconds: Any) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _told_by_stream(raw: dict[str, Any]) -> str | None:
    """Give the order's id from an execution report; `C` is there when `c` names a cancel."""
    return raw.get("C") or raw.get("c") if raw.get("e") == "executionReport" else None


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _named(values: dict[str, Any], name: str) -> str:
    value = values[name]
    if value is None or value == "":
        raise ValueError(f"the venue's answer has no {name}")
    return str(value)
