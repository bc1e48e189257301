"""Takes working orders back on a halt, and when risk-gate has fallen silent: nobody has to ask for it."""

import asyncio

import structlog

from order_worker.domain.permission import unwanted
from order_worker.handlers.desk import Desk, notice
from order_worker.handlers.working import cancel_at_venue, take_back
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()


async def guard(desk: Desk) -> None:
    """Want the cancel of each order that may not rest any more, and ask the venue for it; polls repeat what it misses.

    An order whose submission is unknown is marked as well: it is canceled as soon as it is found.
    """
    now = desk.clock.now()
    stages = await desk.books.stages()
    found = {}
    for order in await desk.books.unfinished():
        reason = unwanted(order, stages, desk.terms, now)
        if reason is not None and not order.cancel_wanted:
            found[order.client_order_id] = reason
    if not found:
        return
    marked = []
    async with desk.books.open() as page:
        for client_order_id, reason in found.items():
            current = await page.order(client_order_id)
            if current is not None and current.is_open and not current.cancel_wanted:
                marked.append(await take_back(page, current, reason, now))
        if marked:
            text = f"{len(marked)} working orders are taken back: {next(iter(found.values()))}"
            page.publish(notice(desk.terms, AlertLevel.DANGER, "orders_taken_back", text, now))
    log.warning("orders_taken_back", orders=len(marked), reasons=sorted(set(found.values())))
    await asyncio.gather(*(cancel_at_venue(desk, order) for order in marked if order.needs_cancel))
