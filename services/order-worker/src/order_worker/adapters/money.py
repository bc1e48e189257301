"""One transaction of the books: positions, the ledger, and comparisons with the venue."""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from order_worker.adapters.fills import FillsPage
from order_worker.adapters.rows import ORDER_COLUMNS, order_of
from order_worker.domain.booking import Transaction
from order_worker.domain.order import Order
from order_worker.domain.reconciling import NOTHING, Held
from order_worker.ports import Account, Locked, Movement, Observed, PositionRow, Standing
from sigmax.domain.ledger import Position, imbalance
from sigmax.schemas.orders import CashBalance, Difference

_LOCK = text(
    "SELECT sequence, blocked_reason, blocked_at, reconciled_at FROM accounts WHERE account_id = :account_id FOR UPDATE"
)
_INSERT_ENTRIES = """
    INSERT INTO ledger_entries (transaction_id, account_id, ledger_account, asset, amount, settles_at, reason,
        execution_id, executed_at, created_at)
    SELECT t.transaction_id, :account_id, t.ledger_account, t.asset, t.amount, t.settles_at, t.reason,
        NULLIF(t.execution_id, ''), t.executed_at, :now
    FROM unnest(CAST(:transaction_ids AS uuid[]), CAST(:accounts AS text[]), CAST(:assets AS text[]),
        CAST(:amounts AS numeric[]), CAST(:settles AS timestamptz[]), CAST(:reasons AS text[]),
        CAST(:execution_ids AS text[]), CAST(:executed AS timestamptz[]))
        AS t (transaction_id, ledger_account, asset, amount, settles_at, reason, execution_id, executed_at)
"""
_ADD_ENTRIES = text(_INSERT_ENTRIES)
_MOVE = text(
    f"""
    WITH booked AS ({_INSERT_ENTRIES}),
    counted AS (UPDATE accounts SET sequence = :sequence WHERE account_id = :account_id)
    INSERT INTO positions (account_id, instrument_id, quantity, average_price, realized_pnl, last_executed_at,
        last_execution_id, updated_at)
    VALUES (:account_id, :instrument_id, :quantity, :average_price, :realized_pnl, :last_at, :last_id, :now)
    ON CONFLICT (account_id, instrument_id) DO UPDATE SET quantity = excluded.quantity,
        average_price = excluded.average_price, realized_pnl = excluded.realized_pnl,
        last_executed_at = excluded.last_executed_at, last_execution_id = excluded.last_execution_id,
        updated_at = excluded.updated_at
    """  # noqa: S608 (the statement is a constant)
)
_ENTRIES = """
        SELECT ledger_account, asset, amount, CAST('-infinity' AS timestamptz) AS settles_at, NULL AS traded_at
        FROM ledger_checkpoints
        WHERE account_id = :account_id
        UNION ALL
        SELECT ledger_account, asset, amount, settles_at,
            CASE WHEN execution_id IS NOT NULL THEN coalesce(executed_at, settles_at) END FROM ledger_entries
        WHERE account_id = :account_id AND entry_id > COALESCE(
            (SELECT max(up_to_entry_id) FROM ledger_checkpoints WHERE account_id = :account_id), 0)
"""
# What goes out is gone at once: it is owed, whenever it settles.
_SUMS = f"""
    SELECT asset, sum(amount) AS amount,
        COALESCE(sum(amount) FILTER (WHERE settles_at <= :now OR amount < 0), 0) AS settled
    FROM ({_ENTRIES}) AS entries WHERE ledger_account = 'cash' GROUP BY asset
"""  # noqa: S608 (the statement is a constant)
_STANDING = text(
    f"""
    SELECT f.filled, f.notional, p.*, (
        SELECT json_agg(json_build_array(c.asset, c.amount::text, c.settled::text))::text
        FROM ({_SUMS}) AS c) AS cash
    FROM (SELECT COALESCE(sum(quantity), 0) AS filled, sum(price * quantity) AS notional FROM fills
          WHERE client_order_id = :client_order_id) AS f
    LEFT JOIN positions p ON p.account_id = :account_id AND p.instrument_id = :instrument_id
    """  # noqa: S608 (the statement is a constant)
)
# The account's row is locked inside the scan, the order's on top of it: always in this turn.
_LOCK_BOTH = text(
    f"""
    WITH held AS MATERIALIZED (
        SELECT account_id AS held_id, sequence AS account_sequence, blocked_reason, blocked_at, reconciled_at
        FROM accounts WHERE account_id = :account_id FOR UPDATE)
    SELECT {ORDER_COLUMNS}, held.*, EXISTS (
        SELECT FROM orphan_fills o WHERE o.account_id = :account_id
        AND (o.venue_order_id = :venue_order_id OR o.client_order_id = :client_order_id)) AS has_orphans
    FROM held JOIN orders ON orders.account_id = held.held_id AND orders.client_order_id = :client_order_id
    FOR UPDATE OF orders
    """  # noqa: S608 (columns are constants)
)
_CASH = text(_SUMS)
_BALANCES = text(
    f"""
    SELECT asset, sum(amount) AS total,
        COALESCE(sum(amount) FILTER (WHERE amount > 0 AND traded_at >= :recent_from), 0) AS recent_in,
        COALESCE(sum(amount) FILTER (WHERE amount < 0 AND traded_at >= :recent_from), 0) AS recent_out
    FROM ({_ENTRIES}) AS entries WHERE ledger_account IN ('cash', 'holding') GROUP BY asset
    """  # noqa: S608 (the statement is a constant)
)
_RECONCILED = text("UPDATE accounts SET is_reconciled = :passed, reconciled_at = :now WHERE account_id = :account_id")


