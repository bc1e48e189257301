"""What an account asks for: orders, fills, balances."""

from typing import Any

from paper_venue.domain import errors
from paper_venue.domain.manner import ROWS_MAX
from paper_venue.domain.market_answers import rate_limits
from paper_venue.domain.orders import (
    PLACE_OPTIONAL,
    PLACE_REQUIRED,
    canceled_json,
    generated_client_id,
    milliseconds,
    number,
    placed_json,
    queried_json,
    read_request,
)
from paper_venue.handlers.calls import Call, Endpoint, endpoint
from paper_venue.ports import Page, StoredTrade
from sigmax.domain.venue_orders import OrderKind, OrderRequest
from sigmax.domain.wallet import Balance

_DAY_NS = 86_400_000_000_000


async def place_order(call: Call) -> dict[str, Any]:
    """Accept an order, fill what fills at once, and say so."""
    request = _request(call)
    counters = call.venue.counters
    if not counters.may_order(call.account_id, call.now_ns):
        raise errors.TOO_MANY_ORDERS.error()
    order, trades = await call.desk.place(request)
    counters.add_order(call.account_id, call.now_ns)
    default = "FULL" if request.kind in (OrderKind.LIMIT, OrderKind.MARKET) else "ACK"
    response = call.params.values.get("newOrderRespType", default)
    return call.desk.manner.order_told(placed_json(order, call.rules.symbol, trades, response))


async def test_order(call: Call) -> dict[str, Any]:
    """Check an order as placing would, and place nothing."""
    await call.desk.try_placing(_request(call))
    return {}


async def cancel_order(call: Call) -> dict[str, Any]:
    """Cancel one open order."""
    call.desk.manner.check_branch(call.params)
    order_id, client_order_id = _order_names(call)
    cancel_id = _cancel_id(call)
    order = await call.desk.cancel(call.account_id, call.instrument_id, order_id, client_order_id, cancel_id)
    return call.desk.manner.order_told(canceled_json(order, call.rules.symbol, cancel_id))


async def cancel_open_orders(call: Call) -> list[dict[str, Any]]:
    """Cancel all open orders of a symbol."""
    cancel_id = _cancel_id(call)
    orders = await call.desk.cancel_all(call.account_id, call.instrument_id, cancel_id)
    told = call.desk.manner.order_told
    return [told(canceled_json(order, call.rules.symbol, cancel_id)) for order in orders]


async def get_order(call: Call) -> dict[str, Any]:
    """Tell what became of an order, open or not."""
    order_id, client_order_id = _order_names(call)
    order = await call.desk.store.find_order(call.account_id, call.instrument_id, order_id, client_order_id)
    if order is None:
        raise errors.NO_SUCH_ORDER.error()
    return call.desk.manner.order_told(queried_json(order, call.rules.symbol))


async def open_orders(call: Call) -> list[dict[str, Any]]:
    """Give the open orders of a symbol, or of all."""
    instrument_id = call.instrument_id if "symbol" in call.params else None
    names = call.desk.floor.names
    orders = await call.desk.open_orders(call.account_id, instrument_id)
    told = call.desk.manner.order_told
    return [told(queried_json(order, names[order.instrument_id])) for order in orders]


async def all_orders(call: Call) -> list[dict[str, Any]]:
    """Give the orders of a symbol, open or not."""
    manner = call.desk.manner
    page = _page(call, "orderId", manner.orders_page_max)
    orders = await call.desk.store.orders(call.account_id, call.instrument_id, page)
    return [manner.order_told(queried_json(order, call.rules.symbol)) for order in orders]


async def my_trades(call: Call) -> list[dict[str, Any]]:
    """Give the fills of a symbol."""
    if not call.desk.manner.execution_ids:
        return []
    stored = await call.desk.store.trades(call.account_id, call.instrument_id, _page(call, "fromId"))
    return [_trade_row(each, call.rules.symbol) for each in stored]


async def account(call: Call) -> dict[str, Any]:
    """Give the balances and what trading costs."""
    balances = await call.desk.balances(call.account_id)
    if call.params.flag("omitZeroBalances"):
        balances = [(asset, balance) for asset, balance in balances if balance.total]
    fees = call.desk.fees
    maker, taker = number(fees.rate(is_maker=True)), number(fees.rate(is_maker=False))
    return {
        "makerCommission": int(fees.maker_bps),
        "takerCommission": int(fees.taker_bps),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": maker, "taker": taker, "buyer": "0", "seller": "0"},
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.now_ms,
        "accountType": "SPOT",
        "balances": [_balance_row(asset, balance) for asset, balance in balances],
        "permissions": ["SPOT"],
        "uid": 1,
    }


async def commission(call: Call) -> dict[str, Any]:
    """Give what trading a symbol costs."""
    fees = call.desk.fees
    rates = {"maker": number(fees.rate(is_maker=True)), "taker": number(fees.rate(is_maker=False))}
    return {"symbol": call.rules.symbol, "standardCommission": rates | {"buyer": "0", "seller": "0"}}


