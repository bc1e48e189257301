"""The world in memory: books with transactions, a venue with a script, a clock that is moved by hand."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from order_worker_builders import NOW, TERMS, a_trade, stages

from order_worker.domain.booking import Transaction, cash_after, execution_of
from order_worker.domain.budget import Kind, Told
from order_worker.domain.health import Health
from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from order_worker.domain.reconciling import Held
from order_worker.domain.sightings import Answer, Capabilities, Outcome, Sighting, Trade
from order_worker.handlers.desk import Desk
from order_worker.ports import (
    Account,
    BudgetUnreadableError,
    Claim,
    Locked,
    Movement,
    Observed,
    PositionRow,
    Standing,
    VenueError,
)
from sigmax.domain.ledger import Execution, LedgerAccount, Position, imbalance
from sigmax.domain.orders import VenueWord
from sigmax.schemas.base import Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.market import Instrument
from sigmax.schemas.orders import CancelRequested, CashBalance, Difference
from sigmax.schemas.types import OrderStatus, Submission

HELD = frozenset({LedgerAccount.CASH, LedgerAccount.HOLDING})


class FakeClock:
    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def now_ns(self) -> int:
        return int(self.at.timestamp() * 1e9)

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Store:
    """What is committed."""

    orders: dict[str, Order] = field(default_factory=dict)
    leases: dict[str, datetime] = field(default_factory=dict)
    fills: dict[str, tuple[str, Trade]] = field(default_factory=dict)
    orphans: dict[str, Trade] = field(default_factory=dict)
    transactions: dict[UUID, Transaction] = field(default_factory=dict)
    positions: dict[str, PositionRow] = field(default_factory=dict)
    stages: tuple[StageRow, ...] = field(default_factory=lambda: tuple(stages()))
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    cancels: set[str] = field(default_factory=set)
    inbox: set[UUID] = field(default_factory=set)
    published: list[Message] = field(default_factory=list)
    account: Account = field(default_factory=lambda: Account(0, reconciled_at=NOW))
    is_reconciled: bool = True
    reconciliations: list[tuple[bool, tuple[Difference, ...]]] = field(default_factory=list)


class FakePage:
    """A transaction over a copy."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def first_time(self, message: Message) -> bool:
        is_new = message.message_id not in self.store.inbox
        self.store.inbox.add(message.message_id)
        return is_new

    def publish(self, message: Message) -> None:
        self.store.published.append(message)

    async def add(self, order: Order, now: datetime) -> Order | None:
        if order.client_order_id in self.store.orders:
            return None
        added = replace(order, cancel_wanted=order.client_order_id in self.store.cancels)
        self.store.orders[order.client_order_id] = added
        return added

    async def order(self, client_order_id: str) -> Order | None:
        return self.store.orders.get(client_order_id)

    async def save(self, order: Order, now: datetime) -> bool:
        self.store.orders[order.client_order_id] = order
        waiting = [each for each in self.store.orders.values() if each.submission is Submission.READY]
        return any(each.key == order.key or not order.client_ids for each in waiting)

    async def expired(self, now: datetime, limit: int) -> list[Order]:
        waiting = [each for each in self.store.orders.values() if each.submission is Submission.READY]
        return [each for each in waiting if each.approved.valid_until < now][:limit]

    async def take_due(self, now: datetime, lease_until: datetime, limit: int) -> list[Order]:
        due = []
        for order in self.store.orders.values():
            is_lost = order.submission is Submission.SENDING and self.store.leases[order.client_order_id] < now
            look_at = order.looks.next_at
            is_unknown = order.submission is Submission.UNKNOWN and look_at is not None and look_at <= now
            if is_lost or is_unknown:
                due.append(replace(order, looks=replace(order.looks, next_at=lease_until)))
        for order in due:
            self.store.orders[order.client_order_id] = order
        return due[:limit]

    async def want_cancel(self, request: CancelRequested, now: datetime) -> None:
        self.store.cancels.add(request.client_order_id)

    async def lock_account(self) -> Account:
        return self.store.account

    async def lock(self, client_order_id: str, venue_order_id: str) -> Locked:
        orphans = [
            each
            for each in self.store.orphans.values()
            if venue_order_id == each.venue_order_id or client_order_id == each.client_order_id
        ]
        return Locked(self.store.account, self.store.orders[client_order_id], bool(orphans))

    async def is_owned(self, venue_order_id: str) -> bool:
        return any(each.venue_order_id == venue_order_id for each in self.store.orders.values())

    async def block(self, reason: str, now: datetime) -> None:
        self.store.account = replace(self.store.account, blocked_reason=reason, blocked_at=now)

    async def release(self) -> None:
        self.store.account = replace(self.store.account, blocked_reason=None, blocked_at=None)

    async def add_fills(self, order: Order, trades: Sequence[Trade], source: str, now: datetime) -> list[Trade]:
        fresh = {each.execution_id: each for each in trades if each.execution_id not in self.store.fills}
        self.store.fills |= {key: (order.client_order_id, trade) for key, trade in fresh.items()}
        return list(fresh.values())

    async def keep_orphan(self, trade: Trade, now: datetime) -> None:
        self.store.orphans.setdefault(trade.execution_id, trade)

    async def adopt_orphans(self, order: Order) -> list[Trade]:
        mine = [
            each
            for each in self.store.orphans.values()
            if order.venue_order_id == each.venue_order_id or order.client_order_id == each.client_order_id
        ]
        for each in mine:
            del self.store.orphans[each.execution_id]
        return mine

    async def standing(self, order: Order, now: datetime) -> Standing:
        mine = [trade for owner, trade in self.store.fills.values() if owner == order.client_order_id]
        filled = sum((trade.quantity for trade in mine), Decimal(0))
        notional = sum((trade.quantity * trade.price for trade in mine), Decimal(0))
        row = self.store.positions.get(order.approved.instrument_id, PositionRow(Position(), None))
        return Standing(filled, notional / filled if filled else None, row, await self.cash(now))

    async def executions(self, instrument_id: str) -> list[Execution]:
        orders = self.store.orders
        return [
            execution_of(orders[owner].approved, trade)
            for owner, trade in self.store.fills.values()
            if orders[owner].approved.instrument_id == instrument_id
        ]

    async def move(self, instrument_id: str, movement: Movement, now: datetime) -> None:
        await self.add_transactions(movement.transactions, now)
        self.store.positions[instrument_id] = movement.row
        self.store.account = replace(self.store.account, sequence=movement.sequence)

    async def add_transactions(self, transactions: Sequence[Transaction], now: datetime) -> None:
        for each in transactions:
            assert imbalance(each.entries) == {}
            assert each.transaction_id not in self.store.transactions
            self.store.transactions[each.transaction_id] = each

    async def cash(self, now: datetime) -> dict[str, CashBalance]:
        return cash_after({}, self.store.transactions.values())

    async def balances(self, recent_from: datetime) -> dict[str, Held]:
        held: dict[str, Held] = {}
        for transaction in self.store.transactions.values():
            is_recent = transaction.execution_id is not None and transaction.settles_at >= recent_from
            for entry in transaction.entries:
                if entry.account in HELD:
                    before = held.get(entry.asset, Held(Decimal(0)))
                    held[entry.asset] = Held(
                        before.total + entry.amount,
                        before.recent_in + max(entry.amount * is_recent, Decimal(0)),
                        before.recent_out + min(entry.amount * is_recent, Decimal(0)),
                    )
        return held

    async def met_assets(self) -> frozenset[str]:
        entries = [entry for each in self.store.transactions.values() for entry in each.entries]
        return frozenset(entry.asset for entry in entries if entry.account is LedgerAccount.OPENING)

    async def positions(self) -> dict[str, Decimal]:
        return {instrument_id: row.position.quantity for instrument_id, row in self.store.positions.items()}

    async def add_reconciliation(
        self,
        *,
        passed: bool,
        differences: Sequence[Difference],
        now: datetime,
        observed: Observed | None = None,
    ) -> None:
        self.store.reconciliations.append((passed, tuple(differences)))
        self.store.is_reconciled = passed
        self.store.account = replace(self.store.account, reconciled_at=now)

    async def put_stage(self, message: StageChanged) -> bool:
        key = (str(message.scope), message.scope_id)
        if message.version < self.store.versions.get(key, 0):
            return False
        self.store.versions[key] = message.version
        row = StageRow(message.scope, message.scope_id, message.to_stage, message.occurred_at)
        others = [each for each in self.store.stages if (str(each.scope), each.scope_id) != key]
        self.store.stages = (*others, row)
        return True


