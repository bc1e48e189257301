"""The part of the ledger that holds what accounts have been doing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from risk_gate.adapters import fact_statements as statements
from risk_gate.adapters.rows import lists, subject_of
from risk_gate.domain.facts import Latch
from risk_gate.domain.post_trade import ApprovedOrder
from risk_gate.domain.situation import Book, Holding
from risk_gate.ports.facts import AccountBook
from sigmax.runtime.ledgers import Ledger
from sigmax.schemas.orders import VenueHealth
from sigmax.schemas.types import DenialCode, OrderType, Scope, Side

_ASK_AGAIN = timedelta(seconds=10)


class FactLedger(Ledger):
    """Marks, latches, health, and resting entries in one open transaction."""

    async def approved_order(self, client_order_id: str) -> ApprovedOrder | None:
        """Give what was approved under an id, and how much of it has filled so far."""
        row = (await self._session.execute(statements.APPROVED_ORDER, {"client_order_id": client_order_id})).first()
        if row is None:
            return None
        return ApprovedOrder(
            client_order_id=row.client_order_id,
            account_id=row.account_id,
            instrument_id=row.instrument_id,
            side=Side(row.side),
            quantity=row.quantity,
            limit_price=row.limit_price,
            order_type=OrderType(row.order_type),
            filled_quantity=row.filled_quantity,
        )

    async def apply_health(self, health: VenueHealth) -> bool:
        """Note how the venue fares, unless something newer is known; True when another trades there than before."""
        is_another: bool | None = await self._session.scalar(
            statements.HEALTH,
            {
                "account_id": health.account_id,
                "venue": health.venue,
                "is_answering": health.is_answering,
                "failing_since": health.failing_since,
                "recovering_since": health.recovering_since,
                "clock_gap_ms": health.clock_gap_ms,
                "orders_unknown": health.orders_unknown,
                "orders_unclear": health.orders_unclear,
                "mode": health.mode,
                "hosts": list(health.hosts),
                "key_fingerprint": health.key_fingerprint,
                "as_of": health.as_of,
            },
        )
        return bool(is_another)

    async def latch(self, account_id: str, latch: Latch, now: datetime) -> None:
        """Lock something, unless it is locked already."""
        await self._session.execute(
            statements.LATCH,
            {
                "account_id": account_id,
                "scope": latch.scope,
                "scope_id": latch.scope_id,
                "code": latch.code,
                "reason": latch.reason,
                "now": now,
                "expires_at": latch.expires_at,
            },
        )

    async def release(self, scope: Scope, scope_id: str, released_by: str, now: datetime) -> Sequence[Latch]:
        """Take every latch off something, and count its orders anew; of an account, forget its losses."""
        values = {"scope": scope, "scope_id": scope_id, "released_by": released_by, "now": now}
        rows = (await self._session.execute(statements.RELEASE, values)).all()
        if scope is Scope.ACCOUNT:
            await self._session.execute(statements.RESET_ACCOUNT, {"account_id": scope_id})
            await self._session.execute(statements.FORGET_LOSSES, {"account_id": scope_id, "now": now})
        if scope is Scope.STRATEGY:
            await self._session.execute(statements.RESET_STRATEGY, {"subject": subject_of(scope_id)})
        return [_latch(row) for row in rows]

    async def books(self) -> Sequence[AccountBook]:
        """Give every account that was reconciled and passed."""
        rows = await self._session.execute(statements.BOOKS)
        return [
            AccountBook(
                row.account_id,
                row.reconciled_at,
                Book(
                    cash=Decimal(row.cash or 0),
                    holdings={name: Holding(Decimal(quantity)) for name, quantity in lists(row.holdings)},
                ),
            )
            for row in rows
        ]

    async def mark_equity(self, account_id: str, equity: Decimal, now: datetime) -> None:
        """Keep the equity of this minute; the first mark of a minute stands."""
        await self._session.execute(statements.MARK, {"account_id": account_id, "equity": equity, "now": now})

    async def overdue_entries(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Give each resting entry whose time is over, and note that its cancel was asked for."""
        values = {"now": now, "asked_before": now - _ASK_AGAIN}
        rows = await self._session.execute(statements.OVERDUE_ENTRIES, values)
        return [(row.client_order_id, row.account_id) for row in rows]

    async def unasked(self, before: datetime) -> Sequence[UUID]:
        """Settle the decisions, from before a time, on signals that nobody asked about; give the signals' ids."""
        return [row.signal_id for row in await self._session.execute(statements.UNASKED, {"before": before})]

    async def forget_activity(self, before: datetime) -> None:
        """Drop the counts that no window reaches back to."""
        await self._session.execute(statements.FORGET_ACTIVITY, {"before": before})


def _latch(row: Row[Any]) -> Latch:
    return Latch(Scope(row.scope), row.scope_id, DenialCode(row.code), row.reason, row.expires_at)
