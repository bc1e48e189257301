"""The world in memory: the same rules, kept with the domain's own functions."""

import copy
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from risk_gate_builders import BTC, KEY, NOW, a_quote, an_account, an_instrument, some_limits
from risk_gate_exit_fakes import FakeExitLedger, Guarded
from risk_gate_fact_fakes import FakeFactLedger, FakeFleet, FakeSources, Past
from risk_gate_stage_fakes import FakeFeed, FakeStageLedger, Standing

from risk_gate.domain.book import FillEffect, cash_needed, final_quantity, leaves_after
from risk_gate.domain.judging import Proposal
from risk_gate.domain.ladder import LadderRule
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.situation import (
    Account,
    Book,
    Holding,
    PacedOrder,
    Reserved,
    SimilarOrder,
    Situation,
    StageRow,
)
from risk_gate.domain.sizing import side_of
from risk_gate.domain.stages import CurrentStage
from risk_gate.ports import World
from sigmax.schemas.base import Message
from sigmax.schemas.market import Instrument, Quote, nanoseconds
from sigmax.schemas.orders import Fill, OrderApproved, OrderDenied, OrderEvent, PositionChanged, Reconciled
from sigmax.schemas.signals import Decision, JudgementRequested, Signal
from sigmax.schemas.types import Posture, Scope, Side, Stage

ZERO = Decimal(0)


@dataclass
class FakeOrder:
    approved: OrderApproved
    sequence: int = 0
    filled: Decimal = ZERO
    final: Decimal | None = None

    @property
    def leaves(self) -> Decimal:
        return leaves_after(self.approved.quantity, self.filled, self.final)


@dataclass
class Count:
    """A figure counted by fills, and the one order-worker tells."""

    filled: Decimal = ZERO
    reported: Decimal | None = None
    sequence: int = 0


@dataclass
class State:
    accounts: dict[str, Account] = field(default_factory=lambda: {"paper": an_account()})
    limits: dict[str, RiskLimits] = field(default_factory=lambda: {"paper": some_limits()})
    stages: dict[tuple[Scope, str], CurrentStage] = field(
        default_factory=lambda: {
            (scope, name): CurrentStage(scope, name, Stage.NORMAL, 1, "start", "start")
            for scope, name in ((Scope.GLOBAL, "global"), (Scope.ACCOUNT, "paper"))
        }
    )
    inbox: set[UUID] = field(default_factory=set)
    published: list[Message] = field(default_factory=list)
    verdicts: dict[UUID, OrderApproved | OrderDenied] = field(default_factory=dict)
    orders: dict[str, FakeOrder] = field(default_factory=dict)
    fills: dict[str, tuple[Fill, FillEffect]] = field(default_factory=dict)
    positions: dict[str, Count] = field(default_factory=dict)
    own: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    cash: dict[str, Count] = field(default_factory=lambda: {"USDT": Count(Decimal(100_000))})
    proposals: dict[UUID, tuple[Proposal, datetime | None]] = field(default_factory=dict)
    guarded: Guarded = field(default_factory=Guarded)
    standing: Standing = field(default_factory=Standing)
    past: Past = field(default_factory=Past)