class FakeBooks:
    """One transaction at a time; what raises is not committed."""

    def __init__(self, clock: FakeClock) -> None:
        self.store = Store()
        self.clock = clock
        self.faults: list[Exception] = []
        """Raised by the next commits."""
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakePage]:
        async with self._turn:
            await asyncio.sleep(0)
            draft = Store(**{name: copy.copy(value) for name, value in vars(self.store).items()})
            yield FakePage(draft)
            await asyncio.sleep(0)
            if self.faults:
                raise self.faults.pop(0)
            self.store = draft

    async def claim(self, key: tuple[str, str], now: datetime, known_ids: frozenset[str] | None = None) -> Claim | None:
        async with self.open() as page:
            store = page.store
            order = self._next(store, now, key)
            if order is None or not (order.client_ids or known_ids is not None):
                return None
            claimed = replace(
                order,
                submission=Submission.SENDING,
                fence=order.fence + 1,
                claimed_at=now,
                send_deadline=now + TERMS.send,
                known_ids=known_ids or frozenset(),
            )
            store.orders[order.client_order_id] = claimed
            store.leases[order.client_order_id] = now + TERMS.lease
            return Claim(claimed, store.stages)

    async def next_key(self, account_id: str, now: datetime) -> tuple[str, str] | None:
        order = self._next(self.store, now)
        return None if order is None else order.key

    def _next(self, store: Store, now: datetime, key: tuple[str, str] | None = None) -> Order | None:
        """Give what may go next: of a key, or of the whole account where the venue keeps no client ids."""
        waiting = [each for each in store.orders.values() if each.submission is Submission.READY]
        waiting = [each for each in waiting if key in (None, each.key)]
        if not store.is_reconciled or store.account.blocked_reason is not None:
            return None
        for order in sorted(waiting, key=lambda each: not each.approved.reduce_only):
            lane = [each for each in store.orders.values() if each.key == order.key or not each.client_ids]
            held = abs(store.positions.get(order.key[1], PositionRow(Position(), None)).position.quantity)
            is_exit = order.approved.reduce_only and order.approved.quantity <= held
            unknown = [each for each in lane if each.submission is Submission.UNKNOWN]
            is_behind = any(not (is_exit and each.lets_exits_pass(now, TERMS)) for each in unknown)
            is_due = order.not_before is None or order.not_before <= now
            if is_due and not is_behind and all(each.submission is not Submission.SENDING for each in lane):
                return order
        return None

    async def unmatched(self, claimed_since: datetime) -> list[Order]:
        return [
            each
            for each in self.store.orders.values()
            if not each.client_ids
            and each.venue_order_id is None
            and (
                each.submission in (Submission.SENDING, Submission.UNKNOWN)
                or (each.submission is Submission.ABSENT and each.looks.absences and each.claimed_at >= claimed_since)
            )
        ]

    async def ready_keys(self, now: datetime, limit: int) -> dict[tuple[str, str], bool]:
        ready = [each for each in self.store.orders.values() if each.submission is Submission.READY]
        exits = {each.key for each in ready if each.approved.reduce_only}
        return {key: key in exits for key in sorted({each.key for each in ready})[:limit]}

    async def was_handled(self, message: Message) -> bool:
        return message.message_id in self.store.inbox

    async def known_executions(self, execution_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(self.store.fills).intersection(execution_ids)

    async def orders_of(self, sightings: Sequence[Sighting]) -> Mapping[str, Order]:
        found = {}
        for sighting in sightings:
            for order in self.store.orders.values():
                if order.venue_order_id == sighting.venue_order_id or (
                    order.venue_order_id is None and order.client_order_id == sighting.client_order_id
                ):
                    found[sighting.venue_order_id] = order
        return found

    async def unfinished(self) -> list[Order]:
        return [each for each in self.store.orders.values() if each.is_open and each.submission is not Submission.READY]

    async def owned(self, venue_order_ids: Collection[str]) -> frozenset[str]:
        return frozenset(each.venue_order_id or "" for each in self.store.orders.values()).intersection(venue_order_ids)

    async def instruments(self) -> frozenset[str]:
        return frozenset(each.approved.instrument_id for each in self.store.orders.values())

    async def stages(self) -> tuple[StageRow, ...]:
        return self.store.stages

    async def account(self) -> Account:
        return self.store.account


class FakeVenue:
    """Accepts and fills, unless its script says otherwise."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.script: list[str | Callable[[], None]] = []
        """For the next submits: `accept`, `rest`, `accept_lose`, `lose`, `refuse`, `not_sent`, `duplicate`, `die`, or
        something to do first, followed by one of these."""
        self.submits: list[str] = []
        self.orders: dict[str, Sighting] = {}
        self.is_hidden = False
        self.is_down = False
        self.is_mute = False
        """It heeds cancels, and answers no question."""
        self.clock_gap = timedelta()
        self.money: dict[str, Decimal] = {}
        self.health = Health()
        self.capabilities = Capabilities()

    async def submit(self, order: Order) -> Answer:
        step = self.script.pop(0) if self.script else "accept"
        if callable(step):
            step()
            return await self.submit(order)
        now = self.clock.now()
        if step == "not_sent":
            return Answer(Outcome.NOT_SENT, "connection refused")
        if step == "too_late":
            return Answer(Outcome.NOT_SENT, "the send deadline had passed", was_too_late=True)
        self.submits.append(order.client_order_id)
        await asyncio.sleep(0)
        if step == "limited":
            return Answer(Outcome.LIMITED, "-1015 Too many new orders", sent_at=now, retry_after_s=7)
        if step == "refuse":
            return Answer(Outcome.REFUSED, "insufficient balance", sent_at=now)
        if step == "duplicate":
            return Answer(Outcome.UNKNOWN, "Duplicate order sent.", is_duplicate=True, sent_at=now)
        if step != "lose":
            self.accept(order, is_filled=step != "rest")
        if step == "die":
            raise asyncio.CancelledError
        if step in ("lose", "accept_lose"):
            return Answer(Outcome.UNKNOWN, "timeout", sent_at=now)
        return Answer(Outcome.ACCEPTED, sighting=self.orders[order.client_order_id], sent_at=now)

    def accept(self, order: Order, *, is_filled: bool = True) -> Sighting:
        venue_order_id = f"v{len(self.orders) + 1}"
        approved = order.approved
        trade = a_trade(
            len(self.orders) + 1,
            venue_order_id=venue_order_id,
            at=self.clock.now(),
            side=approved.side,
            quantity=approved.quantity,
            symbol=order.symbol,
        )
        word = VenueWord(OrderStatus.FILLED, approved.quantity) if is_filled else VenueWord(OrderStatus.NEW)
        trades = (trade,) if is_filled else ()
        sighting = Sighting(venue_order_id, word, order.client_order_id, order.symbol, trades)
        self.orders[order.client_order_id] = sighting
        return sighting

    async def cancel(self, order: Order) -> Sighting | None:
        if self.is_down:
            raise VenueError("not answered")
        sighting = self.orders.get(order.client_order_id)
        if sighting is None or sighting.word.status is not OrderStatus.NEW:
            return None
        canceled = replace(sighting, word=replace(sighting.word, status=OrderStatus.CANCELED))
        self.orders[order.client_order_id] = canceled
        return canceled

    async def find(self, order: Order) -> Sighting | None:
        self._answers()
        return None if self.is_hidden else self.orders.get(order.client_order_id)

    async def order(self, symbol: str, venue_order_id: str) -> Sighting | None:
        self._answers()
        return next((each for each in self._shown() if each.venue_order_id == venue_order_id), None)

    async def open_orders(self, symbols: Collection[str]) -> list[Sighting]:
        self._answers()
        return [each for each in self._shown() if each.word.status is OrderStatus.NEW and each.symbol in symbols]

    async def trades_of(self, order: Order) -> list[Trade]:
        self._answers()
        return [
            trade for each in self._shown() for trade in each.trades if trade.venue_order_id == order.venue_order_id
        ]

    async def trades(self, symbol: str, since: datetime) -> list[Trade]:
        self._answers()
        listed = [trade for each in self._shown() for trade in each.trades]
        return [each for each in listed if each.symbol == symbol and each.executed_at >= since]

    async def balances(self) -> dict[str, Decimal]:
        self._answers()
        return dict(self.money)

    async def now(self) -> datetime:
        self._answers()
        return self.clock.now() + self.clock_gap

    async def symbols(self) -> frozenset[str]:
        return frozenset({"BTC/USDT", "ETH/USDT"})

    async def limits(self) -> Told:
        return Told()

    def _shown(self) -> list[Sighting]:
        return [] if self.is_hidden else list(self.orders.values())

    def _answers(self) -> None:
        if self.is_down or self.is_mute:
            raise VenueError("not answered")


class FakeBudget:
    """Has room for everything, unless its script says otherwise."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        """What the next takes of orders are told to wait."""
        self.is_away = False
        self.taken: list[tuple[Kind, bool]] = []
        self.closed: list[tuple[Kind, float]] = []
        self.returned = 0

    async def take(self, kind: Kind, amount: float = 1, *, is_exit: bool = True) -> float:
        if self.is_away and kind is Kind.ORDERS:
            raise BudgetUnreadableError("away")
        await asyncio.sleep(0)
        if self.waits:
            return self.waits.pop(0)
        self.taken.append((kind, is_exit))
        return 0.0

    async def give_back(self, kind: Kind) -> None:
        self.returned += 1

    async def close(self, kind: Kind, for_s: float) -> None:
        self.closed.append((kind, for_s))


class FakeInstruments:
    async def all(self) -> dict[str, Instrument]:
        return {}


def a_desk(**changes: Any) -> Desk:
    """Give a worker whose books agree with the venue's."""
    clock = FakeClock()
    books, venue, budget = FakeBooks(clock), FakeVenue(clock), FakeBudget()
    desk = Desk(books, venue, FakeInstruments(), clock, TERMS, budget, is_reconciled=True)
    for name, value in changes.items():
        setattr(desk, name, value)
    return desk
