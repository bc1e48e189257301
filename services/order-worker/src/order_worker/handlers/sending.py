"""From a waiting row to the venue: claim, verify, send once, record again."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from order_worker.domain.breaker import Breaker
from order_worker.domain.budget import TOO_MANY_S, Kind, closed_by
from order_worker.domain.order import Order
from order_worker.domain.permission import refusal_to_send
from order_worker.domain.sightings import Answer, Outcome
from order_worker.handlers.booking import News, book
from order_worker.handlers.desk import Changed, Desk, alert, change, insist
from order_worker.handlers.health import health_of
from order_worker.handlers.matching import known_before
from order_worker.handlers.working import cancel_at_venue
from order_worker.ports import BudgetUnreadableError, Claim
from sigmax.schemas.types import AlertLevel, Submission

log = structlog.get_logger()

_IN_A_ROW_MAX = 20
"""Orders of one key that one call sends; what is left, the sweep finds."""
_KEYS_MAX = 20
_EXPIRED_MAX = 100
_ENTRY_PATIENCE_S = 1.0
_EXIT_PATIENCE_S = 10.0
"""For room in the venue's budget, before the claim: no lease runs yet. Afterwards the row waits for the sweep. Entries
give their place among the messages in work up soon, or exits would queue behind them."""


async def send_key(desk: Desk, key: tuple[str, str], *, is_exit: bool = False, is_patient: bool = True) -> None:
    """Send what waits for an account and instrument, one order after the other, exits first.

    Where the venue keeps no client ids, that is all that waits for the account.
    """
    patience_s = (_EXIT_PATIENCE_S if is_exit else _ENTRY_PATIENCE_S) if is_patient else 0.0
    for _ in range(_IN_A_ROW_MAX):
        if not await _send_next(desk, key, is_exit=is_exit, patience_s=patience_s):
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
        await asyncio.gather(*(send_key(desk, key, is_exit=is_exit, is_patient=False) for key, is_exit in keys.items()))


async def _send_next(desk: Desk, key: tuple[str, str], *, is_exit: bool, patience_s: float) -> bool:
    """Send the next order of a key; True when another waits behind it."""
    if not desk.may_send(desk.clock.now()) or not await _has_room(desk, is_exit=is_exit, patience_s=patience_s):
        return False
    claim = await _claim(desk, key)
    if claim is None:
        await desk.budget.give_back(Kind.ORDERS)
        return False
    order = claim.order
    refusal = refusal_to_send(order, claim.stages, desk.terms, desk.clock.now())
    answer = Answer(Outcome.UNSENDABLE, refusal) if refusal else await desk.venue.submit(order)
    desk.breaker = _breaker_after(desk.breaker, answer, desk.clock.now())
    await _settle_budget(desk, answer)
    lease_ends = (order.claimed_at or desk.clock.now()) + desk.terms.lease
    changed = await insist(desk, lambda: _record(desk, order, answer), lease_ends)
    if changed is None:
        return True  # the resolver was faster, and may be waking the next one as well: both may
    if changed.order.needs_cancel:
        await cancel_at_venue(desk, changed.order)
    return changed.is_key_waiting


async def _has_room(desk: Desk, *, is_exit: bool, patience_s: float) -> bool:
    """Take one order from the venue's budget, waiting for room; False when there is none in time."""
    waited_s = 0.0
    try:
        while wait_s := await desk.budget.take(Kind.ORDERS, is_exit=is_exit):
            waited_s += wait_s
            if waited_s > patience_s:
                return False
            await asyncio.sleep(wait_s)
    except BudgetUnreadableError as error:
        log.warning("not_sent_uncounted", error=str(error))
        return False
    return True


async def _claim(desk: Desk, key: tuple[str, str]) -> Claim | None:
    """Claim the next order of a key, unless sends have been stopped meanwhile; a probe is one order and no more.

    Without client ids, what is at the venue already is asked first, and committed with the claim.
    """
    known_ids = None
    if not desk.venue.capabilities.client_ids:
        next_key = await desk.books.next_key(key[0], desk.clock.now())
        known_ids = None if next_key is None else await known_before(desk, next_key[1])
        if next_key is None or known_ids is None:
            return None
        key = next_key
    now = desk.clock.now()
    if not desk.may_send(now):
        return None
    before, desk.breaker = desk.breaker, desk.breaker.probing(now)
    claim = await desk.books.claim(key, now, known_ids)
    if claim is None and desk.breaker is not before and desk.breaker == before.probing(now):
        desk.breaker = before  # nothing was tried
    return claim


async def _settle_budget(desk: Desk, answer: Answer) -> None:
    if answer.sent_at is None:
        await desk.budget.give_back(Kind.ORDERS)
    elif answer.outcome is Outcome.LIMITED:
        for kind in closed_by(Kind.ORDERS, answer.reason):
            await desk.budget.close(kind, answer.retry_after_s or TOO_MANY_S)


async def _record(desk: Desk, claimed: Order, answer: Answer) -> Changed | None:
    """Write what came of the send, unless the resolver was faster: then its word stands."""
    now = desk.clock.now()
    is_open = desk.breaker.is_open(now) and bool(desk.breaker.failures)
    health = await health_of(desk, now) if is_open else None
    async with desk.books.open() as page:
        if health is not None:
            page.publish(health)  # any replica tells of its own: the one that leads may reach the venue
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
    if answer.outcome is Outcome.LIMITED and not order.may_go_again:
        return order.unplaced(f"{answer.reason}; a market order is not sent twice under one approval")
    if answer.outcome is Outcome.LIMITED:
        return order.limited(answer.reason, now + timedelta(seconds=answer.retry_after_s or TOO_MANY_S))
    if answer.outcome is Outcome.NOT_SENT:
        return order.not_sent(answer.reason, now, desk.terms)
    if answer.outcome is Outcome.UNSENDABLE:
        return order.unplaced(answer.reason)
    log.warning("submission_unknown", client_order_id=order.client_order_id, reason=answer.reason)
    return order.unknown(answer.reason, now if answer.is_duplicate else now + desk.terms.first_look)


def _breaker_after(breaker: Breaker, answer: Answer, now: datetime) -> Breaker:
    if answer.outcome in (Outcome.ACCEPTED, Outcome.REFUSED, Outcome.LIMITED):
        return Breaker()
    is_ours = answer.was_too_late or answer.outcome is Outcome.UNSENDABLE
    return breaker if is_ours else breaker.failed(now)
