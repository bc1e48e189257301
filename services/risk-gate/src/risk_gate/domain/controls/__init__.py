"""The controls: each a row with the number it saw and the limit it held it against.

`numbers_check` comes first, for nothing may be compared before every number is one. `conditions` are asked before
anything is sized, `order_checks` of the sized order. Bounds are inclusive: exactly at a limit is within it.

What guards exposure that is added lets an order pass that lowers it, and no control of pace holds up a close.
"""

from datetime import datetime

from risk_gate.domain.controls.account import account_checks
from risk_gate.domain.controls.exposure import cash_check, exposure_checks, short_check
from risk_gate.domain.controls.judged import judged_order_check, judgement_checks, news_checks
from risk_gate.domain.controls.losses import loss_checks
from risk_gate.domain.controls.market import market_checks
from risk_gate.domain.controls.numbers import NUMBER_MAX, NUMBER_MIN, numbers_check
from risk_gate.domain.controls.pace import pace_checks
from risk_gate.domain.controls.rows import CLOCK_SKEW_MAX, row
from risk_gate.domain.controls.size import collar_check, dca_checks, price_limit_check, size_checks
from risk_gate.domain.controls.standing import age_checks, stage_checks, standing_checks
from risk_gate.domain.situation import Grounds, Judgement, Situation
from risk_gate.domain.sizing import Order
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode

__all__ = ["CLOCK_SKEW_MAX", "NUMBER_MAX", "NUMBER_MIN", "conditions", "numbers_check", "order_checks"]


def conditions(signal: Signal, situation: Situation, judgement: Judgement, now: datetime) -> list[Check]:
    """Ask what does not depend on the size: may this account trade this instrument on this signal now?"""
    limits = situation.limits
    version = "none that can be read" if limits is None else f"version {limits.version}"
    checks = [
        *stage_checks(signal, situation),
        row(27, DenialCode.LIMIT_MISSING, limits is not None, version, "limits for the account"),
        *judgement_checks(judgement),
        *market_checks(signal, situation, now),
    ]
    if limits is None:
        return checks
    return [
        *checks,
        *age_checks(signal, situation, limits, now),
        *standing_checks(signal, situation, limits, now),
        *news_checks(signal, limits),
        *account_checks(signal, situation, limits, now),
        *loss_checks(signal, situation, limits),
    ]


def order_checks(
    signal: Signal, order: Order, grounds: Grounds, now: datetime, judgement: Judgement | None = None
) -> list[Check]:
    """Hold a sized order against every limit."""
    return [
        *size_checks(signal, order, grounds),
        collar_check(signal, order, grounds),
        price_limit_check(signal, order, grounds),
        *exposure_checks(signal, order, grounds),
        *dca_checks(signal, order, grounds),
        cash_check(order, grounds),
        *pace_checks(signal, order, grounds, now),
        *judged_order_check(order, grounds, judgement or Judgement(), now),
        short_check(signal, order, grounds),
    ]
