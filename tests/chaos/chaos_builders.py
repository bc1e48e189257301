"""Approvals and trades for the tests of the simulation; numbers tell them apart."""

from datetime import timedelta
from decimal import Decimal

from order_worker.domain.sightings import Trade
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Liquidity, Side
from sigmax_local.chaos.simulation.gate import approval_of
from sigmax_local.chaos.simulation.plan import Wish
from sigmax_local.chaos.simulation.process import EPOCH
from sigmax_local.chaos.simulation.worker import terms_for

NOW = EPOCH
TERMS = terms_for("order-worker-0")
BTC = "BTC/USDT@binance"


def approval(number: int, *, quantity: str = "4", instrument_id: str = BTC, is_exit: bool = False) -> OrderApproved:
    return approval_of(Wish(number, 0.0, instrument_id, is_buy=not is_exit, quantity=quantity, is_exit=is_exit), NOW)


def trade(number: int, *, venue_order_id: str = "v1", quantity: str = "1", **changes: object) -> Trade:
    values = {
        "execution_id": f"BTCUSDT-{number}",
        "venue_order_id": venue_order_id,
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "price": Decimal(100),
        "quantity": Decimal(quantity),
        "fee": Decimal("0.001"),
        "fee_currency": "BTC",
        "liquidity": Liquidity.TAKER,
        "executed_at": NOW + timedelta(milliseconds=number),
        **changes,
    }
    return Trade(**values)


APPROVED = approval(1)
