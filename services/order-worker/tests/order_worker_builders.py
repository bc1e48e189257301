"""Makes approvals, orders, and trades; a test names only what matters to it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from order_worker.domain.sightings import Sighting, Trade
from order_worker.domain.terms import Terms
from sigmax.domain.approval import client_order_id, sign
from sigmax.domain.orders import VenueWord
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.control import Command, CommandName, StageChanged
from sigmax.schemas.orders import CancelRequested, OrderApproved
from sigmax.schemas.types import (
    Action,
    Liquidity,
    Mode,
    OrderStatus,
    OrderType,
    Scope,
    Side,
    Stage,
    TimeInForce,
)

KEY = b"k" * 32
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BTC = "BTC/USDT@binance"
ETH = "ETH/USDT@binance"
TERMS = Terms("paper", "paper", Mode.PAPER, "USDT", KEY, "order-worker-0")


def a_signal_id(number: int) -> UUID:
    return uuid5(NAMESPACE, f"signal {number}")


def an_approval(
    number: int = 1,
    *,
    now: datetime = NOW,
    key: bytes = KEY,
    instrument_id: str = BTC,
    side: Side = Side.BUY,
    quantity: str = "1",
    limit_price: str | None = "100",
    **changes: Any,
) -> OrderApproved:
    """Give a signed approval; the same number is the same signal."""
    signal_id = a_signal_id(number)
    values: dict[str, Any] = {
        "client_order_id": client_order_id(signal_id),
        "signal_id": signal_id,
        "account_id": "paper",
        "venue": "paper",
        "mode": Mode.PAPER,
        "strategy_id": "ema",
        "strategy_version": 1,
        "instrument_id": instrument_id,
        "action": Action.BUY if side is Side.BUY else Action.SELL,
        "side": side,
        "quantity": Decimal(quantity),
        "order_type": OrderType.LIMIT if limit_price else OrderType.MARKET,
        "limit_price": Decimal(limit_price) if limit_price else None,
        "time_in_force": TimeInForce.GTC,
        "reference_price": Decimal(100),
        "valid_until": now + timedelta(seconds=30),
        "tick_received_at": now,
        "market_time": now,
        "stage": Stage.NORMAL,
        "checks": (),
        **changes,
    }
    return sign(OrderApproved(**OrderApproved.first(f"approval {number}", now), **values), key)


def an_order(number: int = 1, **changes: Any) -> Order:
    """Give an order; changes named like fields of `Order` set its state, the others its approval."""
    state = {name: changes.pop(name) for name in list(changes) if name in Order.__dataclass_fields__}
    return Order(an_approval(number, **changes), **state)


def a_trade(number: int = 1, *, venue_order_id: str = "v1", at: datetime = NOW, **changes: Any) -> Trade:
    values: dict[str, Any] = {
        "execution_id": f"BTCUSDT-{number}",
        "venue_order_id": venue_order_id,
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "price": Decimal(100),
        "quantity": Decimal(1),
        "fee": Decimal("0.001"),
        "fee_currency": "BTC",
        "liquidity": Liquidity.TAKER,
        "executed_at": at + timedelta(milliseconds=number),
        **changes,
    }
    return Trade(**values)


def a_sighting(
    order: Order, *trades: Trade, status: OrderStatus = OrderStatus.NEW, filled: str = "0", venue_order_id: str = "v1"
) -> Sighting:
    return Sighting(
        venue_order_id, VenueWord(status, Decimal(filled)), order.client_order_id, order.symbol, tuple(trades)
    )


def stages(global_: Stage = Stage.NORMAL, account: Stage = Stage.NORMAL, told_at: datetime = NOW) -> list[StageRow]:
    return [StageRow(Scope.GLOBAL, "global", global_, told_at), StageRow(Scope.ACCOUNT, "paper", account, told_at)]


def a_stage(
    scope: Scope, stage: Stage, *, version: int = 1, now: datetime = NOW, from_stage: Stage = Stage.NORMAL
) -> StageChanged:
    scope_id = {Scope.GLOBAL: "global", Scope.ACCOUNT: "paper"}[scope]
    return StageChanged(
        **StageChanged.first(f"{scope}:{version}:{now.isoformat()}", now),
        scope=scope,
        scope_id=scope_id,
        from_stage=from_stage,
        to_stage=stage,
        version=version,
        changed_by="a person",
        reason="a test",
    )


def a_cancel(number: int = 1, *, now: datetime = NOW, part: str = "") -> CancelRequested:
    return CancelRequested(
        **CancelRequested.first(f"cancel {number} {part}", now),
        client_order_id=client_order_id(a_signal_id(number)),
        account_id="paper",
        requested_by="a person",
        reason="a test",
    )


def a_transfer(amount: str, *, now: datetime = NOW, **changes: Any) -> Command:
    values: dict[str, Any] = {
        "command": CommandName.BOOK_TRANSFER,
        "subject": "paper",
        "scope": Scope.ACCOUNT,
        "values": {"asset": "USDT", "amount": amount},
        "requested_by": "mina",
        "approved_by": "jun",
        "approved_at": now,
        "reason": "from the bank",
    }
    return Command(**Command.first(f"transfer {amount}:{now.isoformat()}", now), **(values | changes))
