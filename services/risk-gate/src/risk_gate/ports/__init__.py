"""What the handlers need from the world."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from risk_gate.domain.book import FillEffect
from risk_gate.domain.judging import Proposal
from risk_gate.domain.ladder import LadderRule
from risk_gate.domain.market_view import RecentPrices
from risk_gate.domain.situation import Account, Situation
from risk_gate.domain.stages import CurrentStage
from risk_gate.domain.watchdogs import Vigil
from risk_gate.ports.exits import ExitDesk, ExitLedgerPort
from risk_gate.ports.facts import FactLedgerPort, FleetPort, SourcesPort
from risk_gate.ports.stages import FeedPort, StageLedgerPort
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.base import Message
from sigmax.schemas.market import Instrument, Quote
from sigmax.schemas.orders import Fill, OrderApproved, OrderDenied, OrderEvent, PositionChanged, Reconciled
from sigmax.schemas.signals import Decision, JudgementRequested, Signal
from sigmax.schemas.types import Posture


class LedgerPort(StageLedgerPort, ExitLedgerPort, FactLedgerPort, Protocol):
    """One open transaction over accounts, stages, the book, and the verdicts."""

    async def first_time(self, message: Message) -> bool:
        """Enter a message in the inbox; False means that it has been handled already."""
        ...

    def publish(self, message: Message) -> None:
        """Tell the others, if and when this transaction commits."""
        ...

    async def lock_account(self, account_id: str) -> Account | None:
        """Give an account and keep every other decision on it waiting until this transaction ends."""
        ...

    async def situation(self, signal: Signal, account: Account | None, now: datetime) -> Situation | None:
        """Load what a decision looks at, market data left out; None when the signal has a verdict already."""
        ...

    async def record(
        self,
        signal: Signal,
        verdict: OrderApproved | OrderDenied,
        *,
        is_models: bool = False,
        is_protective: bool = False,
    ) -> None:
        """Store and publish a verdict; an approved order is reserved and counted from now on.

        What a model let pass is counted for the models as well; what the gate itself closes is counted for nobody.
        """
        ...

    async def propose(self, request: JudgementRequested) -> Proposal:
        """Keep a request for judgement, and give it with the decision that may be there already."""
        ...

    async def judge(self, decision: Decision) -> Proposal:
        """Keep a decision, and give it with the request that may be there already."""
        ...

    async def overdue(self, before: datetime) -> Sequence[Proposal]:
        """Give, locked, the proposals whose deadline passed before a time with no decision."""
        ...

    async def settle(self, signal_id: UUID) -> None:
        """Note that a proposal has its verdict."""
        ...

    async def reconciled_at(self, account_id: str) -> datetime | None:
        """Give when the account was last reconciled, and keep a reconciliation waiting until this transaction ends."""
        ...

    async def apply_fill(self, fill: Fill, effect: FillEffect, *, moves_book: bool) -> bool:
        """Enter a fill once: shrink its order's reservation, and move the positions and cash; False when it was."""
        ...

    async def apply_event(self, event: OrderEvent) -> None:
        """Note the order's state, unless a later one is known; an end releases what will never fill."""
        ...

    async def apply_position(self, position: PositionChanged) -> None:
        """Note what order-worker holds, unless a later figure is known."""
        ...

    async def rebase(self, reconciled: Reconciled) -> None:
        """Start the book anew from reconciled figures and the fills since."""
        ...

    async def lock_accounts(self) -> Sequence[tuple[Account, timedelta | None]]:
        """Give all accounts, each with the reconciliation age its limits allow, and keep decisions waiting."""
        ...


class MarketPort(Protocol):
    """The newest market data. What the collector does not list, or what cannot be read, is absent."""

    async def look(self, instrument_id: str) -> tuple[Instrument | None, Quote | None]:
        """Read one instrument and its quote."""
        ...

    async def quotes(self, instrument_ids: Collection[str]) -> dict[str, Quote]:
        """Read the quotes of several instruments; of none, without asking."""
        ...


class MeterPort(Protocol):
    """Counts what was decided."""

    def decided(self, verdict: OrderApproved | OrderDenied, *, took_s: float, price_age_s: float | None) -> None:
        """Count one verdict, the time it took, and the age of the price it saw."""
        ...

    def stages(self, stages: Sequence[CurrentStage]) -> None:
        """Show how much trading is allowed, and how often that was changed."""
        ...

    def unasked(self) -> None:
        """Count a judgement on a signal that nobody asked about."""
        ...

    def postures(self, postures: Mapping[str, Posture]) -> None:
        """Show how boldly each account trades."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """Everything the handlers reach."""

    clock: ClockPort
    open_ledger: Callable[[], AbstractAsyncContextManager[LedgerPort]]
    market: MarketPort
    meter: MeterPort
    approval_key: bytes
    approval_lifetime: timedelta
    judgement_grace: timedelta
    """How long after its deadline a decision may still arrive."""
    feed: FeedPort
    fleet: FleetPort
    sources: SourcesPort
    ladder: LadderRule = field(default_factory=LadderRule)
    vigil: Vigil = field(default_factory=Vigil)
    recent: RecentPrices = field(default_factory=RecentPrices)
    exits: ExitDesk = field(default_factory=ExitDesk)
