"""Approvals, cancels, and stages: what risk-gate tells us."""

from order_worker.domain.order import Order
from order_worker.domain.permission import GLOBAL
from order_worker.handlers.desk import Desk, change
from order_worker.handlers.sending import send_key
from order_worker.handlers.working import cancel_at_venue, take_back
from sigmax.domain.approval import verify
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested, OrderApproved
from sigmax.schemas.types import Scope


class ForgedApprovalError(Exception):
    """The approval is not what risk-gate signed: it makes no order, and waits among the dead letters."""


async def on_order_approved(approved: OrderApproved, desk: Desk) -> None:
    """Record the order, then send it. Delivered again, it is the row that says what is left to do."""
    if not verify(approved, desk.terms.approval_key):
        raise ForgedApprovalError(approved.client_order_id)
    now = desk.clock.now()
    async with desk.books.open() as page:
        if await page.first_time(approved):
            added = await page.add(Order(approved, client_ids=desk.venue.capabilities.client_ids), now)
            if added is not None:
                page.publish(added.event(now))
                if added.cancel_wanted:
                    await change(page, added, added.unplaced("canceled before it was sent"), now)
                elif approved.account_id != desk.terms.account_id:
                    foreign = f"account {approved.account_id} is not this worker's"
                    await change(page, added, added.unplaced(foreign), now)
    await send_key(desk, (approved.account_id, approved.instrument_id), is_exit=approved.reduce_only)


async def on_cancel_requested(request: CancelRequested, desk: Desk) -> None:
    """Take an order back: before it is sent, in the row; afterwards, at the venue. Repeating it does no harm."""
    now = desk.clock.now()
    async with desk.books.open() as page:
        await page.first_time(request)
        order = await page.order(request.client_order_id)
        if order is None:
            await page.want_cancel(request, now)
            return
        if not order.is_open:
            return
        after = await take_back(page, order, request.reason, now)
    if after.needs_cancel:
        await cancel_at_venue(desk, after)


async def on_stage_changed(message: StageChanged, desk: Desk) -> None:
    """Keep what a scope allows; a person's step up after a block releases the account."""
    async with desk.books.open() as page:
        if not await page.put_stage(message):
            return
        is_step_up = message.to_stage.severity < message.from_stage.severity
        is_ours = (message.scope, message.scope_id) in ((Scope.GLOBAL, GLOBAL), (Scope.ACCOUNT, desk.terms.account_id))
        if is_step_up and is_ours:
            account = await page.lock_account()
            if account.blocked_at is not None and message.occurred_at > account.blocked_at:
                await page.release()
