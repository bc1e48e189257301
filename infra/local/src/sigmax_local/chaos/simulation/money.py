"""The part of a transaction in memory that moves money: it does what `adapters/money.py` asks of Postgres."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from order_worker.domain.booking import Transaction as Movements
from order_worker.domain.booking import execution_of
from order_worker.domain.order import Order
from order_worker.domain.reconciling import Held
from order_worker.domain.sightings import Trade
from order_worker.domain.terms import Terms
from order_worker.ports import Account, Locked, Movement, Observed, PositionRow, Standing
from sigmax.domain.ledger import Execution, LedgerAccount, Position, imbalance
from sigmax.schemas.base import Message
from sigmax.schemas.orders import CashBalance, Difference
from sigmax_local.chaos.simulation.rows import AccountRow, FillRow, OrderRow
from sigmax_local.chaos.simulation.server import Transaction

_ZERO = Decimal(0)
_HELD = (LedgerAccount.CASH, LedgerAccount.HOLDING)


class MemoryMoney:
    """Fills, positions, and the ledger of one open transaction."""

    def __init__(self, transaction: Transaction, terms: Terms) -> None:
        self._transaction = transaction
        self._terms = terms
        self.letters: list[Message] = []

    async def lock_account(self) -> Account:
        """Give the account's row, locked."""
        await self._transaction.statement("lock account")
        return (await self._account()).account

    async def lock(self, client_order_id: str, venue_order_id: str) -> Locked:
        """Give the account and the order, locked in this turn. Raises `LookupError` for an order that is gone."""
        await self._transaction.statement("lock account and order")
        account = (await self._account()).account
        row = await self._locked(client_order_id)
        if row is None:
            raise LookupError(f"order {client_order_id} was there and is gone")
        has_orphans = any(
            _is_of(trade, venue_order_id, client_order_id) for _, trade in self._transaction.all("orphans")
        )
        return Locked(account, row.order, has_orphans)

    async def is_owned(self, venue_order_id: str) -> bool:
        """Say whether a venue order is ours by now; asked with the account's row locked, it stays so."""
        await self._transaction.statement("who owns it")
        return any(row.order.venue_order_id == venue_order_id for _, row in self._transaction.all("orders"))

    async def block(self, reason: str, now: datetime) -> None:
        """Stop all sends of the account until a person releases it."""
        await self._change_account("block account", blocked_reason=reason, blocked_at=now)

    async def release(self) -> None:
        """Let the account send again."""
        await self._change_account("release account", blocked_reason=None, blocked_at=None)

    async def add_fills(self, order: Order, trades: Sequence[Trade], source: str, now: datetime) -> list[Trade]:  # noqa: ARG002
        """Enter trades, and give those that were not there."""
        transaction, approved = self._transaction, order.approved
        await transaction.statement("add fills")
        fresh = []
        for trade in trades:
            await transaction.hold("fills", trade.execution_id)
            if transaction.get("fills", trade.execution_id) is None:
                row = FillRow(approved.client_order_id, approved.instrument_id, trade)
                transaction.put("fills", trade.execution_id, row)
                fresh.append(trade)
        return fresh

    async def keep_orphan(self, trade: Trade, now: datetime) -> None:  # noqa: ARG002 (the port's)
        """Keep a trade whose order is not known yet."""
        await self._transaction.statement("keep orphan")
        await self._transaction.hold("orphans", trade.execution_id)
        if self._transaction.get("orphans", trade.execution_id) is None:
            self._transaction.put("orphans", trade.execution_id, trade)

    async def adopt_orphans(self, order: Order) -> list[Trade]:
        """Take out the kept trades that are this order's."""
        await self._transaction.statement("adopt orphans")
        adopted = []
        for key, trade in self._transaction.all("orphans"):
            if _is_of(trade, order.venue_order_id, order.client_order_id):
                await self._transaction.hold("orphans", key)
                if self._transaction.get("orphans", key) is not None:
                    self._transaction.put("orphans", key, None)
                    adopted.append(trade)
        return adopted

    async def standing(self, order: Order, now: datetime) -> Standing:
        """Sum the order's fills and the account's money, and give the position as it was last folded."""
        await self._transaction.statement("sum fills")
        rows = [row for _, row in self._transaction.all("fills") if row.client_order_id == order.client_order_id]
        filled = sum((row.trade.quantity for row in rows), _ZERO)
        notional = sum((row.trade.quantity * row.trade.price for row in rows), _ZERO)
        held = self._transaction.get("positions", order.approved.instrument_id) or PositionRow(Position(), None)
        return Standing(filled, notional / filled if filled else None, held, self._cash(now))

    async def executions(self, instrument_id: str) -> list[Execution]:
        """Give every fill of an instrument, to fold them anew."""
        await self._transaction.statement("read fills")
        return [
            execution_of(self._transaction.get("orders", row.client_order_id).order.approved, row.trade)
            for _, row in self._transaction.all("fills")
            if row.instrument_id == instrument_id
        ]

    async def move(self, instrument_id: str, movement: Movement, now: datetime) -> None:  # noqa: ARG002 (the port's)
        """Write a position, its ledger transactions, and the account's sequence, in one step."""
        await self._transaction.statement("move position")
        self._enter(movement.transactions)
        row = await self._account()
        account = replace(row.account, sequence=movement.sequence)
        self._transaction.put("accounts", self._terms.account_id, replace(row, account=account))
        await self._transaction.hold("positions", instrument_id)
        self._transaction.put("positions", instrument_id, movement.row)

    async def add_transactions(self, transactions: Sequence[Movements], now: datetime) -> None:  # noqa: ARG002
        """Append to the ledger. Raises `ValueError` unless each transaction sums to zero per asset."""
        await self._transaction.statement("append to ledger")
        self._enter(transactions)

    async def cash(self, now: datetime) -> dict[str, CashBalance]:
        """Sum the money by asset."""
        await self._transaction.statement("sum cash")
        return self._cash(now)

    async def balances(self, recent_from: datetime) -> dict[str, Held]:
        """Sum money and holdings together, by asset, and apart what trades moved from a time on."""
        await self._transaction.statement("sum balances")
        held: dict[str, Held] = {}
        for _, movement in self._transaction.all("ledger"):
            is_recent = movement.execution_id is not None and movement.moved_at >= recent_from
            for entry in movement.entries:
                if entry.account in _HELD:
                    had = held.get(entry.asset, Held(_ZERO))
                    came = entry.amount if is_recent else _ZERO
                    held[entry.asset] = Held(
                        had.total + entry.amount, had.recent_in + max(came, _ZERO), had.recent_out + min(came, _ZERO)
                    )
        return held

    async def met_assets(self) -> frozenset[str]:
        """Give the assets that the books have opened with."""
        await self._transaction.statement("met assets")
        return frozenset(
            entry.asset
            for _, movement in self._transaction.all("ledger")
            for entry in movement.entries
            if entry.account is LedgerAccount.OPENING
        )

    async def positions(self) -> dict[str, Decimal]:
        """Give what is held, by instrument."""
        await self._transaction.statement("read positions")
        return {key: row.position.quantity for key, row in self._transaction.all("positions")}

    async def add_reconciliation(
        self,
        *,
        passed: bool,
        differences: Sequence[Difference],
        now: datetime,
        observed: Observed | None = None,  # noqa: ARG002 (kept for people to read)
    ) -> None:
        """Keep the result of a reconciliation, and whether the account may send."""
        transaction = self._transaction
        await transaction.statement("add reconciliation")
        transaction.put("reconciliations", transaction.server.next("reconciliations"), (passed, tuple(differences)))
        row = await self._account()
        account = replace(row.account, reconciled_at=now)
        transaction.put("accounts", self._terms.account_id, AccountRow(account, passed))

    async def _locked(self, client_order_id: str) -> OrderRow | None:
        if self._transaction.get("orders", client_order_id) is None:
            return None
        await self._transaction.hold("orders", client_order_id)
        row: OrderRow | None = self._transaction.get("orders", client_order_id)
        return row

    async def _account(self) -> AccountRow:
        await self._transaction.hold("accounts", self._terms.account_id)
        row: AccountRow = self._transaction.get("accounts", self._terms.account_id)
        return row

    async def _change_account(self, doing: str, **changes: object) -> None:
        await self._transaction.statement(doing)
        row = await self._account()
        account = replace(row.account, **changes)  # type: ignore[arg-type]
        self._transaction.put("accounts", self._terms.account_id, replace(row, account=account))

    def _enter(self, movements: Sequence[Movements]) -> None:
        for movement in movements:
            if off := imbalance(movement.entries):
                raise ValueError(f"transaction {movement.transaction_id} does not sum to zero: {off}")
            self._transaction.put("ledger", self._transaction.server.next("ledger"), movement)

    def _cash(self, now: datetime) -> dict[str, CashBalance]:
        totals: dict[str, Decimal] = {}
        settled: dict[str, Decimal] = {}
        for _, movement in self._transaction.all("ledger"):
            for entry in movement.entries:
                if entry.account is LedgerAccount.CASH:
                    totals[entry.asset] = totals.get(entry.asset, _ZERO) + entry.amount
                    if movement.settles_at <= now or entry.amount < 0:
                        settled[entry.asset] = settled.get(entry.asset, _ZERO) + entry.amount
        return {asset: CashBalance(total=total, settled=settled.get(asset, _ZERO)) for asset, total in totals.items()}


def _is_of(trade: Trade, venue_order_id: str | None, client_order_id: str) -> bool:
    return (venue_order_id is not None and trade.venue_order_id == venue_order_id) or (
        trade.client_order_id == client_order_id
    )
