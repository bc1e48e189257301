"""Marks, latches, health, and counts in memory, and services that live as their test wants."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from risk_gate.domain.book import working_until
from risk_gate.domain.facts import Beat, Counts, Facts, Fleet, Identity, Latch, Turnover, VenueState
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.post_trade import ApprovedOrder
from risk_gate.domain.situation import Book, Holding
from risk_gate.ports.facts import AccountBook
from sigmax.schemas.market import Quote
from sigmax.schemas.orders import OrderApproved, VenueHealth
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import Scope, Side

_ASK_AGAIN = timedelta(seconds=10)


@dataclass
class Past:
    """What accounts have been doing."""

    facts: Facts = field(default_factory=Facts)
    """What is loaded beside the counts, latches, and health that are kept here."""
    latches: list[tuple[str, Latch]] = field(default_factory=list)
    health: dict[str, VenueHealth] = field(default_factory=dict)
    marks: list[tuple[str, Decimal, datetime]] = field(default_factory=list)
    is_models: set[str] = field(default_factory=set)
    is_protective: set[str] = field(default_factory=set)
    asked: dict[str, datetime] = field(default_factory=dict)
    released: dict[tuple[Scope, str], datetime] = field(default_factory=dict)


class FakeFactLedger:
    state: Any

    def facts(self, signal: Signal, now: datetime) -> Facts:
        past: Past = self.state.past
        orders = self.state.orders.items()
        approved = [order.approved for name, order in orders if name not in past.is_protective]
        health = past.health.get(signal.account_id)
        return replace(
            past.facts,
            counts=self._counts(signal, approved),
            turnover=Turnover(*(_entered(approved, now - timedelta(seconds=s)) for s in (60, 3600, 86_400))),
            venue=None if health is None else _state(health),
            latches=tuple(
                latch
                for account_id, latch in past.latches
                if account_id == signal.account_id and (latch.expires_at is None or latch.expires_at > now)
            ),
        )

    def _counts(self, signal: Signal, approved: list[OrderApproved]) -> Counts:
        past: Past = self.state.past
        of_account = _since(approved, past.released.get((Scope.ACCOUNT, signal.account_id)))
        of_all = _since(approved, past.released.get((Scope.STRATEGY, signal.strategy_id)))
        of_strategy = [each for each in of_all if each.strategy_id == signal.strategy_id]
        judged = [each for each in approved if each.client_order_id in past.is_models]
        return Counts(
            account_day=len(of_account),
            strategy_day=len(of_strategy),
            strategy_run=sum(each.strategy_version == signal.strategy_version for each in of_strategy),
            judged_day=len(judged),
            judged_notional=sum((_notional(each) for each in judged), Decimal(0)),
            judged_last_at=max((each.occurred_at for each in judged), default=None),
        )

    async def approved_order(self, client_order_id: str) -> ApprovedOrder | None:
        order = self.state.orders.get(client_order_id)
        if order is None:
            return None
        each: OrderApproved = order.approved
        price = each.limit_price or each.reference_price
        return ApprovedOrder(
            client_order_id=client_order_id,
            account_id=each.account_id,
            instrument_id=each.instrument_id,
            side=Side(each.side),
            quantity=each.quantity,
            limit_price=price,
            order_type=each.order_type,
            filled_quantity=order.filled,
        )

    async def apply_health(self, health: VenueHealth) -> bool:
        known = self.state.past.health.get(health.account_id)
        if known is not None and known.as_of >= health.as_of:
            return False
        self.state.past.health[health.account_id] = health
        return known is None or _who(known) != _who(health)

    async def latch(self, account_id: str, latch: Latch, now: datetime) -> None:
        latches = self.state.past.latches
        same = [
            (latch.scope, latch.scope_id, latch.code) == (each.scope, each.scope_id, each.code) for _, each in latches
        ]
        if not any(same):
            latches.append((account_id, latch))

    async def release(self, scope: Scope, scope_id: str, released_by: str, now: datetime) -> list[Latch]:
        past: Past = self.state.past
        gone = [latch for _, latch in past.latches if (latch.scope, latch.scope_id) == (scope, scope_id)]
        past.latches = [each for each in past.latches if each[1] not in gone]
        past.released[scope, scope_id] = now
        return gone

    async def books(self) -> Sequence[AccountBook]:
        cash = self.state.cash["USDT"].filled
        holdings = {name: Holding(count.filled) for name, count in self.state.positions.items()}
        return [
            AccountBook(name, account.reconciled_at, Book(cash=cash, holdings=holdings))
            for name, account in self.state.accounts.items()
            if account.reconciliation_passed
        ]

    async def mark_equity(self, account_id: str, equity: Decimal, now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        if not any(at == minute for _, _, at in self.state.past.marks):
            self.state.past.marks.append((account_id, equity, minute))

    async def overdue_entries(self, now: datetime) -> list[tuple[str, str]]:
        past, due = self.state.past, []
        for name, order in self.state.orders.items():
            limits: RiskLimits = self.state.limits[order.approved.account_id]
            until = working_until(order.approved, limits)
            asked = past.asked.get(name)
            if until and until < now and order.final is None and (asked is None or now - asked > _ASK_AGAIN):
                past.asked[name] = now
                due.append((name, order.approved.account_id))
        return due

    async def unasked(self, before: datetime) -> list[UUID]:
        found = []
        for signal_id, (proposal, deadline) in self.state.proposals.items():
            is_old = proposal.decision is not None and proposal.decision.occurred_at < before
            if proposal.signal is None and not proposal.is_settled and is_old:
                self.state.proposals[signal_id] = (replace(proposal, is_settled=True), deadline)
                found.append(signal_id)
        return found

    async def forget_activity(self, before: datetime) -> None:
        pass


def _since(approved: list[OrderApproved], at: datetime | None) -> list[OrderApproved]:
    return [each for each in approved if at is None or each.occurred_at > at]


def _notional(each: OrderApproved) -> Decimal:
    return each.quantity * max(each.limit_price or each.reference_price, each.reference_price)


def _entered(approved: list[OrderApproved], since: datetime) -> Decimal:
    return sum((_notional(each) for each in approved if each.occurred_at > since), Decimal(0))


class FakeFleet:
    """Services that beat as their test says; None where nobody can be heard."""

    def __init__(self) -> None:
        self.fleet: Fleet | None = Fleet()

    def hear(self, service: str, at: datetime, version: str = "1", *, is_ready: bool = True) -> None:
        beats = self.fleet.beats if self.fleet else ()
        self.fleet = Fleet((*beats, Beat(service, version, is_ready, at)))

    def seen(self) -> Fleet | None:
        return self.fleet


def _state(health: VenueHealth) -> VenueState:
    names = set(VenueState.__slots__) - {"identity"}
    is_told = health.mode is not None and health.key_fingerprint is not None
    identity = Identity(str(health.mode), health.hosts, str(health.key_fingerprint)) if is_told else None
    return VenueState(**health.model_dump(include=names), identity=identity)


def _who(health: VenueHealth) -> tuple[object, ...]:
    return health.mode, health.hosts, health.key_fingerprint


class FakeSources:
    """No rival and no bars, until a test says so."""

    def __init__(self) -> None:
        self.rivals: dict[str, Quote] = {}
        self.volatility: dict[str, Decimal] = {}
        self.closes: dict[str, Decimal] = {}

    async def rival(self, instrument_id: str) -> Quote | None:
        return self.rivals.get(instrument_id)

    def volatility_pct(self, instrument_id: str) -> Decimal | None:
        return self.volatility.get(instrument_id)

    def close_before(self, instrument_id: str, ts_ns: int) -> Decimal | None:
        return self.closes.get(instrument_id)
