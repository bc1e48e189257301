"""order-worker's transaction in memory: it does what `adapters/page.py` asks of Postgres."""

from dataclasses import replace
from datetime import datetime

from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from sigmax.schemas.base import Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested
from sigmax.schemas.types import Submission
from sigmax_local.chaos.simulation.money import MemoryMoney
from sigmax_local.chaos.simulation.rows import OrderRow


class MemoryPage(MemoryMoney):
    """One open transaction."""

    async def first_time(self, message: Message) -> bool:
        """Enter a message in the inbox; False when it was handled before."""
        await self._transaction.statement("inbox")
        await self._transaction.hold("inbox", message.message_id)
        if self._transaction.get("inbox", message.message_id) is not None:
            return False
        self._transaction.put("inbox", message.message_id, message.TOPIC)
        return True

    def publish(self, message: Message) -> None:
        """Tell the others, once this commits."""
        self.letters.append(message)

    async def add(self, order: Order, now: datetime) -> Order | None:  # noqa: ARG002 (the port's)
        """Add an order; None when it is there already."""
        transaction, client_order_id = self._transaction, order.client_order_id
        await transaction.statement("add order")
        for table, key in (("orders", client_order_id), ("signals", order.approved.signal_id)):
            await transaction.hold(table, key)
            if transaction.get(table, key) is not None:
                return None
        added = replace(order, cancel_wanted=transaction.get("cancels", client_order_id) is not None)
        transaction.put("signals", order.approved.signal_id, client_order_id)
        transaction.put("orders", client_order_id, OrderRow(added, transaction.server.next("orders")))
        return added

    async def order(self, client_order_id: str) -> Order | None:
        """Give an order, locked."""
        await self._transaction.statement("lock order")
        row = await self._locked(client_order_id)
        return None if row is None else row.order

    async def save(self, order: Order, now: datetime) -> bool:  # noqa: ARG002 (the port's)
        """Write an order's state; True when another one waits that may be sent after it."""
        await self._transaction.statement("save order")
        row = await self._locked(order.client_order_id)
        if row is None:
            return False
        kept = row.order  # what only a claim writes
        saved = replace(order, claimed_at=kept.claimed_at, send_deadline=kept.send_deadline, known_ids=kept.known_ids)
        # The statement looks at the others as it found them, its own row included.
        is_key_waiting = any(
            each.order.submission is Submission.READY and (each.order.key == order.key or not order.client_ids)
            for _, each in self._transaction.all("orders")
        )
        self._transaction.put("orders", order.client_order_id, replace(row, order=saved))
        return is_key_waiting

    async def expired(self, now: datetime, limit: int) -> list[Order]:
        """Give orders that wait to be sent and may not be any more, locked."""
        await self._transaction.statement("find expired")
        found: list[Order] = []
        for key, row in self._transaction.all("orders"):
            is_late = row.order.submission is Submission.READY and row.order.approved.valid_until < now
            if is_late and len(found) < limit and self._transaction.is_free("orders", key):
                await self._transaction.hold("orders", key)
                found.append(row.order)
        return found

    async def take_due(self, now: datetime, lease_until: datetime, limit: int) -> list[Order]:
        """Give orders that the venue is to be asked for, each to one resolver for the length of a lease."""
        await self._transaction.statement("take due")
        found: list[Order] = []
        for key, row in sorted(self._transaction.all("orders"), key=lambda each: each[1].number):
            if _is_due(row, now) and len(found) < limit and self._transaction.is_free("orders", key):
                await self._transaction.hold("orders", key)
                order = replace(row.order, looks=replace(row.order.looks, next_at=lease_until))
                self._transaction.put("orders", key, replace(row, order=order))
                found.append(order)
        return found

    async def want_cancel(self, request: CancelRequested, now: datetime) -> None:
        """Keep a cancel whose order has not come yet."""
        await self._transaction.statement("want cancel")
        await self._transaction.hold("cancels", request.client_order_id)
        if self._transaction.get("cancels", request.client_order_id) is None:
            self._transaction.put("cancels", request.client_order_id, now)

    async def put_stage(self, message: StageChanged) -> bool:
        """Keep what a scope allows, unless something newer is known; False when it was."""
        key = (str(message.scope), message.scope_id)
        await self._transaction.statement("put stage")
        await self._transaction.hold("stages", key)
        known = self._transaction.get("stages", key)
        told = (message.version, message.occurred_at)
        if known is not None and told < (known[1], known[0].told_at):
            return False
        row = StageRow(message.scope, message.scope_id, message.to_stage, message.occurred_at)
        self._transaction.put("stages", key, (row, message.version))
        return True


def _is_due(row: OrderRow, now: datetime) -> bool:
    order = row.order
    if order.submission is Submission.SENDING:
        return row.lease_until is not None and row.lease_until < now
    look_at = order.looks.next_at
    return order.submission is Submission.UNKNOWN and look_at is not None and look_at <= now