async def order_rate_limits(call: Call) -> list[dict[str, Any]]:
    """Give how many orders were placed in the windows that limit them."""
    counts = call.venue.counters.order_counts(call.account_id, call.now_ns)
    limits = rate_limits(call.venue.counters.limits)[1:]
    return [limit | {"count": count} for limit, count in zip(limits, counts, strict=True)]


async def no_order_lists(call: Call) -> list[Any]:  # noqa: ARG001 - every action takes the call
    """Give the order lists: there are none."""
    return []


def _request(call: Call) -> OrderRequest:
    return read_request(call.desk.manner.heard(call.params), call.rules, call.account_id, call.seed)


def _order_names(call: Call) -> tuple[int | None, str | None]:
    params = call.desk.manner.heard(call.params)
    names = params.integer("orderId"), params.client_id("origClientOrderId")
    if names == (None, None):
        raise errors.NO_ORDER_NAMED.error()
    return names


def _cancel_id(call: Call) -> str:
    return call.desk.manner.heard(call.params).client_id("newClientOrderId") or generated_client_id(call.seed)


def _page(call: Call, from_id: str, rows_max: int = ROWS_MAX) -> Page:
    start_ns, end_ns = call.time_ns("startTime"), call.time_ns("endTime")
    if start_ns is not None and end_ns is not None and end_ns - start_ns > _DAY_NS:
        raise errors.PERIOD_TOO_LONG.error()
    order_id = call.params.integer("orderId") if from_id != "orderId" else None
    return Page(
        call.params.limit(min(500, rows_max), rows_max), call.params.integer(from_id), start_ns, end_ns, order_id
    )


def _balance_row(asset: str, balance: Balance) -> dict[str, str]:
    return {"asset": asset, "free": number(balance.free), "locked": number(balance.locked)}


def _trade_row(stored: StoredTrade, symbol: str) -> dict[str, Any]:
    trade = stored.trade
    return {
        "symbol": symbol,
        "id": trade.trade_id,
        "orderId": stored.order_id,
        "orderListId": -1,
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "quoteQty": number(trade.notional),
        "commission": number(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": milliseconds(trade.executed_ns),
        "isBuyer": stored.is_buyer,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


_NAMED = "orderId origClientOrderId"
_HISTORY = "orderId startTime endTime limit"
ENDPOINTS: tuple[Endpoint, ...] = (
    endpoint(
        "POST",
        "order",
        place_order,
        required=" ".join(PLACE_REQUIRED),
        optional=" ".join(PLACE_OPTIONAL),
        is_signed=True,
        weight=0,
        places_order=True,
        socket_method="order.place",
    ),
    endpoint(
        "POST",
        "order/test",
        test_order,
        required=" ".join(PLACE_REQUIRED),
        optional=" ".join(PLACE_OPTIONAL),
        is_signed=True,
        socket_method="order.test",
    ),
    endpoint(
        "DELETE",
        "order",
        cancel_order,
        required="symbol",
        optional=f"{_NAMED} newClientOrderId branch",
        is_signed=True,
        weight=0,
        socket_method="order.cancel",
    ),
    endpoint(
        "GET",
        "order",
        get_order,
        required="symbol",
        optional=_NAMED,
        is_signed=True,
        weight=4,
        socket_method="order.status",
    ),
    endpoint(
        "GET", "openOrders", open_orders, optional="symbol", is_signed=True, weight=6, socket_method="openOrders.status"
    ),
    endpoint(
        "DELETE",
        "openOrders",
        cancel_open_orders,
        required="symbol",
        is_signed=True,
        weight=0,
        socket_method="openOrders.cancelAll",
    ),
    endpoint(
        "GET",
        "allOrders",
        all_orders,
        required="symbol",
        optional=_HISTORY,
        is_signed=True,
        weight=20,
        socket_method="allOrders",
    ),
    endpoint(
        "GET",
        "myTrades",
        my_trades,
        required="symbol",
        optional=f"fromId {_HISTORY}",
        is_signed=True,
        weight=20,
        socket_method="myTrades",
    ),
    endpoint(
        "GET",
        "account",
        account,
        optional="omitZeroBalances",
        is_signed=True,
        weight=20,
        socket_method="account.status",
    ),
    endpoint("GET", "account/commission", commission, required="symbol", is_signed=True, weight=20),
    endpoint(
        "GET",
        "rateLimit/order",
        order_rate_limits,
        is_signed=True,
        weight=40,
        socket_method="account.rateLimits.orders",
    ),
    endpoint("GET", "openOrderList", no_order_lists, is_signed=True, weight=6),
    endpoint(
        "GET", "allOrderList", no_order_lists, optional="fromId startTime endTime limit", is_signed=True, weight=20
    ),
)
NOT_OFFERED = (
    ("POST", "orderList/oco"),
    ("POST", "orderList/oto"),
    ("POST", "orderList/otoco"),
    ("POST", "order/oco"),
    ("GET", "orderList"),
    ("DELETE", "orderList"),
    ("POST", "order/cancelReplace"),
)
"""Known to the dialect and refused whatever is sent."""
