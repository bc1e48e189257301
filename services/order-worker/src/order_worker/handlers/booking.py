"""Takes into the books what the venue shows of an order: its word, its trades, the money, and the position."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from order_worker.domain.booking import (
    breaches,
    cash_after,
    charged,
    counted,
    execution_of,
    fill_of,
    is_late,
    seen,
    transaction_of,
)
from order_worker.domain.growth import growth
from order_worker.domain.order import Order
from order_worker.domain.sightings import Sighting, Trade
from order_worker.domain.terms import Terms
from order_worker.handlers.desk import Changed, Desk, alert, change
from order_worker.ports import Account, Movement, PagePort, PositionRow
from sigmax.domain.ledger import Execution, fold
from sigmax.runtime import tracing
from sigmax.schemas.orders import Difference, PositionChanged, Reconciled
from sigmax.schemas.types import AlertLevel


@dataclass(frozen=True)
class News:
    """Where a sighting comes from: `reply`, `stream`, `poll`, `resolver`, `cancel`, or `reconciliation`."""

    source: str
    sent_at: datetime | None = None
    """When the request left, in the reply to it."""


async def book(page: PagePort, desk: Desk, order: Order, sighting: Sighting, news: News) -> Changed:
    """Record one sighting of an order, in the caller's transaction; the same sighting again changes nothing."""
    approved = order.approved
    with tracing.working("book", approved, client_order_id=approved.client_order_id, source=news.source) as span:
        changed = await _book(page, desk, order, sighting, news)
        tracing.show(span, status=str(changed.order.status))
    return changed


async def _book(page: PagePort, desk: Desk, order: Order, sighting: Sighting, news: News) -> Changed:
    held = await page.lock(order.client_order_id, sighting.venue_order_id)
    # Under the account's lock, so that the times of fills and of reconciliations are in the order they were booked in.
    now = desk.clock.now()
    current = held.order
    after = seen(current, sighting, now)
    if desk.venue.capabilities.execution_ids:
        seen_now = [*sighting.trades, *(await page.adopt_orphans(after) if held.has_orphans else ())]
    else:
        seen_now = [*growth(current, sighting, now)]
    trades = [charged(trade, desk.terms.market) for trade in seen_now]
    fresh = await page.add_fills(after, trades, news.source, now) if trades else []
    if fresh:
        after = await _move(page, desk, held.account, after, fresh)
    else:
        after = counted(after, current.filled_quantity, current.average_price)
    after = replace(after, sent_at=after.sent_at or news.sent_at)
    for trade in fresh:
        if found := breaches(after, trade):
            page.publish(alert(after.approved, AlertLevel.CRITICAL, "fill_beyond_approval", "; ".join(found), now))
    if is_late(current):
        await _raise_alarm(page, desk.terms, held.account, current, now)
    return await change(page, current, after, now)


async def _move(page: PagePort, desk: Desk, account: Account, order: Order, fresh: Sequence[Trade]) -> Order:
    """Book new trades of an order, and give it with the sum of all its fills."""
    now, terms = desk.clock.now(), desk.terms
    standing = await page.standing(order, now)
    instrument_id = order.approved.instrument_id
    executions = sorted((execution_of(order.approved, trade) for trade in fresh), key=lambda each: each.order_key)
    fills = {trade.execution_id: fill_of(order, trade, now) for trade in fresh}
    transactions = tuple(
        transaction_of(each, fills[each.execution_id], terms.market, terms.calendar) for each in executions
    )
    row = await _folded(page, instrument_id, standing.row, executions)
    sequence = account.sequence + 1
    await page.move(instrument_id, Movement(row, transactions, sequence), now)

    for fill in fills.values():
        page.publish(fill)
    page.publish(
        PositionChanged(
            **PositionChanged.after(fills[executions[-1].execution_id], now),
            account_id=order.approved.account_id,
            instrument_id=instrument_id,
            sequence=sequence,
            quantity=row.position.quantity,
            average_price=row.position.average_price,
            realized_pnl=row.position.realized_pnl,
            cash=cash_after(standing.cash, transactions),
        )
    )
    return counted(order, standing.filled_quantity, standing.average_price)


async def _folded(page: PagePort, instrument_id: str, row: PositionRow, executions: Sequence[Execution]) -> PositionRow:
    """Go on from the stored fold when the fills are newer than all in it; else fold every fill anew."""
    last = executions[-1].order_key
    if row.last is not None and executions[0].order_key <= row.last:
        return PositionRow(fold(await page.executions(instrument_id)), max(row.last, last))
    position = row.position
    for execution in executions:
        position = position.after(execution)
    return PositionRow(position, last)


async def _raise_alarm(page: PagePort, terms: Terms, account: Account, order: Order, now: datetime) -> None:
    """Stop the account: the venue has an order that we had proven absent."""
    text = f"The venue has order {order.client_order_id}, which counted as {order.submission}. The account is blocked."
    await page.block(text, now)
    page.publish(alert(order.approved, AlertLevel.CRITICAL, "order_seen_late", text, now))
    page.publish(
        Reconciled(
            **Reconciled.after(order.approved, now, part="seen_late"),
            account_id=terms.account_id,
            venue=terms.venue,
            mode=terms.mode,
            passed=False,
            cash=await page.cash(now),
            positions=await page.positions(),
            sequence=account.sequence,
            differences=(
                Difference(
                    kind="order",
                    subject=order.client_order_id,
                    ours=str(order.submission),
                    venue="accepted",
                    is_dust=False,
                ),
            ),
            as_of=now,
        )
    )
