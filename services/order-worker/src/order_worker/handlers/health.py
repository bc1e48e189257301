"""Whether the venue answers, and how far its clock is from ours: asked by every replica, told by the one that leads."""

from datetime import datetime, timedelta

import structlog

from order_worker.domain.budget import Kind
from order_worker.domain.health import Trouble
from order_worker.domain.reconciling import clock_gap
from order_worker.domain.resolving import needs_a_person
from order_worker.handlers.desk import Desk, HealthTold, notice
from order_worker.handlers.reconciling import reconcile
from order_worker.ports import PagePort, VenueError
from sigmax.schemas.orders import VenueHealth
from sigmax.schemas.types import AlertLevel, Submission

log = structlog.get_logger()

TELL_AFTER = timedelta(seconds=5)
_LONG = timedelta(seconds=5)
"""A venue that was away for so long may have done things that we did not hear of."""


async def ask_clock(desk: Desk) -> None:
    """Ask the venue for its time: this shows whether it answers at all, and stops sends while the clocks differ."""
    asked_at = desk.clock.now()
    try:
        venue_at = await desk.venue.now()
    except VenueError as error:
        log.warning("venue_does_not_answer", error=str(error))
        return
    was_off = desk.is_clock_off
    now = desk.clock.now()
    desk.clock_gap = clock_gap(asked_at, now, venue_at)
    if desk.is_clock_off and not was_off:
        text = f"The venue's clock is {desk.clock_gap.milliseconds} ms from this host's; this worker sends nothing"
        async with desk.books.open() as page:
            page.publish(notice(desk.terms, AlertLevel.DANGER, "clock_off", text, now, host=desk.terms.worker))


async def tell_health(desk: Desk) -> None:
    """Tell risk-gate and people how the venue is, when it changes and every few seconds; compare after an outage."""
    now = desk.clock.now()
    trouble = desk.venue.health.trouble(now)
    before = desk.told
    if before is not None and _state(before.trouble) == _state(trouble) and now - before.at < TELL_AFTER:
        return
    told = await health_of(desk, now)
    async with desk.books.open() as page:
        page.publish(told)
        told_open = _alert_of_breakers(page, desk, now)
    desk.told = HealthTold(now, trouble, told_open)
    is_out = trouble is not None and trouble.out_since is not None
    if not is_out and _was_away(before, now) and desk.is_reconciled:
        await reconcile(desk)


def _state(trouble: Trouble | None) -> tuple[bool, bool]:
    return trouble is not None, trouble is not None and trouble.recovering_since is not None


def _was_away(before: HealthTold | None, now: datetime) -> bool:
    out_since = None if before is None or before.trouble is None else before.trouble.out_since
    return out_since is not None and now - out_since >= _LONG


async def health_of(desk: Desk, now: datetime) -> VenueHealth:
    """Give what this worker can tell of the venue now."""
    terms, trouble = desk.terms, desk.venue.health.trouble(now)
    unknown = [order for order in await desk.books.unfinished() if order.submission is Submission.UNKNOWN]
    return VenueHealth(
        **VenueHealth.first(f"{terms.account_id}:{now.isoformat()}:{terms.worker}", now),
        account_id=terms.account_id,
        venue=terms.venue,
        is_answering=trouble is None,
        failing_since=None if trouble is None else trouble.since,
        recovering_since=None if trouble is None else trouble.recovering_since,
        mode=terms.mode,
        hosts=terms.hosts,
        key_fingerprint=terms.key_fingerprint,
        is_circuit_open=desk.breaker.is_open(now),
        clock_gap_ms=0 if desk.clock_gap is None else desk.clock_gap.milliseconds,
        orders_unknown=len(unknown),
        orders_unclear=sum(needs_a_person(order, now, terms) for order in unknown),
        as_of=now,
    )


def _alert_of_breakers(page: PagePort, desk: Desk, now: datetime) -> frozenset[Kind]:
    """Tell people of each kind of request whose breaker has opened; submits tell of theirs when they are recorded."""
    is_open = frozenset(kind for kind in (Kind.CANCELS, Kind.QUERIES) if desk.venue.health.is_open(kind))
    for kind in sorted(is_open - (desk.told.open if desk.told else frozenset())):
        text = f"{desk.terms.venue} has not answered several {kind} in a row; they go on at a slower pace"
        page.publish(notice(desk.terms, AlertLevel.DANGER, "venue_failing", text, now, kind=str(kind)))
    return is_open
