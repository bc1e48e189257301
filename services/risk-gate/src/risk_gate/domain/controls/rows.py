"""How one control is written down."""

from datetime import timedelta
from decimal import Decimal

from risk_gate.domain.sizing import side_of
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import Action, DenialCode, Side

CLOCK_SKEW_MAX = timedelta(seconds=1)
"""A price or signal from further in the future means that a clock is off."""
HUNDRED = Decimal(100)
_TEXT_MAX = 200


def row(control: int, code: DenialCode, passed: bool, seen: object, limit: object) -> Check:
    """Write down one control: what it saw, and what it held that against."""
    return Check(control=control, code=code, passed=passed, seen=str(seen)[:_TEXT_MAX], limit=str(limit)[:_TEXT_MAX])


def money(value: Decimal) -> str:
    """Show money; the comparison was made with all digits."""
    return f"{value:.2f}"


def adds_exposure(signal: Signal) -> bool:
    """Say whether a signal wants more exposure: nothing that sells does, for no short position is opened."""
    return side_of(signal.action) is Side.BUY


def is_exit(signal: Signal) -> bool:
    """Say whether a signal closes a position: who wants out gets out, however many others wanted something."""
    return signal.action is Action.CLOSE


def guard(signal: Signal, check: Check) -> Check:
    """Let what lowers exposure pass a control that guards added exposure, with the number seen."""
    if check.passed or adds_exposure(signal):
        return check
    return passing(check, "lowers exposure")


def passing(check: Check, why: str) -> Check:
    """Give a control as passed, with the number seen and why it does not count here."""
    return row(check.control, check.code, True, f"{check.seen}; {why}", check.limit)
