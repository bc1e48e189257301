"""When is an order that nobody has seen truly not there?"""

from dataclasses import replace
from datetime import datetime, timedelta

from order_worker.domain.order import Looks, Order
from order_worker.domain.terms import Terms

_SOON_MAX = 30
"""Money that is unexplained for this many looks is not on its way: somebody moved it."""


def after_absence(looks: Looks, now: datetime, terms: Terms) -> Looks:
    """Count one successful look that did not find the order."""
    return replace(
        after_failure(looks, now, terms),
        absences=looks.absences + 1,
        absent_since=looks.absent_since or now,
        is_unclear=False,
    )


def after_doubt(looks: Looks, now: datetime, terms: Terms) -> Looks:
    """Count one look that found more than one venue order that it may be: what was missed before proves nothing."""
    return replace(after_failure(looks, now, terms), absences=0, absent_since=None, is_unclear=True)


def after_failure(looks: Looks, now: datetime, terms: Terms) -> Looks:
    """Count one look that failed: it proves nothing, and only slows the pace."""
    pause: timedelta = min(terms.first_look * 2 ** min(looks.count, 10), terms.look_backoff_max)
    return replace(looks, count=looks.count + 1, next_at=now + pause)


def soon_again(looks: Looks, now: datetime, terms: Terms) -> Looks:
    """Look again at the first pace: money that other orders are moving just now is explained a moment later."""
    return replace(looks, next_at=now + terms.first_look) if looks.count < _SOON_MAX else looks


def is_absence_proven(order: Order, looks: Looks, now: datetime, terms: Terms) -> bool:
    """Say whether enough successful looks, over a long enough time, have missed the order.

    The time runs from the first such look, and that look comes after the last moment at which a request could still
    have been written, so a request held up on its way cannot arrive after the proof.
    """
    if looks.absent_since is None or looks.absences < terms.absence_looks_min:
        return False
    latest_send = order.send_deadline or looks.absent_since
    return now - max(looks.absent_since, latest_send) >= terms.absence_window_min


def needs_a_person(order: Order, now: datetime, terms: Terms) -> bool:
    """Say whether the order is told apart by nobody else, or has been unknown for too long."""
    is_old = order.claimed_at is not None and now - order.claimed_at > terms.unknown_alarm
    return order.looks.is_unclear or is_old
