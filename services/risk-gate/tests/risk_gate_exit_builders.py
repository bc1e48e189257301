"""Builders of what protective exits meet."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from risk_gate_builders import BTC, NOW, an_id

from risk_gate.domain.exits import OpenOrder
from risk_gate.domain.protection import Bought, Protection
from sigmax.schemas.market import TickBatch, nanoseconds
from sigmax.schemas.types import Side

A_SECOND = timedelta(seconds=1)


def a_protection(**changes: Any) -> Protection:
    """One BTC bought at 100, with its stop at 98 and its target at 104."""
    fields: dict[str, Any] = {
        "protection_id": an_id("protection"),
        "account_id": "paper",
        "strategy_id": "ema",
        "strategy_version": 1,
        "instrument_id": BTC,
        "quantity": Decimal(1),
        "entry_price": Decimal(100),
        "stop_price": Decimal(98),
        "target_price": Decimal(104),
        "best_price": Decimal(100),
        "opened_at": NOW,
    }
    return Protection(**(fields | changes))


def a_buy(price: str = "100", quantity: str = "1", **changes: Any) -> Bought:
    fields: dict[str, Any] = {
        "account_id": "paper",
        "strategy_id": "ema",
        "instrument_id": BTC,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "at": NOW,
        "key": "first",
    }
    return Bought(**(fields | changes))


def an_open_sale(**changes: Any) -> OpenOrder:
    fields: dict[str, Any] = {
        "client_order_id": "sale",
        "side": Side.SELL,
        "leaves_quantity": Decimal(1),
        "approved_at": NOW,
    }
    return OpenOrder(**(fields | changes))


def a_resting_stop(**changes: Any) -> OpenOrder:
    fields = {
        "client_order_id": "resting",
        "is_resting": True,
        "wanted_quantity": Decimal(1),
        "trigger_price": Decimal(98),
    }
    return an_open_sale(**(fields | changes))


def some_ticks(*prices: str, at: Any = NOW, first: int = 1, instrument_id: str = BTC) -> TickBatch:
    """Trades of one instrument, a nanosecond and a sequence number apart."""
    received = [nanoseconds(at) + offset for offset in range(len(prices))]
    return TickBatch(
        instruments=[instrument_id],
        price_exponents=[-2],
        quantity_exponents=[0],
        instrument_index=[0] * len(prices),
        sequences=list(range(first, first + len(prices))),
        ts_ns=received,
        received_ns=received,
        prices=[int(Decimal(price) * 100) for price in prices],
        quantities=[1] * len(prices),
        sides=[0] * len(prices),
    )
