"""Orders at the venue: what the stream and the polls show of them, and cancels."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from order_worker.domain.booking import counted
from order_worker.domain.order import Order
from order_worker.domain.permission import stage_for
from order_worker.domain.sightings import Sighting, Trade
from order_worker.handlers.booking import News, book
from order_worker.handlers.desk import Desk, change
from order_worker.ports import PagePort, VenueError
from sigmax.domain.orders import VenueWord
from sigmax.schemas.types import Stage, Submission

log = structlog.get_logger()

_POLL_AFTER = timedelta(seconds=3)
"""Younger orders are most likely just being told of by the reply or the stream."""


async def on_sightings(desk: Desk, sightings: Sequence[Sighting], source: str) -> None:
    """Record what the venue shows of our orders; what shows nothing new costs one read."""
    orders = await desk.books.orders_of(sightings)
    for sighting in sightings:
        order = orders.get(sighting.venue_order_id)
        if order is not None and _tells_something(order, sighting):
            async with desk.books.open() as page:
                await book(page, desk, order, sighting, News(source))


async def on_trades(desk: Desk, trades: Sequence[Trade], source: str) -> None:
    """Record trades; one whose order is not known yet is kept until it is."""
    known = await desk.books.known_executions([trade.execution_id for trade in trades])
    by_order: dict[str, list[Trade]] = {}
    for trade in trades:
        if trade.execution_id not in known:
            by_order.setdefault(trade.venue_order_id, []).append(trade)
    sightings = [
        Sighting(venue_order_id, VenueWord(), group[0].client_order_id, group[0].symbol, tuple(group))
        for venue_order_id, group in by_order.items()
    ]
    orders = await desk.books.orders_of(sightings)
    for sighting in sightings:
        order = orders.get(sighting.venue_order_id) or await _owner_of(desk, sighting)
        async with desk.books.open() as page:
            now = desk.clock.now()
            if order is not None:
                await book(page, desk, order, sighting, News(source))
            else:
                for trade in sighting.trades:
                    await page.keep_orphan(trade, now)


async def _owner_of(desk: Desk, sighting: Sighting) -> Order | None:
    """Ask the venue whose order was traded, where the trade itself does not say.

    It may be one that was proven absent, and that filled before any list of open orders showed it.
    """
    if sighting.client_order_id is not None or sighting.symbol is None or not desk.venue.capabilities.client_ids:
        return None
    told = await desk.venue.order(sighting.symbol, sighting.venue_order_id)
    return None if told is None else (await desk.books.orders_of([told])).get(sighting.venue_order_id)


def _tells_something(order: Order, sighting: Sighting) -> bool:
    return (
        order.submission is not Submission.ACKED
        or order.venue_order_id is None
        or bool(sighting.trades)
        or order.word.merge(sighting.word) != order.word
        or (order.misses_fills and sighting.filled_notional is not None)
    )


async def poll(desk: Desk) -> None:
    """Repeat cancels, then ask for what the stream may have missed: orders that changed, fills that the venue counts.

    Cancels come first and for themselves: a venue that answers no question may still heed them.
    """
    now = desk.clock.now()
    wanted = [order for order in await desk.books.unfinished() if _is_due(order, now) and order.needs_cancel]
    await asyncio.gather(*(cancel_at_venue(desk, order) for order in wanted))
    orders = [order for order in await desk.books.unfinished() if _is_due(order, now)]
    if not orders:
        return
    resting = await desk.venue.open_orders({order.symbol for order in orders})
    await on_sightings(desk, resting, "poll")
    resting_ids = {sighting.venue_order_id for sighting in resting}
    for order in orders:
        if order.venue_order_id not in resting_ids:
            await _ask_for(desk, order)
    for order in await desk.books.unfinished():
        if order.submission is Submission.ACKED and order.misses_fills:
            await on_trades(desk, await desk.venue.trades_of(order), "poll")


def _is_due(order: Order, now: datetime) -> bool:
    return order.submission is Submission.ACKED and order.acked_at is not None and now - order.acked_at >= _POLL_AFTER


async def _ask_for(desk: Desk, order: Order) -> None:
    sighting = await desk.venue.find(order)
    if sighting is None:
        log.error("acked_order_not_found", client_order_id=order.client_order_id, venue_order_id=order.venue_order_id)
    else:
        await on_sightings(desk, [sighting], "poll")


async def take_back(page: PagePort, order: Order, reason: str, now: datetime) -> Order:
    """Want the cancel of an order that is not over; one that was not sent yet ends here. Give it as it is then."""
    after = replace(order, cancel_wanted=True)
    if order.submission is Submission.READY:
        after = after.unplaced(f"canceled before it was sent: {reason}")
    elif order.submission is Submission.ACKED:
        after = counted(after, order.filled_quantity, order.average_price)
    return (await change(page, order, after, now)).order


async def cancel_at_venue(desk: Desk, order: Order) -> None:
    """Ask the venue to cancel. What it does not answer is asked again with the next poll."""
    now = desk.clock.now()
    stage, why = stage_for(order.approved, await desk.books.stages(), desk.terms, now)
    if stage is Stage.LOCKED:
        log.warning("cancel_waits", client_order_id=order.client_order_id, reason=why)
        return
    try:
        sighting = await desk.venue.cancel(order) or await desk.venue.find(order)
    except VenueError as error:
        log.warning("cancel_not_answered", client_order_id=order.client_order_id, error=str(error))
        return
    if sighting is not None:
        await on_sightings(desk, [sighting], "cancel")
