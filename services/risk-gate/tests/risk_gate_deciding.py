"""How the tests ask for a decision. The plain case: 2 % of 100 000 at 100 is 19.9 at 100.50."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from risk_gate_builders import (
    BTC,
    NOW,
    a_signal,
    a_situation,
)

from risk_gate.domain.assess import assess
from risk_gate.domain.controls import order_checks
from risk_gate.domain.situation import (
    Book,
    Holding,
    Judgement,
    Situation,
)
from risk_gate.domain.sizing import Order
from sigmax.schemas.orders import OrderApproved, OrderDenied
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Side, Stage

A_MICROSECOND = timedelta(microseconds=1)
HELD_50 = Book(cash=Decimal(95_000), holdings={BTC: Holding(Decimal(50))})
"""Equity is still 100 000; with the plain order the position is worth (50 + 19.9) * 100.50 = 7 024.95."""


def decide(signal: Signal | None = None, judgement: Judgement | None = None, **changes: Any) -> Any:
    return assess(
        signal or a_signal(),
        a_situation(**changes),
        NOW,
        approval_lifetime=timedelta(seconds=15),
        judgement=judgement or Judgement(),
    )


def code_of(verdict: OrderApproved | OrderDenied) -> DenialCode | None:
    return verdict.code if isinstance(verdict, OrderDenied) else None


def failed(verdict: OrderDenied) -> Any:
    return next(check for check in verdict.checks if check.code is verdict.code and not check.passed)


def order_check(
    code: DenialCode, situation: Situation, signal: Signal | None = None, control: int | None = None, **changes: Any
) -> Any:
    """Hold an order of any size against the limits, as a later source of orders would."""
    fields: dict[str, Any] = {
        "side": Side.BUY,
        "quantity": Decimal(1),
        "limit_price": Decimal(100),
        "reference_price": Decimal(100),
        "reduce_only": False,
    }
    grounds = situation.grounds(Stage.NORMAL)
    assert grounds is not None
    checks = order_checks(signal or a_signal(), Order(**(fields | changes)), grounds, NOW)
    return next(check for check in checks if check.code is code and control in {None, check.control})
