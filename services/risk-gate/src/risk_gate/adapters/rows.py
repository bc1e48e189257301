"""From rows to what a decision looks at."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import Row

from risk_gate.domain.facts import (
    Adds,
    Counts,
    Facts,
    Identity,
    Latch,
    Opposing,
    Outcomes,
    Turnover,
    Unknown,
    VenueState,
)
from risk_gate.domain.judging import Proposal
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.losses import Marks
from risk_gate.domain.situation import Account, Book, Holding, PacedOrder, Reserved, SimilarOrder
from sigmax.schemas.signals import Decision, Signal
from sigmax.schemas.types import DenialCode, Mode, Posture, Scope, Side

log = structlog.get_logger()

ACTIVITY_S = 10
"""Seconds that one row of the table `activity` covers."""

STOPS_DAYS = 14
"""The longest window and the longest lock that limits allow, together."""


def mark_times(now: datetime) -> dict[str, datetime]:
    """Give the times that equity is compared with: a minute ago, not much longer ago, and when the UTC day began."""
    return {
        "minute_ago": now - timedelta(minutes=1),
        "minutes_ago": now - timedelta(minutes=5),
        "day_start": now.replace(hour=0, minute=0, second=0, microsecond=0),
    }


def day_of(at: datetime) -> str:
    """Name the UTC day that orders are counted by."""
    return f"{at:%Y-%m-%d}"


def run_of(strategy_version: int) -> str:
    """Name the run of a strategy: what it did with one version of its parameters."""
    return f"v{strategy_version}"


def subject_of(strategy_id: str) -> str:
    """Name a strategy where orders are counted; the account and judgement are counted there too."""
    return f"strategy/{strategy_id}"


def read_limits(stored: str | None) -> RiskLimits | None:
    """Read stored limits. Raises `pydantic.ValidationError` where one is missing or none."""
    if stored is None:
        return None
    found = json.loads(stored, parse_float=Decimal)
    values = found["values"] if isinstance(found["values"], dict) else {}
    return RiskLimits.model_validate({**values, "version": found["version"]})


def limits_of(account_id: str, stored: str | None) -> RiskLimits | None:
    """Read stored limits; what cannot be read is as good as missing, and a missing limit denies."""
    try:
        return read_limits(stored)
    except ValidationError as error:
        log.error("limits_unreadable", account_id=account_id, error=str(error))
        return None


def account_of(row: Row[Any]) -> Account:
    """Read an account."""
    return Account(
        account_id=row.account_id,
        venue=row.venue,
        mode=Mode(row.mode),
        currency=row.currency,
        reconciled_at=row.reconciled_at,
        reconciliation_passed=row.reconciliation_passed,
        worker_venue=row.worker_venue,
        worker_mode=row.worker_mode,
    )


def posture_of(stored: str | None) -> Posture | None:
    """Read the posture in force; one that cannot be read is the most cautious one."""
    if stored is None:
        return None
    return Posture(stored) if stored in set(Posture) else Posture.DEFENSIVE


def proposal_of(row: Row[Any]) -> Proposal:
    """Read a proposal."""
    return Proposal(
        signal_id=row.signal_id,
        request_id=row.request_id,
        signal=None if row.signal is None else Signal.model_validate_json(row.signal),
        decision=None if row.decision is None else Decision.model_validate_json(row.decision),
        is_settled=row.is_settled,
    )


def lists(stored: str | None) -> list[Any]:
    """Read a JSON list; none is an empty one."""
    found: list[Any] = json.loads(stored) if stored else []
    return found


def holdings_of(stored: str | None) -> dict[str, Holding]:
    """Read what is held, as both counts have it."""
    return {
        name: Holding(Decimal(filled), None if reported is None else Decimal(reported))
        for name, filled, reported in lists(stored)
    }


def book_of(row: Row[Any]) -> Book:
    """Read what the account has and has promised."""
    cash, counted = lists(row.cash) or ("0", None)
    return Book(
        cash=Decimal(cash),
        cash_counted=None if counted is None else Decimal(counted),
        holdings=holdings_of(row.holdings),
        own={name: Decimal(quantity) for name, quantity in lists(row.own)},
        reserved=tuple(
            Reserved(strategy_id, name, Side(side), Decimal(leaves), Decimal(cost), orders)
            for strategy_id, name, side, leaves, cost, orders in lists(row.reserved)
        ),
        paced=tuple(PacedOrder(strategy_id, datetime.fromisoformat(at)) for strategy_id, at in lists(row.paced)),
        similar=tuple(
            SimilarOrder(Decimal(quantity), Decimal(price), datetime.fromisoformat(at))
            for quantity, price, at in lists(row.similar)
        ),
    )


def facts_of(row: Row[Any], signal: Signal, limits: RiskLimits | None, now: datetime) -> Facts:
    """Read what the account has been doing. Unknown orders are counted with the limits' own lease."""
    counts = {(subject, period): (orders, notional, at) for subject, period, orders, notional, at in lists(row.counts)}
    minute, hour = lists(row.turnover)
    adds, last_price = lists(row.adds)
    venue = venue_of(row.venue)
    lease = timedelta(seconds=limits.sending_lease_s if limits else 0)
    return Facts(
        counts=_counts(counts, signal, now),
        turnover=Turnover(Decimal(minute), Decimal(hour), Decimal(counts.get(("account", day_of(now)), (0, 0))[1])),
        marks=marks_of(row.marks),
        outcomes=Outcomes(*map(int, lists(row.outcomes))),
        unknown=unknown_of(row.unproven, signal.instrument_id, venue, now - lease),
        venue=venue,
        latches=tuple(
            Latch(Scope(scope), scope_id, DenialCode(code), reason, _time(expires_at))
            for scope, scope_id, code, reason, expires_at in lists(row.latches)
        ),
        stops=tuple(datetime.fromisoformat(at) for at in lists(row.stops)),
        adds=Adds(adds, None if last_price is None else Decimal(last_price)),
        opposing=tuple(Opposing(order_id, Decimal(price)) for order_id, price in lists(row.opposing)),
    )


