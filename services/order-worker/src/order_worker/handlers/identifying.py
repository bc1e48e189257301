"""A person says which of the venue's orders an unknown one is, where nothing else tells them apart."""

import structlog

from order_worker.domain.matching import Listed, listed_from, may_be
from order_worker.domain.order import Order
from order_worker.handlers.booking import News, book
from order_worker.handlers.desk import Desk, change
from order_worker.handlers.sending import send_key
from order_worker.handlers.working import cancel_at_venue
from order_worker.ports import PagePort, VenueError
from sigmax.domain.two_people import second_person_problem
from sigmax.schemas.control import Alert, Command, CommandName
from sigmax.schemas.types import AlertLevel, Scope, Submission

log = structlog.get_logger()

_OPEN_TO_DOUBT = frozenset({Submission.UNKNOWN, Submission.ABSENT})


class _RefusedError(Exception):
    """The command cannot be carried out. The text says why."""


async def on_command(command: Command, desk: Desk) -> None:
    """Take the venue order that two people name as ours, or end an order of which they say that it is none of them.

    What they name has to look like the order and to be nobody's: the people choose, they do not invent.
    """
    ours = (Scope.ACCOUNT, desk.terms.account_id)
    if command.command is not CommandName.IDENTIFY_ORDER or (command.scope, command.subject) != ours:
        return
    client_order_id = command.values.get("client_order_id", "")
    venue_order_id = command.values.get("venue_order_id", "")
    try:
        row = await _shown(desk, client_order_id, venue_order_id) if venue_order_id else None
    except VenueError as error:
        log.warning("identity_not_seen", error=str(error))
        row = None
    async with desk.books.open() as page:
        if not await page.first_time(command):
            return
        try:
            after = await _settle(page, desk, command, row)
        except _RefusedError as refused:
            log.warning("identity_refused", reason=str(refused), requested_by=command.requested_by)
            page.publish(_refusal(command, desk, str(refused)))
            return
    if after.needs_cancel:
        await cancel_at_venue(desk, after)
    await send_key(desk, after.key)


async def _shown(desk: Desk, client_order_id: str, venue_order_id: str) -> Listed | None:
    """Give the row that people name, as the venue lists it now."""
    async with desk.books.open() as page:
        order = await page.order(client_order_id)
    if order is None or order.claimed_at is None:
        return None
    listing = await desk.venue.orders(order.symbol, listed_from([order])[order.symbol])
    return next((row for row in listing if row.venue_order_id == venue_order_id), None)


async def _settle(page: PagePort, desk: Desk, command: Command, row: Listed | None) -> Order:
    now = desk.clock.now()
    if (alone := second_person_problem(command, now)) is not None:
        raise _RefusedError(alone)
    named = command.values.get("venue_order_id", "")
    await page.lock_account()
    order = await page.order(command.values.get("client_order_id", ""))
    if order is None or order.client_ids or order.submission not in _OPEN_TO_DOUBT:
        raise _RefusedError("no order of that client order id is unknown or was proven absent")
    who = f"{command.requested_by} and {command.approved_by} say so"
    if not named and order.submission is Submission.ABSENT:
        return order
    if not named:
        return (await change(page, order, order.unplaced(f"none of the venue's orders is this one: {who}"), now)).order
    if row is None:
        raise _RefusedError(f"the venue does not show order {named}; ask again when it does")
    if not may_be(order, row):
        raise _RefusedError(f"venue order {named} is not what was sent, or was there before")
    if await page.is_owned(row.venue_order_id):
        raise _RefusedError(f"venue order {named} is another order of ours")
    return (await book(page, desk, order, row.sighting, News("person"))).order


def _refusal(command: Command, desk: Desk, why: str) -> Alert:
    return Alert(
        **Alert.after(command, desk.clock.now(), part="identity_refused"),
        producer="order_worker",
        level=AlertLevel.WARNING,
        code="identity_refused",
        subject=desk.terms.account_id,
        text=f"The order stays unknown: {why}."[:2000],
        values={"requested_by": command.requested_by, "command_id": str(command.message_id)},
        dedupe_key=f"identity_refused:{command.message_id}",
    )
