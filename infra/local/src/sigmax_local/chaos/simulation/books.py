"""order-worker's books in memory: it does what `adapters/books.py` asks of Postgres."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from order_worker.domain.sightings import Sighting
from order_worker.domain.terms import Terms
from order_worker.ports import Account, Claim, PositionRow
from sigmax.domain.ledger import Position
from sigmax.schemas.base import Message
from sigmax.schemas.types import Submission
from sigmax_local.chaos.simulation.page import MemoryPage
from sigmax_local.chaos.simulation.process import Process
from sigmax_local.chaos.simulation.rows import AccountRow, OrderRow
from sigmax_local.chaos.simulation.server import Server, Transaction

_RECONCILED_AGE_MAX = timedelta(seconds=180)


class MemoryBooks:
    """The books of one account, as one process reaches them."""

    def __init__(
        self, server: Server, process: Process, terms: Terms, on_commit: Callable[[list[Message]], None]
    ) -> None:
        self._server = server
        self._process = process
        self._terms = terms
        self._on_commit = on_commit

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MemoryPage]:
        """Open a transaction."""
        transaction = Transaction(self._server, self._process)
        page = MemoryPage(transaction, self._terms)
        try:
            yield page
            for letter in page.letters:
                transaction.writes.setdefault(("outbox", letter.message_id), (letter, self._server.loop.time()))
            await transaction.commit()
        finally:
            transaction.leave()
        if page.letters:
            self._on_commit(page.letters)

    async def claim(self, key: tuple[str, str], now: datetime, known_ids: frozenset[str] | None = None) -> Claim | None:
        """Claim the next order of a key, and commit. None when there is none, or none may go now."""
        transaction = Transaction(self._server, self._process)
        try:
            await transaction.statement("claim asked")
            claimed = await self._claim(transaction, key, now, known_ids)
            if claimed is None:
                return None
            order = claimed.order
            self._server.apply({("orders", order.client_order_id): claimed})  # one statement, committed by itself
            stages = tuple(stage for stage, _ in self._table("stages").values())
            self._server.claims[order.client_order_id, order.fence] = stages
        finally:
            transaction.abort()
        await self._statement("claim done")
        return Claim(order, stages)

    async def _claim(
        self, transaction: Transaction, key: tuple[str, str], now: datetime, known_ids: frozenset[str] | None
    ) -> OrderRow | None:
        """Find what may go, and take it; what is looked at beside the row is as the statement found it."""
        for row in self._candidates(transaction, now, key):
            if not row.order.client_ids and known_ids is None:
                continue
            await transaction.hold("orders", row.order.client_order_id)
            current: OrderRow = transaction.get("orders", row.order.client_order_id)
            if current.order.submission is not Submission.READY or not _is_time(current.order, now):
                continue
            others = [each.order for each in self._table("orders").values()]
            if any(order.submission is Submission.SENDING for order in _lane(current.order, others)):
                return None  # the unique index: another worker has a request of this key in flight
            order = replace(
                current.order,
                submission=Submission.SENDING,
                fence=current.order.fence + 1,
                claimed_at=now,
                send_deadline=now + self._terms.send,
                known_ids=known_ids or frozenset(),
            )
            return replace(current, order=order, lease_until=now + self._terms.lease)
        return None

    def _candidates(
        self, transaction: Transaction, now: datetime, key: tuple[str, str] | None = None
    ) -> list[OrderRow]:
        """Give what may be claimed, in its turn: of a key, or else of what has no client ids."""
        account = cast("AccountRow", transaction.get("accounts", self._terms.account_id))
        reconciled_at = account.account.reconciled_at
        is_open = account.is_reconciled and account.account.blocked_reason is None
        if not is_open or reconciled_at is None or reconciled_at < now - _RECONCILED_AGE_MAX:
            return []
        rows: list[OrderRow] = [row for _, row in transaction.all("orders")]
        orders = [row.order for row in rows]
        found = []
        for row in sorted(rows, key=_turn):
            order = row.order
            held: PositionRow = transaction.get("positions", order.key[1]) or PositionRow(Position(), None)
            is_asked = order.key == key if key is not None else not order.client_ids
            if is_asked and _may_go(order, _lane(order, orders), held, now, self._terms):
                found.append(row)
        return found

    async def next_key(self, account_id: str, now: datetime) -> tuple[str, str] | None:
        """Give the key of the order that may go next in an account whose venue keeps no client ids."""
        transaction = Transaction(self._server, self._process)
        try:
            await transaction.statement("next key")
            found = self._candidates(transaction, now)
        finally:
            transaction.abort()
        return found[0].order.key if found and found[0].order.key[0] == account_id else None

    async def unmatched(self, claimed_since: datetime) -> list[Order]:
        """Give the orders without client ids that may be at the venue and have no id of its own yet, unlocked."""
        await self._statement("unmatched")
        return [row.order for row in self._rows() if _is_unmatched(row.order, claimed_since)]

    async def ready_keys(self, now: datetime, limit: int) -> Mapping[tuple[str, str], bool]:
        """Give the keys that have an order waiting, and whether one of these is an exit: those first."""
        await self._statement("ready keys")
        found: dict[tuple[str, str], bool] = {}
        for row in sorted(self._rows(), key=lambda row: row.number):
            order = row.order
            if order.submission is Submission.READY and _is_time(order, now):
                found[order.key] = found.get(order.key, False) or order.approved.reduce_only
        return dict(sorted(found.items(), key=lambda each: not each[1])[:limit])

    async def was_handled(self, message: Message) -> bool:
        """Say whether a message is in the inbox."""
        await self._statement("was handled")
        return message.message_id in self._table("inbox")

    async def known_executions(self, execution_ids: Sequence[str]) -> frozenset[str]:
        """Say which of these trades are entered already."""
        if not execution_ids:
            return frozenset()
        await self._statement("known executions")
        return frozenset(self._table("fills")).intersection(execution_ids)

    async def orders_of(self, sightings: Sequence[Sighting]) -> Mapping[str, Order]:
        """Give the orders that these sightings are of, by venue order id, unlocked."""
        if not sightings:
            return {}
        await self._statement("orders of sightings")
        orders = [row.order for row in self._rows()]
        by_venue_id = {order.venue_order_id: order for order in orders if order.venue_order_id}
        by_client_id = {order.client_order_id: order for order in orders}
        found = {}
        for sighting in sightings:
            order = by_venue_id.get(sighting.venue_order_id) or by_client_id.get(sighting.client_order_id or "")
            if order is not None and order.venue_order_id in (None, sighting.venue_order_id):
                found[sighting.venue_order_id] = order
        return found

    async def unfinished(self) -> list[Order]:
        """Give the orders that rest, or may rest, at the venue, unlocked."""
        await self._statement("unfinished")
        return [row.order for row in self._rows() if row.order.is_open and row.order.submission is not Submission.READY]

    async def owned(self, venue_order_ids: Collection[str]) -> frozenset[str]:
        """Say which of these venue orders are ours."""
        await self._statement("owned")
        return frozenset(row.order.venue_order_id or "" for row in self._rows()).intersection(venue_order_ids)

    async def instruments(self) -> frozenset[str]:
        """Give every instrument we ever had an order in."""
        await self._statement("instruments")
        return frozenset(row.order.approved.instrument_id for row in self._rows())

    async def stages(self) -> tuple[StageRow, ...]:
        """Give every stage we were told."""
        await self._statement("stages")
        return tuple(stage for stage, _ in self._table("stages").values())

    async def account(self) -> Account:
        """Give the account's row, unlocked."""
        await self._statement("account")
        row: AccountRow = self._table("accounts")[self._terms.account_id]
        return row.account

    async def checkpoint(self, now: datetime) -> None:
        """Do nothing: sums over a few rows are quick."""

    async def _statement(self, doing: str) -> None:
        """Read, or hear the end of a statement: a session of its own, which sees what is committed."""
        transaction = Transaction(self._server, self._process)
        try:
            await transaction.statement(doing)
        finally:
            transaction.abort()

    def _table(self, table: str) -> dict[Any, Any]:
        return self._server.tables.of(table)

    def _rows(self) -> list[OrderRow]:
        rows: list[OrderRow] = list(self._table("orders").values())
        return [row for row in rows if row.order.approved.account_id == self._terms.account_id]


