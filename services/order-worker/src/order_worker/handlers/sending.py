"""From a waiting row to the venue: claim, verify, send once, record again."""

import asyncio
from dataclasses import replace
from datetime import datetime

import structlog

from order_worker.domain.breaker import Breaker
from order_worker.domain.order import Order
from order_worker.domain.permission import refusal_to_send
from order_worker.domain.sightings import Answer, Outcome
from order_worker.handlers.booking import News, book
from order_worker.handlers.desk import Changed, Desk, alert, change, insist
from order_worker.handlers.working import cancel_at_venue
from sigmax.schemas.types import AlertLevel, Submission

log = structlog.get_logger()

_IN_A_ROW_MAX = 20
"""Orders of one key that one call sends; what is left, the sweep finds."""
_KEYS_MAX = 20
_EXPIRED_MAX = 100


async def send_key(desk: Desk, key: tuple[str, str]) -> None:
    """Send what waits for an account and instrument, one order after the other."""
    for _ in range(_IN_A_ROW_MAX):
        if not await _send_next(desk, key):
            return


async def sweep(desk: Desk) -> None:
    """Send what waits with nobody at it, and end what has waited too long."""
    now = desk.clock.now()
    async with desk.books.open() as page:
        for order in await page.expired(now, _EXPIRED_MAX):
            late = f"not sent by {order.approved.valid_until:%H:%M:%S} UTC, until which the approval was valid"
            await change(page, order, order.unplaced(f"{late}; {order.reason}" if order.reason else late), now)
    if desk.may_send(now):
        keys = await desk.books.ready_keys(now, _KEYS_MAX)
        await asyncio.gather(*(send_key(desk, key) for key in keys))


async def _send_next(desk: Desk, key: tuple[str, str]) -> bool:
    """Send the next order of a key; True when another waits behind it."""
    now = desk.clock.now()
    if not desk.may_send(now):
        return False
    claim = await desk.books.claim(key, now)
    if claim is None:
        return False
    desk.breaker = desk.breaker.probing(now)
    order = claim.order
    refusal = refusal_to_send(order, claim.stages, desk.terms, desk.clock.now())
    answer = Answer(Outcome.UNSENDABLE, refusal) if refusal else await desk.venue.submit(order)
    desk.breaker = _breaker_after(desk.breaker, answer, desk.clock.now())
    lease_ends = now + desk.terms.lease
    changed = await insist(desk, lambda: _record(desk, order, answer), lease_ends)
    if changed is None:
        return True  # the resolver was faster, and may be waking the next one as well: both may
    if changed.order.needs_cancel:
        await cancel_at_venue(desk, changed.order)
    return changed.is_key_waiting


async def _record(desk: Desk, claimed: Order, answer: Answer) -> Changed | None:
    """Write what came of the send, unless the resolver was faster: then its word stands."""
    now = desk.clock.now()
    async with desk.books.open() as page:
        if desk.breaker.is_open(now) and desk.breaker.failures:
            text = f"{desk.breaker.failures} submits in a row were not answered; nothing is sent for a while"
            page.publish(alert(claimed.approved, AlertLevel.DANGER, "venue_failing", text, now, reason=answer.reason))
        if answer.sighting is not None:
            return await book(page, desk, claimed, answer.sighting, News("reply", answer.sent_at))
        current = await page.order(claimed.client_order_id)
        if current is None or (current.submission, current.fence) != (Submission.SENDING, claimed.fence):
            return None
        sent = replace(current, sent_at=answer.sent_at)
        return await change(page, current, _after(sent, answer, now, desk), now)


def _after(order: Order, answer: Answer, now: datetime, desk: Desk) -> Order:
    if answer.outcome is Outcome.REFUSED:
        return order.refused(answer.reason)
    if answer.outcome is Outcome.NOT_SENT:
        return order.not_sent(answer.reason, now, desk.terms)
    if answer.outcome is Outcome.UNSENDABLE:
        return order.unplaced(answer.reason)
    log.warning("submission_unknown", client_order_id=order.client_order_id, reason=answer.reason)
    return order.unknown(answer.reason, now if answer.is_duplicate else now + desk.terms.first_look)


def _breaker_after(breaker: Breaker, answer: Answer, now: datetime) -> Breaker:
    if answer.outcome in (Outcome.ACCEPTED, Outcome.REFUSED):
        return Breaker()
    return breaker if answer.outcome is Outcome.UNSENDABLE else breaker.failed(now)
