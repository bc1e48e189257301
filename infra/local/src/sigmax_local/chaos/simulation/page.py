"""order-worker's transaction in memory: it does what `adapters/page.py` and `adapters/money.py` ask of Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from order_worker.domain.booking import Transaction as Movements
from order_worker.domain.booking import execution_of
from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from order_worker.domain.reconciling import Held
from order_worker.domain.sightings import Trade
from order_worker.domain.terms import Terms
from order_worker.ports import Account, Locked, Movement, Observed, PositionRow, Standing
from sigmax.domain.ledger import Execution, LedgerAccount, Position, imbalance
from sigmax.schemas.base import Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested, CashBalance, Difference
from sigmax.schemas.types import Submission
from sigmax_local.chaos.simulation.server import Transaction

_ZERO = Decimal(0)
_HELD = (LedgerAccount.CASH, LedgerAccount.HOLDING)


@dataclass(frozen=True)
class OrderRow:
    """A row of `orders`: the order, and what only the statements look at."""

    order: Order
    number: int
    lease_until: datetime | None = None


@dataclass(frozen=True)
class AccountRow:
    """The row of `accounts`."""

    account: Account
    is_reconciled: bool = False


@dataclass(frozen=True)
class FillRow:
    """A row of `fills`."""

    client_order_id: str
    instrument_id: str
    trade: Trade


class MemoryPage:
    """One open transaction."""

    def __init__(self, transaction: Transaction, terms: Terms) -> None:
        self._transaction = transaction
        self._terms = terms
        self.letters: list[Message] = []

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

    # orders
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
        """Write an order's state; True when another order of its key waits to be sent."""
        await self._transaction.statement("save order")
        row = await self._locked(order.client_order_id)
        if row is None:
            return False
        kept = row.order  # what only a claim writes
        saved = replace(order, claimed_at=kept.claimed_at, send_deadline=kept.send_deadline)
        # The statement looks at the others as it found them, its own row included.
        is_key_waiting = any(
            each.order.key == order.key and each.order.submission is Submission.READY
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

    # fills, positions, money
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

    # stages
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


def _is_due(row: OrderRow, now: datetime) -> bool:
    order = row.order
    if order.submission is Submission.SENDING:
        return row.lease_until is not None and row.lease_until < now
    look_at = order.looks.next_at
    return order.submission is Submission.UNKNOWN and look_at is not None and look_at <= now


def _is_of(trade: Trade, venue_order_id: str | None, client_order_id: str) -> bool:
    return (venue_order_id is not None and trade.venue_order_id == venue_order_id) or (
        trade.client_order_id == client_order_id
    )