class FakeLedger(FakeStageLedger, FakeExitLedger, FakeFactLedger):
    def __init__(self, state: State) -> None:
        self.state = state

    async def first_time(self, message: Message) -> bool:
        is_new = message.message_id not in self.state.inbox
        self.state.inbox.add(message.message_id)
        return is_new

    def publish(self, message: Message) -> None:
        self.state.published.append(message)

    async def lock_account(self, account_id: str) -> Account | None:
        return self.state.accounts.get(account_id)

    async def situation(self, signal: Signal, account: Account | None, now: datetime) -> Situation | None:
        if signal.message_id in self.state.verdicts:
            return None
        rows = tuple(StageRow(row.scope, row.scope_id, row.stage) for row in self.state.stages.values())
        book = self.book(signal, now)
        limits, postures = self.state.limits.get(signal.account_id), self.state.standing.postures
        posture = postures[-1].posture if postures else None
        return Situation(account, limits, rows, book, posture=posture, facts=self.facts(signal, now))

    def book(self, signal: Signal, now: datetime) -> Book:
        state = self.state
        cash = state.cash.get("USDT", Count())
        approved = [order.approved for order in state.orders.values()]
        return Book(
            cash=cash.filled if cash.reported is None else min(cash.filled, cash.reported),
            cash_counted=cash.filled,
            holdings={name: Holding(count.filled, count.reported) for name, count in state.positions.items()},
            own={name: quantity for (owner, name), quantity in state.own.items() if owner == signal.strategy_id},
            reserved=tuple(_reserved(order) for order in state.orders.values() if order.leaves),
            paced=tuple(
                PacedOrder(each.strategy_id, each.occurred_at)
                for each in approved
                if each.client_order_id not in state.past.is_protective
            ),
            similar=tuple(
                SimilarOrder(each.quantity, each.limit_price or ZERO, each.occurred_at)
                for each in approved
                if (each.instrument_id, each.side) == (signal.instrument_id, side_of(signal.action))
            ),
        )

    async def record(
        self,
        signal: Signal,
        verdict: OrderApproved | OrderDenied,
        *,
        is_models: bool = False,
        is_protective: bool = False,
    ) -> None:
        assert signal.message_id not in self.state.verdicts
        self.state.verdicts[signal.message_id] = verdict
        if isinstance(verdict, OrderApproved):
            self.state.orders[verdict.client_order_id] = FakeOrder(verdict)
            if is_protective:
                self.state.past.is_protective.add(verdict.client_order_id)
            if is_models:
                self.state.past.is_models.add(verdict.client_order_id)
            self.note_levels(signal, verdict)
        self.publish(verdict)

    async def propose(self, request: JudgementRequested) -> Proposal:
        signal = request.signal
        known, _ = self.state.proposals.get(signal.message_id, (Proposal(signal.message_id), None))
        proposal = replace(known, request_id=request.message_id, signal=signal)
        self.state.proposals[signal.message_id] = (proposal, request.deadline_at)
        return proposal

    async def judge(self, decision: Decision) -> Proposal:
        known, deadline = self.state.proposals.get(decision.signal_id, (Proposal(decision.signal_id), None))
        proposal = replace(known, decision=known.decision or decision)
        self.state.proposals[decision.signal_id] = (proposal, deadline)
        return proposal

    async def overdue(self, before: datetime) -> list[Proposal]:
        return [
            proposal
            for proposal, deadline in self.state.proposals.values()
            if not proposal.is_settled and proposal.decision is None and deadline is not None and deadline < before
        ]

    async def settle(self, signal_id: UUID) -> None:
        proposal, deadline = self.state.proposals[signal_id]
        self.state.proposals[signal_id] = (replace(proposal, is_settled=True), deadline)

    async def reconciled_at(self, account_id: str) -> datetime | None:
        account = self.state.accounts.get(account_id)
        return account.reconciled_at if account else None

    async def apply_fill(self, fill: Fill, effect: FillEffect, *, moves_book: bool) -> bool:
        state = self.state
        if fill.execution_id in state.fills:
            return False
        state.fills[fill.execution_id] = (fill, effect)
        if fill.client_order_id in state.orders:
            state.orders[fill.client_order_id].filled += fill.quantity
        key = (fill.strategy_id, fill.instrument_id)
        state.own[key] = state.own.get(key, ZERO) + effect.position_change
        if moves_book:
            state.positions.setdefault(fill.instrument_id, Count()).filled += effect.position_change
            state.cash.setdefault(effect.cash_currency, Count()).filled += effect.cash_change
        return True

    async def apply_event(self, event: OrderEvent) -> None:
        order = self.state.orders.get(event.client_order_id)
        if order is not None and event.sequence > order.sequence:
            order.sequence = event.sequence
            order.final = final_quantity(event)

    async def apply_position(self, position: PositionChanged) -> None:
        counts = [(self.state.positions.setdefault(position.instrument_id, Count()), position.quantity)]
        counts += [(self.state.cash.setdefault(name, Count()), each.settled) for name, each in position.cash.items()]
        for count, value in counts:
            if position.sequence > count.sequence:
                count.reported, count.sequence = value, position.sequence

    async def rebase(self, reconciled: Reconciled) -> None:
        state, as_of = self.state, reconciled.as_of
        state.accounts[reconciled.account_id] = replace(
            state.accounts[reconciled.account_id],
            reconciled_at=as_of,
            reconciliation_passed=reconciled.passed,
            worker_venue=reconciled.venue,
            worker_mode=str(reconciled.mode),
        )
        later = [(fill, effect) for fill, effect in state.fills.values() if fill.occurred_at > as_of]
        for name in set(state.positions) | set(reconciled.positions):
            told = reconciled.positions.get(name, ZERO)
            change = sum((effect.position_change for fill, effect in later if fill.instrument_id == name), ZERO)
            _rebase(state.positions.setdefault(name, Count()), told, change, reconciled.sequence)
        settled = {name: balance.settled for name, balance in reconciled.cash.items()}
        for name in set(state.cash) | set(settled):
            change = sum((effect.cash_change for _, effect in later if effect.cash_currency == name), ZERO)
            _rebase(state.cash.setdefault(name, Count()), settled.get(name, ZERO), change, reconciled.sequence)

    async def lock_accounts(self) -> list[tuple[Account, timedelta | None]]:
        return [
            (account, timedelta(seconds=self.state.limits[name].reconciliation_age_max_s))
            for name, account in self.state.accounts.items()
        ]