def _counts(found: dict[tuple[str, str], Any], signal: Signal, now: datetime) -> Counts:
    today, subject = day_of(now), subject_of(signal.strategy_id)
    nothing = (0, "0", None)
    judged = [entry for (name, _), entry in found.items() if name == "judged"]
    _, judged_notional, _ = found.get(("judged", today), nothing)
    return Counts(
        account_day=found.get(("account", today), nothing)[0],
        strategy_day=found.get((subject, today), nothing)[0],
        strategy_run=found.get((subject, run_of(signal.strategy_version)), nothing)[0],
        judged_day=found.get(("judged", today), nothing)[0],
        judged_notional=Decimal(judged_notional),
        judged_last_at=max((datetime.fromisoformat(at) for _, _, at in judged), default=None),
    )


def marks_of(stored: str | None) -> Marks:
    """Read the marks of an account's equity."""
    minute, day, peak = lists(stored) or (None, None, None)
    return Marks(*(None if mark is None else Decimal(mark) for mark in (minute, day, peak)))


def venue_of(stored: str | None) -> VenueState | None:
    """Read how the venue fares."""
    if stored is None:
        return None
    venue, is_answering, failing_since, gap_ms, orders_unknown, as_of, recovering_since, *rest = lists(stored)
    mode, hosts, key, orders_unclear = rest
    return VenueState(
        venue=venue,
        is_answering=is_answering,
        failing_since=_time(failing_since),
        clock_gap_ms=Decimal(gap_ms),
        orders_unknown=orders_unknown,
        orders_unclear=orders_unclear,
        as_of=datetime.fromisoformat(as_of),
        recovering_since=_time(recovering_since),
        identity=None if mode is None or key is None else Identity(mode, tuple(hosts), key),
    )


def unknown_of(stored: str | None, instrument_id: str, venue: VenueState | None, sent_before: datetime) -> Unknown:
    """Count the orders of which nobody knows, by our book and by order-worker's word: the larger number counts."""
    names = [
        name
        for name, submission, at in lists(stored)
        if submission == "unknown" or at is None or datetime.fromisoformat(at) < sent_before
    ]
    told = venue.orders_unknown if venue else 0
    return Unknown(names.count(instrument_id), max(len(names), told), venue.orders_unclear if venue else 0)


def _time(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored)