def _turn(row: OrderRow) -> tuple[bool, int]:
    """Place a row among those of its key: exits first, then the oldest."""
    return not row.order.approved.reduce_only, row.number


def _is_time(order: Order, now: datetime) -> bool:
    return order.not_before is None or order.not_before <= now


def _lane(order: Order, orders: Sequence[Order]) -> list[Order]:
    """Give the orders that it may not be sent beside: of its key, or of its account where either has no client id."""
    return [each for each in orders if each.key == order.key or not (each.client_ids or order.client_ids)]


def _is_unmatched(order: Order, claimed_since: datetime) -> bool:
    if order.client_ids or order.venue_order_id is not None:
        return False
    if order.submission is Submission.ABSENT and order.claimed_at is not None:
        return order.looks.absences > 0 and order.claimed_at >= claimed_since
    return order.submission in (Submission.SENDING, Submission.UNKNOWN)


def _may_go(order: Order, lane: Sequence[Order], held: PositionRow, now: datetime, terms: Terms) -> bool:
    if order.submission is not Submission.READY or not _is_time(order, now):
        return False
    if any(each.submission is Submission.SENDING for each in lane):
        return False
    is_covered = order.approved.reduce_only and order.approved.quantity <= abs(held.position.quantity)
    unknown = [each for each in lane if each.submission is Submission.UNKNOWN]
    return all(is_covered and each.lets_exits_pass(now, terms) for each in unknown)
