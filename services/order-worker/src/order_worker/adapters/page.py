"""One transaction of the books: orders, and what concerns them alone."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import text

from order_worker.adapters import metrics
from order_worker.adapters.money import MoneyPage
from order_worker.adapters.rows import APPROVED_COLUMNS, ORDER_COLUMNS, STATE_COLUMNS, approved_of, order_of, state_of
from order_worker.domain.order import Order
from sigmax.schemas.base import Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested

_COLUMNS = (*APPROVED_COLUMNS, *STATE_COLUMNS)
_CASTS = {
    "approved": "CAST(:approved AS jsonb)",
    "cancel_wanted": "EXISTS (SELECT FROM cancels_wanted WHERE client_order_id = :client_order_id)",
}
_PLACES = ", ".join(_CASTS.get(column, f":{column}") for column in _COLUMNS)
_ADD = text(
    f"INSERT INTO orders ({', '.join(_COLUMNS)}) VALUES ({_PLACES})"  # noqa: S608 (columns are constants)
    " ON CONFLICT DO NOTHING RETURNING cancel_wanted"
)
_SET = ", ".join(f"{column} = :{column}" for column in STATE_COLUMNS)
_SAVE = text(
    f"""
    UPDATE orders SET {_SET}, updated_at = :now WHERE client_order_id = :client_order_id
    RETURNING EXISTS (SELECT FROM orders o WHERE o.account_id = orders.account_id AND o.submission = 'ready'
                      AND (o.instrument_id = orders.instrument_id OR NOT orders.client_ids))
    """  # noqa: S608 (columns are constants)
)
_BY_CLIENT_ID = text(f"SELECT {ORDER_COLUMNS} FROM orders WHERE client_order_id = :id FOR UPDATE")  # noqa: S608
_EXPIRED = text(
    f"SELECT {ORDER_COLUMNS} FROM orders WHERE account_id = :account_id AND submission = 'ready'"  # noqa: S608
    " AND valid_until < :now ORDER BY order_id LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_TAKE_DUE = text(
    f"""
    UPDATE orders SET look_at = :lease_until WHERE order_id IN (
        SELECT order_id FROM orders
        WHERE account_id = :account_id
          AND (submission = 'sending' AND lease_until < :now OR submission = 'unknown' AND look_at <= :now)
        ORDER BY order_id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING {ORDER_COLUMNS}
    """  # noqa: S608 (columns are constants)
)
_PUT_STAGE = text(
    """
    INSERT INTO stages (scope, scope_id, stage, version, reason, changed_by, told_at)
    VALUES (:scope, :scope_id, :stage, :version, :reason, :changed_by, :told_at)
    ON CONFLICT (scope, scope_id) DO UPDATE SET stage = excluded.stage, version = excluded.version,
        reason = excluded.reason, changed_by = excluded.changed_by, told_at = excluded.told_at
    WHERE excluded.version > stages.version
       OR excluded.version = stages.version AND excluded.told_at >= stages.told_at
    RETURNING scope
    """
)


class Page(MoneyPage):
    """One transaction: what is read and recorded here commits together or not at all."""

    async def first_time(self, message: Message) -> bool:
        """Enter a message in the inbox; False when it was handled before."""
        return await self._unit.first_time(message)

    def publish(self, message: Message) -> None:
        """Tell the others, once this commits."""
        self._unit.publish(message)

    async def add(self, order: Order, now: datetime) -> Order | None:
        """Add an order, and give it, with the wish of a cancel that came before it; None when it is there already."""
        values = {**approved_of(order, now), **state_of(order)}
        row = (await self._connection.execute(_ADD, values)).first()
        return None if row is None else replace(order, cancel_wanted=row.cancel_wanted)

    async def order(self, client_order_id: str) -> Order | None:
        """Give an order, locked."""
        row = (await self._connection.execute(_BY_CLIENT_ID, {"id": client_order_id})).first()
        return None if row is None else order_of(row)

    async def save(self, order: Order, now: datetime) -> bool:
        """Write an order's state; True when another one waits that may be sent after it."""
        values = {**state_of(order), "now": now, "client_order_id": order.client_order_id}
        if order.acked_at == now:  # it is this change that tells of the venue's acceptance
            metrics.approval_to_accepted.observe((now - order.approved.occurred_at).total_seconds())
        return bool((await self._connection.execute(_SAVE, values)).scalar())

    async def expired(self, now: datetime, limit: int) -> list[Order]:
        """Give orders that wait to be sent and may not be any more, locked."""
        values = {"account_id": self._terms.account_id, "now": now, "limit": limit}
        return [order_of(row) for row in await self._connection.execute(_EXPIRED, values)]

    async def take_due(self, now: datetime, lease_until: datetime, limit: int) -> list[Order]:
        """Give orders that the venue is to be asked for, each to one resolver for the length of a lease."""
        values = {"account_id": self._terms.account_id, "now": now, "lease_until": lease_until, "limit": limit}
        return [order_of(row) for row in await self._connection.execute(_TAKE_DUE, values)]

    async def want_cancel(self, request: CancelRequested, now: datetime) -> None:
        """Keep a cancel whose order has not come yet."""
        await self._connection.execute(
            text(
                "INSERT INTO cancels_wanted (client_order_id, requested_by, reason, requested_at)"
                " VALUES (:client_order_id, :requested_by, :reason, :now) ON CONFLICT DO NOTHING"
            ),
            {
                "client_order_id": request.client_order_id,
                "requested_by": request.requested_by,
                "reason": request.reason,
                "now": now,
            },
        )

    async def put_stage(self, message: StageChanged) -> bool:
        """Keep what a scope allows, unless something newer is known; False when it was."""
        values = {
            "scope": str(message.scope),
            "scope_id": message.scope_id,
            "stage": str(message.to_stage),
            "version": message.version,
            "reason": message.reason,
            "changed_by": message.changed_by,
            "told_at": message.occurred_at,
        }
        return (await self._connection.execute(_PUT_STAGE, values)).first() is not None
