"""Orders at a venue that keeps no client ids: what is remembered before a send, and whose a venue order is then."""

from collections.abc import Iterable, Mapping

import structlog

from order_worker.domain.matching import (
    LATE_MAX,
    REMEMBERED,
    Listed,
    Match,
    Verdict,
    listed_from,
    match,
    may_be,
    missing,
    remembered,
)
from order_worker.domain.order import Order
from order_worker.handlers.booking import News, book
from order_worker.handlers.desk import Desk, alert
from order_worker.ports import VenueError
from sigmax.schemas.market import symbol_of
from sigmax.schemas.types import AlertLevel, Submission

log = structlog.get_logger()


async def known_before(desk: Desk, instrument_id: str) -> frozenset[str] | None:
    """Give the venue orders that are there before a send; None when the venue does not say, and nothing is sent."""
    since = desk.clock.now() - REMEMBERED
    try:
        return remembered(await desk.venue.orders(symbol_of(instrument_id), since))
    except VenueError as error:
        log.warning("not_sent_unremembered", instrument_id=instrument_id, error=str(error))
        return None


async def unmatched(desk: Desk) -> list[Order]:
    """Give our orders that may be at the venue and have no id of its own yet; none where it keeps ours."""
    return [] if desk.venue.capabilities.client_ids else await desk.books.unmatched(desk.clock.now() - LATE_MAX)


async def compare(desk: Desk, order: Order) -> Match:
    """Hold one order against the venue's list. Raises `VenueError` when the list proves nothing."""
    listing = await desk.venue.orders(order.symbol, listed_from([order])[order.symbol])
    if holes := missing(order, listing):
        raise VenueError(f"the venue's list misses orders that it had: {', '.join(sorted(holes)[:5])}")
    return await _match(desk, order, listing)


async def adopt(desk: Desk, order: Order, row: Listed, source: str) -> Order | None:
    """Take a venue order into the books as this one; None when one of the two was faster to find its other half."""
    async with desk.books.open() as page:
        await page.lock_account()
        current = await page.order(order.client_order_id)
        if current is None or current.venue_order_id is not None or await page.is_owned(row.venue_order_id):
            return None
        return (await book(page, desk, order, row.sighting, News(source))).order


async def recognise(desk: Desk, source: str) -> frozenset[str]:
    """Look through the venue's lists for orders of ours that are unknown, or that were proven absent.

    Gives the venue orders that may be ours and are nobody's yet: they are no strangers. Raises `VenueError`.
    """
    waiting = await unmatched(desk)
    if not waiting:
        return frozenset()
    listings = await _listings(desk, waiting)
    doubtful: set[str] = set()
    # Read again, after the lists: an answer that came meanwhile has made a row somebody's.
    for order in await unmatched(desk):
        if order.symbol not in listings:
            continue
        found = await _match(desk, order, listings[order.symbol])
        if found.verdict is Verdict.FOUND and order.submission is not Submission.SENDING:
            await adopt(desk, order, found.rows[0], source)
        elif order.submission is Submission.ABSENT and found.verdict is Verdict.SEVERAL:
            await tell_unclear(desk, order, found)  # the resolver looks no more
        elif order.submission is not Submission.ABSENT or found.verdict is Verdict.IN_FLIGHT:
            doubtful |= {row.venue_order_id for row in found.rows}
    return frozenset(doubtful)


async def tell_unclear(desk: Desk, order: Order, found: Match) -> None:
    """Ask people which of several venue orders is ours."""
    ids = ", ".join(row.venue_order_id for row in found.rows)
    text = f"The venue has what may be this order, and may be another one: {ids}. A person says which it is."
    now = desk.clock.now()
    async with desk.books.open() as page:
        page.publish(alert(order.approved, AlertLevel.DANGER, "submission_unclear", text, now, candidates=ids[:500]))


async def _match(desk: Desk, order: Order, listing: Iterable[Listed]) -> Match:
    rows = [row for row in listing if may_be(order, row)]
    if not rows:
        return Match(Verdict.NOTHING)
    rivals = await unmatched(desk)
    return match(order, rivals, rows, await desk.books.owned({row.venue_order_id for row in rows}))


async def _listings(desk: Desk, orders: Iterable[Order]) -> Mapping[str, list[Listed]]:
    return {symbol: await desk.venue.orders(symbol, since) for symbol, since in sorted(listed_from(orders).items())}