def _reserved(order: FakeOrder) -> Reserved:
    approved = order.approved
    cost = cash_needed(approved.side, order.leaves, approved.limit_price or ZERO, some_limits().fee_bps)
    return Reserved(approved.strategy_id, approved.instrument_id, Side(approved.side), order.leaves, cost)


def _rebase(count: Count, told: Decimal, change: Decimal, sequence: int) -> None:
    count.filled = told + change
    if count.sequence <= sequence:
        count.reported, count.sequence = told, sequence


class FakeMarket:
    """A market at 100 whose prices are as fresh as its clock says."""

    def __init__(self, clock: "FakeClock") -> None:
        self.clock = clock
        self.instrument: Instrument | None = an_instrument()
        self.prices = {BTC: "100"}
        self.stops_at: datetime | None = None
        """From when on there is nothing new; None while prices come."""

    async def look(self, instrument_id: str) -> tuple[Instrument | None, Quote | None]:
        return self.instrument, (await self.quotes({instrument_id})).get(instrument_id)

    async def quotes(self, instrument_ids: Collection[str]) -> dict[str, Quote]:
        names = set(instrument_ids) & set(self.prices)
        now = self.clock.now()
        at = now if self.stops_at is None else min(self.stops_at, now)
        return {name: a_quote(name, self.prices[name], at=at) for name in names}


class FakeClock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def now_ns(self) -> int:
        return nanoseconds(self.at)

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class FakeMeter:
    verdicts: list[OrderApproved | OrderDenied] = field(default_factory=list)
    shown: Sequence[CurrentStage] = ()
    strays: int = 0
    shown_postures: dict[str, Posture] = field(default_factory=dict)

    def decided(self, verdict: OrderApproved | OrderDenied, *, took_s: float, price_age_s: float | None) -> None:
        self.verdicts.append(verdict)

    def stages(self, stages: Sequence[CurrentStage]) -> None:
        self.shown = stages

    def unasked(self) -> None:
        self.strays += 1

    def postures(self, postures: Mapping[str, Posture]) -> None:
        self.shown_postures = dict(postures)


class FakeWorld:
    """A world whose transactions commit or leave no trace."""

    def __init__(self, ladder: LadderRule | None = None) -> None:
        self.state = State()
        self.clock = FakeClock()
        self.market = FakeMarket(self.clock)
        self.meter = FakeMeter()
        self.feed = FakeFeed()
        self.fleet = FakeFleet()
        self.sources = FakeSources()
        self.world = World(
            clock=self.clock,
            open_ledger=self.open_ledger,
            market=self.market,
            meter=self.meter,
            approval_key=KEY,
            approval_lifetime=timedelta(seconds=15),
            judgement_grace=timedelta(seconds=1),
            feed=self.feed,
            fleet=self.fleet,
            sources=self.sources,
            ladder=ladder or LadderRule(),
        )

    @asynccontextmanager
    async def open_ledger(self) -> AsyncIterator[FakeLedger]:
        ledger = FakeLedger(copy.deepcopy(self.state))
        yield ledger
        self.state = ledger.state

    def published(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.state.published if isinstance(message, kind)]
