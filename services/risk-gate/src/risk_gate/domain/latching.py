"""What a denial locks: until a person releases it, or until its time is over. Controls 13 and 18."""

from datetime import datetime

from risk_gate.domain.controls.account import locked_until
from risk_gate.domain.controls.pace import count_breaches
from risk_gate.domain.facts import Latch
from risk_gate.domain.situation import Situation
from sigmax.schemas.orders import OrderDenied
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Scope


def latches_of(signal: Signal, denied: OrderDenied, situation: Situation, now: datetime) -> list[Latch]:
    """Give what is to be locked after a denial; what is locked already may be among it."""
    limits, facts = situation.limits, situation.facts
    broken = {check.code for check in denied.checks if not check.passed}
    if limits is None:
        return []
    found = []
    if DenialCode.ORDER_COUNT_EXCEEDED in broken:
        found += [
            Latch(scope, scope_id, DenialCode.ORDER_COUNT_EXCEEDED, reason)
            for scope, scope_id, reason in count_breaches(signal, facts.counts, limits)
        ]
    until = locked_until(facts.stops, limits)
    if DenialCode.LOSING_STREAK in broken and until is not None and until > now:
        reason = f"{len(facts.stops)} stops, the last one {max(facts.stops):%Y-%m-%d %H:%M:%S} UTC"
        found.append(Latch(Scope.INSTRUMENT, signal.instrument_id, DenialCode.LOSING_STREAK, reason, until))
    return found
