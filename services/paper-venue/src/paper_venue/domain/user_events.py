"""What an account hears of its orders and balances."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from paper_venue.domain.orders import STATUS, kind_name, milliseconds, number, time_in_force_name
from sigmax.domain.venue_orders import Accepted, BalanceChanged, Ended, Event, Executed, Triggered, VenueOrder
from sigmax.schemas.types import OrderStatus

_ENDINGS = {OrderStatus.CANCELED: "CANCELED", OrderStatus.EXPIRED: "EXPIRED"}
_ZERO = Decimal(0)


def account_events(
    events: Iterable[Event], symbols: dict[str, str], now_ms: int, cancel_id: str | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Give, per account, the reports of what happened, in order, and one of all balances that it changed.

    `symbols` maps instrument ids to the venue's names; `cancel_id` is the name of the cancel that was asked for.
    """
    told: dict[str, list[dict[str, Any]]] = {}
    balances: dict[str, dict[str, dict[str, str]]] = {}
    for event in events:
        if isinstance(event, BalanceChanged):
            free, locked = event.balance
            row = {"a": event.asset, "f": number(free), "l": number(locked)}
            balances.setdefault(event.account_id, {})[event.asset] = row
        else:
            report = execution_report(event, symbols[event.order.instrument_id], now_ms, cancel_id)
            told.setdefault(event.order.account_id, []).append(report)
    for account_id, rows in balances.items():
        position = {"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": list(rows.values())}
        told.setdefault(account_id, []).append(position)
    return told


def execution_report(
    event: Accepted | Triggered | Executed | Ended, symbol: str, now_ms: int, cancel_id: str | None
) -> dict[str, Any]:
    """Give the `executionReport` of one event.

    A stop is told of as NEW twice: without a working time when it is accepted, with one when it wakes up.
    """
    order = event.order
    report = _order_part(order, symbol, now_ms)
    if isinstance(event, Executed):
        trade = event.trade
        report |= {
            "x": "TRADE",
            "l": number(trade.quantity),
            "L": number(trade.price),
            "Y": number(trade.notional),
            "n": number(trade.commission),
            "N": trade.commission_asset,
            "t": trade.trade_id,
            "m": trade.is_maker,
            "w": order.is_open,
        }
    elif isinstance(event, Ended):
        report |= {"x": _ENDINGS[order.status], "w": False}
        if order.status is OrderStatus.CANCELED and cancel_id is not None:
            report |= {"c": cancel_id, "C": order.client_order_id}
    return report


def _order_part(order: VenueOrder, symbol: str, now_ms: int) -> dict[str, Any]:
    report = {
        "e": "executionReport",
        "E": now_ms,
        "s": symbol,
        "c": order.client_order_id,
        "S": order.side.value.upper(),
        "o": kind_name(order.kind),
        "f": time_in_force_name(order),
        "q": number(order.quantity),
        "p": number(order.price or _ZERO),
        "P": number(order.stop_price or _ZERO),
        "F": "0",
        "g": -1,
        "C": "",
        "x": "NEW",
        "X": STATUS[order.status],
        "r": "NONE",
        "i": order.order_id,
        "l": "0",
        "z": number(order.filled),
        "L": "0",
        "n": "0",
        "N": None,
        "T": milliseconds(order.updated_ns),
        "t": -1,
        "I": order.order_id,
        "w": order.working_ns is not None,
        "m": False,
        "M": False,
        "O": milliseconds(order.created_ns),
        "Z": number(order.filled_notional),
        "Y": "0",
        "Q": number(order.notional or _ZERO),
        "V": "NONE",
    }
    return report if order.working_ns is None else report | {"W": milliseconds(order.working_ns)}
