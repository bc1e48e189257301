"""Orders in the dialect: parameters to a request, an order to an answer."""

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from paper_venue.domain import errors
from paper_venue.domain.params import Params
from sigmax.domain.trading_rules import TradingRules
from sigmax.domain.venue_orders import OrderKind, OrderRequest, VenueOrder, VenueTrade
from sigmax.schemas.types import OrderStatus, Side, TimeInForce

KINDS = {kind.value.upper(): kind for kind in OrderKind}
"""What the dialect calls `type`."""
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
_TIMES_IN_FORCE = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
_RESPONSES = frozenset({"ACK", "RESULT", "FULL"})
_BY_KIND = ("quantity", "price", "stopPrice", "timeInForce", "quoteOrderQty")
"""What some types of orders must have, and the others may not."""
_DECIMALS = 8
STATUS = {
    OrderStatus.NEW: "NEW",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
}
PLACE_REQUIRED = frozenset({"symbol", "side", "type"})
PLACE_OPTIONAL = frozenset(
    {
        "timeInForce",
        "quantity",
        "quoteOrderQty",
        "price",
        "newClientOrderId",
        "newOrderRespType",
        "selfTradePreventionMode",
        "stopPrice",
        "trailingDelta",
        "icebergQty",
        "strategyId",
        "strategyType",
    }
)


def number(value: Decimal) -> str:
    """Write a number as the venue does: plain, exact, a zero without decimals."""
    return format(value, "f") if value else "0"


def milliseconds(at_ns: int) -> int:
    """Turn nanoseconds into the venue's milliseconds."""
    return at_ns // 1_000_000


def generated_client_id(order_seed: str) -> str:
    """Name an order whose client gave it no name; the same seed gives the same name."""
    return "pv" + hashlib.sha256(order_seed.encode()).hexdigest()[:20]


def decimals_of(step: Decimal) -> int:
    """Say how many decimals a number may have: eight, or as many as the step."""
    exponent = step.as_tuple().exponent
    return max(_DECIMALS, -exponent if isinstance(exponent, int) else 0)


def read_request(params: Params, rules: TradingRules, account_id: str, seed: str) -> OrderRequest:
    """Read an order. Raises `DialectError` for what the dialect does not allow, filters aside."""
    kind = KINDS.get(params.text("type"))
    if kind is None:
        raise errors.INVALID_TYPE.error()
    side = _SIDES.get(params.text("side"))
    if side is None:
        raise errors.INVALID_SIDE.error()
    if params.values.get("newOrderRespType", "FULL") not in _RESPONSES:
        raise errors.illegal("newOrderRespType", "ACK|RESULT|FULL")
    if params.values.get("selfTradePreventionMode", "NONE") != "NONE":
        raise errors.illegal("selfTradePreventionMode", "NONE")
    for forbidden in ("trailingDelta", "icebergQty"):
        if forbidden in params:
            raise errors.not_required(forbidden)
    quantity = params.decimal("quantity", decimals_of(rules.lot_size))
    notional = params.decimal("quoteOrderQty", _DECIMALS)
    price = params.decimal("price", decimals_of(rules.tick_size))
    stop_price = params.decimal("stopPrice", decimals_of(rules.tick_size))
    _check_presence(params, kind)
    return OrderRequest(
        account_id=account_id,
        instrument_id=rules.instrument_id,
        client_order_id=params.client_id("newClientOrderId") or generated_client_id(seed),
        side=side,
        kind=kind,
        time_in_force=_time_in_force(params, kind),
        quantity=quantity,
        notional=notional,
        price=price,
        stop_price=stop_price,
    )


def _check_presence(params: Params, kind: OrderKind) -> None:
    if kind is OrderKind.MARKET and "quoteOrderQty" in params:
        if "quantity" in params:
            raise errors.not_required("quoteOrderQty")
        needed: set[str] = {"quoteOrderQty"}
    else:
        needed = {"quantity"}
    if kind.has_limit:
        needed.add("price")
        if kind is not OrderKind.LIMIT_MAKER:
            needed.add("timeInForce")
    if kind.is_stop:
        needed.add("stopPrice")
    for name in _BY_KIND:
        if name in needed:
            params.text(name)
        elif name in params:
            raise errors.not_required(name)


def _time_in_force(params: Params, kind: OrderKind) -> TimeInForce:
    if not kind.has_limit:
        return TimeInForce.IOC
    time_in_force = _TIMES_IN_FORCE.get(params.values.get("timeInForce", "GTC"))
    if time_in_force is None:
        raise errors.INVALID_TIME_IN_FORCE.error()
    return time_in_force


def kind_name(kind: OrderKind) -> str:
    """Give the dialect's `type`."""
    return kind.value.upper()


def time_in_force_name(order: VenueOrder) -> str:
    """Give the dialect's `timeInForce`: market orders carry GTC, as on the real venue."""
    return order.time_in_force.value.upper() if order.kind.has_limit else "GTC"


def working_ms(order: VenueOrder) -> int:
    """Say since when an order works; -1 for a stop that waits."""
    return -1 if order.working_ns is None else milliseconds(order.working_ns)


def order_json(order: VenueOrder, symbol: str) -> dict[str, Any]:
    """Give what placing, cancelling, and asking all tell of an order; the times are added by each."""
    return {
        "symbol": symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "price": number(order.price or Decimal(0)),
        "origQty": number(order.quantity),
        "executedQty": number(order.filled),
        "origQuoteOrderQty": number(order.notional or Decimal(0)),
        "cummulativeQuoteQty": number(order.filled_notional),
        "status": STATUS[order.status],
        "timeInForce": time_in_force_name(order),
        "type": kind_name(order.kind),
        "side": order.side.value.upper(),
        "selfTradePreventionMode": "NONE",
    }


def placed_json(order: VenueOrder, symbol: str, trades: Iterable[VenueTrade], response: str) -> dict[str, Any]:
    """Answer a placement: `response` is ACK, RESULT, or FULL."""
    at_ms = milliseconds(order.created_ns)
    if response == "ACK":
        return {
            "symbol": symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "clientOrderId": order.client_order_id,
            "transactTime": at_ms,
        }
    answer = order_json(order, symbol) | {"transactTime": at_ms, "workingTime": working_ms(order)}
    if order.stop_price is not None:
        answer["stopPrice"] = number(order.stop_price)
    if response == "FULL":
        answer["fills"] = [
            {
                "price": number(trade.price),
                "qty": number(trade.quantity),
                "commission": number(trade.commission),
                "commissionAsset": trade.commission_asset,
                "tradeId": trade.trade_id,
            }
            for trade in trades
        ]
    return answer


def queried_json(order: VenueOrder, symbol: str) -> dict[str, Any]:
    """Answer a question about an order."""
    created_ms = milliseconds(order.created_ns)
    return order_json(order, symbol) | {
        "stopPrice": number(order.stop_price or Decimal(0)),
        "icebergQty": "0",
        "time": created_ms,
        "updateTime": milliseconds(order.updated_ns),
        "isWorking": order.working_ns is not None,
        "workingTime": working_ms(order),
    }


def canceled_json(order: VenueOrder, symbol: str, cancel_id: str) -> dict[str, Any]:
    """Answer a cancel: `clientOrderId` names the cancel, `origClientOrderId` the order."""
    answer = order_json(order, symbol) | {
        "origClientOrderId": order.client_order_id,
        "clientOrderId": cancel_id,
        "transactTime": milliseconds(order.updated_ns),
    }
    return answer if order.stop_price is None else answer | {"stopPrice": number(order.stop_price)}
