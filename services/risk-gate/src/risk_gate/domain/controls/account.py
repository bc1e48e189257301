"""Controls 18, 19, 20, and 28: what the account's orders have been doing."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from risk_gate.domain.controls.rows import guard, row
from risk_gate.domain.facts import Facts, Latch
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.situation import Situation
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Scope


def account_checks(signal: Signal, situation: Situation, limits: RiskLimits, now: datetime) -> list[Check]:
    """Look at what became of earlier orders: unexplained, unknown, stopped out, or ended with nothing filled."""
    facts = situation.facts
    return [
        _fill_check(signal, facts),
        _unknown_check(signal, facts, limits),
        _streak_check(signal, facts, limits, now),
        _ratio_check(signal, facts, limits),
    ]


def latched(latches: Iterable[Latch], code: DenialCode, scope: Scope, scope_id: str) -> Latch | None:
    """Give the latch of one kind that lies on something."""
    return next((each for each in latches if (each.code, each.scope, each.scope_id) == (code, scope, scope_id)), None)


def _fill_check(signal: Signal, facts: Facts) -> Check:
    latch = latched(facts.latches, DenialCode.FILL_UNEXPLAINED, Scope.ACCOUNT, signal.account_id)
    seen, limit = latch.reason if latch else "none", "every fill within its approval, or a person's release"
    return guard(signal, row(28, DenialCode.FILL_UNEXPLAINED, latch is None, seen, limit))


def _unknown_check(signal: Signal, facts: Facts, limits: RiskLimits) -> Check:
    unknown = facts.unknown
    passed = unknown.instrument <= limits.instrument_unknown_max and unknown.account <= limits.account_unknown_max
    seen = f"{unknown.instrument} of the instrument, {unknown.account} of the account"
    limit = f"{limits.instrument_unknown_max} and {limits.account_unknown_max}"
    return guard(signal, row(20, DenialCode.UNKNOWN_SUBMISSION, passed, seen, limit))


def _streak_check(signal: Signal, facts: Facts, limits: RiskLimits, now: datetime) -> Check:
    latch = latched(facts.latches, DenialCode.LOSING_STREAK, Scope.INSTRUMENT, signal.instrument_id)
    until = locked_until(facts.stops, limits)
    in_window = sum(at > now - timedelta(seconds=limits.streak_window_s) for at in facts.stops)
    seen = f"{in_window} in {limits.streak_window_s} s"
    if latch is not None:
        seen = f"locked, {latch.reason}"
    elif until is not None and now < until:
        seen += f", locked until {until:%H:%M:%S} UTC"
    is_free = latch is None and (until is None or now >= until)
    return guard(signal, row(18, DenialCode.LOSING_STREAK, is_free, seen, f"{limits.streak_stops_max} stops"))


def locked_until(stops: Sequence[datetime], limits: RiskLimits) -> datetime | None:
    """Say until when stops in a row lock their instrument; None when there never were so many in a window."""
    ordered = sorted(stops)
    allowed, window = limits.streak_stops_max, timedelta(seconds=limits.streak_window_s)
    streaks = [last for first, last in zip(ordered, ordered[allowed:], strict=False) if last - first < window]
    return streaks[-1] + timedelta(seconds=limits.streak_lock_s) if streaks else None


def _ratio_check(signal: Signal, facts: Facts, limits: RiskLimits) -> Check:
    outcomes = facts.outcomes
    is_enough = outcomes.ended >= limits.cancel_ratio_sample_min
    passed = not is_enough or outcomes.unfilled_pct <= limits.cancel_ratio_max_pct
    seen = f"{outcomes.unfilled} of {outcomes.ended} in 5 min ended with nothing filled"
    limit = f"{limits.cancel_ratio_max_pct} % of {limits.cancel_ratio_sample_min} or more"
    return guard(signal, row(19, DenialCode.CANCEL_RATIO_EXCEEDED, passed, seen, limit))