class MoneyPage(FillsPage):
    """The part of a transaction that moves money."""

    async def lock_account(self) -> Account:
        """Give the account's row, locked: whoever changes money or positions holds it first."""
        row = (await self._connection.execute(_LOCK, {"account_id": self._terms.account_id})).one()
        return Account(row.sequence, row.blocked_reason, row.blocked_at, row.reconciled_at)

    async def lock(self, client_order_id: str, venue_order_id: str) -> Locked:
        """Give the account and the order, locked in this turn. Raises `LookupError` for an order that is gone."""
        values = {
            "account_id": self._terms.account_id,
            "client_order_id": client_order_id,
            "venue_order_id": venue_order_id,
        }
        row = (await self._connection.execute(_LOCK_BOTH, values)).first()
        if row is None:
            raise LookupError(f"order {client_order_id} was there and is gone")
        account = Account(row.account_sequence, row.blocked_reason, row.blocked_at, row.reconciled_at)
        return Locked(account, order_of(row), row.has_orphans)

    async def is_owned(self, venue_order_id: str) -> bool:
        """Say whether a venue order is ours by now; asked with the account's row locked, it stays so."""
        query = "SELECT EXISTS (SELECT FROM orders WHERE account_id = :account_id AND venue_order_id = :id)"
        values = {"account_id": self._terms.account_id, "id": venue_order_id}
        return bool((await self._connection.execute(text(query), values)).scalar())

    async def block(self, reason: str, now: datetime) -> None:
        """Stop all sends of the account until a person releases it."""
        await self._connection.execute(
            text("UPDATE accounts SET blocked_reason = :reason, blocked_at = :now WHERE account_id = :account_id"),
            {"account_id": self._terms.account_id, "reason": reason, "now": now},
        )

    async def release(self) -> None:
        """Let the account send again."""
        await self._connection.execute(
            text("UPDATE accounts SET blocked_reason = NULL, blocked_at = NULL WHERE account_id = :account_id"),
            {"account_id": self._terms.account_id},
        )

    async def standing(self, order: Order, now: datetime) -> Standing:
        """Sum the order's fills and the account's money, and give the position as it was last folded."""
        values = {
            "account_id": self._terms.account_id,
            "instrument_id": order.approved.instrument_id,
            "client_order_id": order.client_order_id,
            "now": now,
        }
        row = (await self._connection.execute(_STANDING, values)).one()
        held = PositionRow(Position(), None)
        if row.last_executed_at is not None:
            position = Position(row.quantity, row.average_price, row.realized_pnl)
            held = PositionRow(position, (row.last_executed_at, row.last_execution_id))
        return Standing(
            filled_quantity=row.filled,
            average_price=row.notional / row.filled if row.filled else None,
            row=held,
            cash={
                asset: CashBalance(total=Decimal(total), settled=Decimal(settled))
                for asset, total, settled in json.loads(row.cash or "[]")
            },
        )

    async def move(self, instrument_id: str, movement: Movement, now: datetime) -> None:
        """Write a position, its ledger transactions, and the account's sequence, in one step."""
        position = movement.row.position
        last_at, last_id = movement.row.last or (now, "")
        values = {
            **self._lines(movement.transactions, now),
            "sequence": movement.sequence,
            "instrument_id": instrument_id,
            "quantity": position.quantity,
            "average_price": position.average_price,
            "realized_pnl": position.realized_pnl,
            "last_at": last_at,
            "last_id": last_id,
        }
        await self._connection.execute(_MOVE, values)

    async def add_transactions(self, transactions: Sequence[Transaction], now: datetime) -> None:
        """Append to the ledger. Raises `ValueError` unless each transaction sums to zero per asset."""
        await self._connection.execute(_ADD_ENTRIES, self._lines(transactions, now))

    def _lines(self, transactions: Sequence[Transaction], now: datetime) -> dict[str, Any]:
        for transaction in transactions:
            if off := imbalance(transaction.entries):
                raise ValueError(f"transaction {transaction.transaction_id} does not sum to zero: {off}")
        lines = [(transaction, entry) for transaction in transactions for entry in transaction.entries]
        return {
            "account_id": self._terms.account_id,
            "now": now,
            "transaction_ids": [transaction.transaction_id for transaction, _ in lines],
            "accounts": [str(entry.account) for _, entry in lines],
            "assets": [entry.asset for _, entry in lines],
            "amounts": [entry.amount for _, entry in lines],
            "settles": [transaction.settles_at for transaction, _ in lines],
            "reasons": [transaction.reason for transaction, _ in lines],
            "execution_ids": [transaction.execution_id or "" for transaction, _ in lines],
            "executed": [transaction.executed_at for transaction, _ in lines],
        }

    async def cash(self, now: datetime) -> dict[str, CashBalance]:
        """Sum the money by asset."""
        rows = await self._connection.execute(_CASH, {"account_id": self._terms.account_id, "now": now})
        return {row.asset: CashBalance(total=row.amount, settled=row.settled) for row in rows}

    async def balances(self, recent_from: datetime) -> dict[str, Held]:
        """Sum money and holdings together, by asset, and apart what trades moved from a time on."""
        values = {"account_id": self._terms.account_id, "recent_from": recent_from}
        rows = await self._connection.execute(_BALANCES, values)
        return {row.asset: Held(row.total, row.recent_in, row.recent_out) for row in rows}

    async def met_assets(self) -> frozenset[str]:
        """Give the assets that the books have opened with."""
        query = text(
            "SELECT DISTINCT asset FROM ledger_entries WHERE account_id = :account_id AND ledger_account = 'opening'"
        )
        rows = await self._connection.execute(query, {"account_id": self._terms.account_id})
        return frozenset(row.asset for row in rows)

    async def positions(self) -> dict[str, Decimal]:
        """Give what is held, by instrument."""
        query = text("SELECT instrument_id, quantity FROM positions WHERE account_id = :account_id")
        rows = await self._connection.execute(query, {"account_id": self._terms.account_id})
        return {row.instrument_id: row.quantity for row in rows}

    async def add_reconciliation(
        self, *, passed: bool, differences: Sequence[Difference], now: datetime, observed: Observed | None = None
    ) -> None:
        """Keep the result of a reconciliation, what was compared, and whether the account may send.

        The caller holds the account's row: no entry is on its way, and the newest says of what the sums are.
        """
        account_id = self._terms.account_id
        balances = None if observed is None else json.dumps(await self._compared(observed))
        listed = json.dumps([difference.model_dump(mode="json") for difference in differences])
        await self._connection.execute(
            text(
                "INSERT INTO reconciliations (account_id, passed, differences, balances, up_to_entry_id, created_at)"
                " VALUES (:account_id, :passed, CAST(:listed AS jsonb), CAST(:balances AS jsonb),"
                " (SELECT max(entry_id) FROM ledger_entries WHERE account_id = :account_id), :now)"
            ),
            {"account_id": account_id, "passed": passed, "listed": listed, "balances": balances, "now": now},
        )
        await self._connection.execute(_RECONCILED, {"account_id": account_id, "passed": passed, "now": now})

    async def _compared(self, observed: Observed) -> dict[str, Any]:
        ours = await self.balances(observed.recent_from)
        return {
            "recent_from": observed.recent_from.isoformat(),
            "assets": {
                asset: {"ours": str(ours.get(asset, NOTHING).total), "venue": str(amount)}
                for asset, amount in sorted(observed.venue.items())
            },
        }
