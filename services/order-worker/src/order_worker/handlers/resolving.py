"""Asks the venue for orders that it may or may not have, until it is known."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from order_worker.domain.matching import Match, Verdict
from order_worker.domain.order import Looks, Order
from order_worker.domain.reconciling import gaps
from order_worker.domain.resolving import (
    after_absence,
    after_doubt,
    after_failure,
    is_absence_proven,
    needs_a_person,
    soon_again,
)
from order_worker.domain.sightings import Sighting
from order_worker.handlers.booking import News, book
from order_worker.handlers.desk import Desk, alert, change
from order_worker.handlers.matching import adopt, compare, tell_unclear
from order_worker.handlers.reconciling import CLOCKS
from order_worker.handlers.sending import send_key
from order_worker.handlers.working import cancel_at_venue
from order_worker.ports import VenueError
from sigmax.schemas.market import base_of, quote_of
from sigmax.schemas.types import AlertLevel, Submission

_DUE_MAX = 20
_BEFORE_CLAIM = timedelta(seconds=60)
"""Room for clocks that differ."""
_STRANGERS_MAX = 20


async def resolve_due(desk: Desk) -> None:
    """Take the orders whose sender did not report back, and those that nobody knows, and look for each."""
    now = desk.clock.now()
    due = []
    ours_until = now + desk.terms.look_lease
    async with desk.books.open() as page:
        for order in await page.take_due(now, ours_until, _DUE_MAX):
            if order.submission is Submission.SENDING:
                # The fence rises: should the sender still wake up, its word comes too late.
                unknown = order.unknown("whoever sent it did not report back", ours_until)
                due.append((await change(page, order, replace(unknown, fence=order.fence + 1), now)).order)
            else:
                due.append(order)
    await asyncio.gather(*(look(desk, order) for order in due))


async def look(desk: Desk, order: Order) -> None:
    """Look for one order: by its id, among the open ones, and among the trades; or by what it looks like."""
    try:
        if order.client_ids:
            after = await _by_id(desk, order)
        else:
            after = await _by_looks(desk, order)
    except VenueError as error:
        await _failed(desk, order, str(error))
        return
    if after is None:
        return
    if after.needs_cancel:
        await cancel_at_venue(desk, after)
    await send_key(desk, order.key)


async def _by_id(desk: Desk, order: Order) -> Order | None:
    sighting = await _ask(desk, order)
    if sighting is None:
        await _absent(desk, order)
        return None
    async with desk.books.open() as page:
        return (await book(page, desk, order, sighting, News("resolver"))).order


async def _by_looks(desk: Desk, order: Order) -> Order | None:
    """Look where the venue keeps no ids of ours; what several rows could be is told to people, and left as it is."""
    found = await compare(desk, order)
    if found.verdict is Verdict.NOTHING:
        await _absent(desk, order)
    elif found.verdict is Verdict.SEVERAL:
        await _unclear(desk, order, found)
    elif found.verdict is Verdict.IN_FLIGHT:
        await _failed(desk, order, "another request is on its way that looks the same")
    elif (adopted := await adopt(desk, order, found.rows[0], "resolver")) is not None:
        return adopted
    else:
        await _failed(desk, order, "it, or what was found for it, was recognised otherwise meanwhile")
    return None


async def _ask(desk: Desk, order: Order) -> Sighting | None:
    """Give the order as the venue has it, or None when each of three questions was answered and none showed it."""
    found = await desk.venue.find(order)
    if found is not None:
        return found
    for sighting in await desk.venue.open_orders({order.symbol}):
        if sighting.client_order_id == order.client_order_id:
            return sighting
    since = (order.claimed_at or desk.clock.now()) - _BEFORE_CLAIM
    trades = await desk.venue.trades(order.symbol, since)
    ids = {trade.venue_order_id for trade in trades}
    for venue_order_id in sorted(ids - await desk.books.owned(ids))[-_STRANGERS_MAX:]:
        stranger = await desk.venue.order(order.symbol, venue_order_id)
        if stranger is not None and stranger.client_order_id == order.client_order_id:
            return replace(stranger, trades=tuple(each for each in trades if each.venue_order_id == venue_order_id))
    return None


async def _absent(desk: Desk, order: Order) -> None:
    """Count a look that did not find the order; before the last one proves anything, the money must agree too."""
    now = desk.clock.now()
    looks = after_absence(order.looks, now, desk.terms)
    is_proven = is_absence_proven(order, looks, now, desk.terms)
    if is_proven:
        try:
            unexplained = await _unexplained(desk, order)
        except VenueError as error:
            unexplained = str(error)
        if unexplained is not None:
            await _missed(desk, order, soon_again(looks, now, desk.terms), unexplained, is_proven=False)
            return
    await _missed(desk, order, looks, "not found", is_proven=is_proven)


async def _failed(desk: Desk, order: Order, reason: str) -> None:
    """Count a look that says nothing: it proves nothing either, however many were made before."""
    looks = after_failure(order.looks, desk.clock.now(), desk.terms)
    await _missed(desk, order, looks, reason, is_proven=False)


async def _unclear(desk: Desk, order: Order, found: Match) -> None:
    """Count a look that found too much, and have a person say which it is."""
    if not order.looks.is_unclear:
        await tell_unclear(desk, order, found)
    now = desk.clock.now()
    async with desk.books.open() as page:
        current = await page.order(order.client_order_id)
        if current is not None and current.submission is Submission.UNKNOWN:
            await change(page, current, replace(current, looks=after_doubt(order.looks, now, desk.terms)), now)


async def _unexplained(desk: Desk, order: Order) -> str | None:
    """Say what the venue has more or less of the order's two assets than our books: it may be this order's doing."""
    asked_at = desk.clock.now()
    venue = await desk.venue.balances()
    instrument_id = order.approved.instrument_id
    async with desk.books.open() as page:
        met = await page.met_assets() & {base_of(instrument_id), quote_of(instrument_id)}
        found = gaps(await page.balances(asked_at - CLOCKS), venue, met)
    if not found:
        return None
    return "; ".join(f"the venue has {gap} {asset} more than our books" for asset, gap in sorted(found.items()))


async def _missed(desk: Desk, order: Order, looks: Looks, reason: str, *, is_proven: bool) -> None:
    now = desk.clock.now()
    async with desk.books.open() as page:
        current = await page.order(order.client_order_id)
        if current is None or current.submission is not Submission.UNKNOWN:
            return  # another source was faster
        after = replace(current, looks=looks)
        if is_proven:
            after = after.unplaced(_proof(current.reason, looks, now))
        elif needs_a_person(current, now, desk.terms):
            text = f"Whether the venue has this order is not known after {looks.count} looks; the last said: {reason}"
            page.publish(alert(current.approved, AlertLevel.DANGER, "submission_unknown", text, now))
        await change(page, current, after, now)
    if is_proven:
        await send_key(desk, order.key)


def _proof(reason: str, looks: Looks, now: datetime) -> str:
    since = looks.absent_since or now
    window_s = (now - since).total_seconds()
    return f"{reason}; the venue does not have it: {looks.absences} looks over {window_s:.0f} s"
