"""What the other services wrote: their tables, read only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from api_gateway.domain.books import Finding
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.judgement import DecisionView, SignalView, StrategyView, VerdictView, WhyView
from api_gateway.domain.views.platform import AlertView, BarView, JobView
from api_gateway.domain.views.risk import (
    EquityMarkView,
    FlatteningView,
    LadderEventView,
    LatchView,
    LimitsView,
    PostureView,
    ProtectionView,
    StageChangeView,
    StageView,
    TransferView,
    VenueHealthView,
)
from api_gateway.domain.views.trading import (
    AccountView,
    FillView,
    LedgerEntryView,
    OrderView,
    PositionView,
    ReconciliationView,
)
from api_gateway.ports.people import User
from sigmax.schemas.market import Quote
from sigmax.schemas.types import Scope


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to; None does not narrow."""

    account_id: str | None = None
    strategy_id: str | None = None
    instrument_id: str | None = None
    client_order_id: str | None = None
    status: str | None = None
    is_open: bool | None = None
    outcome: str | None = None
    verdict: str | None = None
    code: str | None = None
    asset: str | None = None
    level: str | None = None
    is_acknowledged: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


class TradingBooksPort(Protocol):
    """Reads what order-worker and risk-gate own."""

    async def accounts(self, last: Mapping[str, Quote]) -> list[AccountView]:
        """Give all accounts, valued at the given prices."""
        ...

    async def positions(self, filters: Filters, last: Mapping[str, Quote]) -> list[PositionView]:
        """Give positions, valued at the given prices."""
        ...

    async def orders(self, filters: Filters, page: PageRequest) -> Page[OrderView]:
        """Give orders, newest first."""
        ...

    async def order(self, client_order_id: str) -> OrderView | None:
        """Give one order."""
        ...

    async def fills(self, filters: Filters, page: PageRequest) -> Page[FillView]:
        """Give fills, newest first."""
        ...

    async def ledger(self, filters: Filters, page: PageRequest) -> Page[LedgerEntryView]:
        """Give ledger entries, newest first."""
        ...

    async def reconciliations(self, filters: Filters, page: PageRequest) -> Page[ReconciliationView]:
        """Give comparisons with the venue, newest first."""
        ...


class JudgementBooksPort(Protocol):
    """Reads what strategy-engine, llm-controller, and risk-gate wrote on the way to an order."""

    async def strategies(self) -> list[StrategyView]:
        """Give all strategies by id."""
        ...

    async def strategy(self, strategy_id: str) -> StrategyView | None:
        """Give one strategy."""
        ...

    async def signals(self, filters: Filters, page: PageRequest) -> Page[SignalView]:
        """Give signals, newest first."""
        ...

    async def decisions(self, filters: Filters, page: PageRequest) -> Page[DecisionView]:
        """Give decisions, newest first."""
        ...

    async def verdicts(self, filters: Filters, page: PageRequest) -> Page[VerdictView]:
        """Give the risk gate's verdicts, newest first."""
        ...


class WhyPort(Protocol):
    """Explains fills."""

    async def why(self, execution_id: str, account_id: str | None) -> WhyView | None:
        """Give the whole chain behind one fill."""
        ...


class PlatformBooksPort(Protocol):
    """Reads what collector, notifier, and scheduler own."""

    async def alerts(self, filters: Filters, page: PageRequest) -> Page[AlertView]:
        """Give alerts, newest first, with our acknowledgements."""
        ...

    async def acknowledge(self, alert_id: UUID, user: User, address: str) -> AlertView | None:
        """Write down who saw an alert; the first stays. None: there is no such alert."""
        ...

    async def jobs(self) -> list[JobView]:
        """Give the scheduler's jobs."""
        ...

    async def bars(self, instrument_id: str, timeframe_s: int, filters: Filters, page: PageRequest) -> Page[BarView]:
        """Give bars of one instrument, newest first."""
        ...


class RiskBooksPort(Protocol):
    """Reads what risk-gate keeps, and what order-worker booked at two people's word."""

    async def known(self, scope: Scope, scope_id: str) -> bool:
        """Say whether there is such an account, venue, strategy, or instrument, or ever was a stage of it."""
        ...

    async def stages(self) -> list[StageView]:
        """Give the stage of every scope that has one."""
        ...

    async def stage_changes(self, page: PageRequest) -> Page[StageChangeView]:
        """Give the changes of all stages, newest first."""
        ...

    async def limits(self) -> list[LimitsView]:
        """Give the newest limits of each account."""
        ...

    async def limit_versions(self, filters: Filters, page: PageRequest) -> Page[LimitsView]:
        """Give every version of limits, newest first."""
        ...

    async def postures(self) -> list[PostureView]:
        """Give the posture of every account that ever had one but that of its limits."""
        ...

    async def posture_changes(self, filters: Filters, page: PageRequest) -> Page[PostureView]:
        """Give the changes of postures, newest first."""
        ...

    async def ladder_events(self, page: PageRequest) -> Page[LadderEventView]:
        """Give the steps of the failure ladder, newest first."""
        ...

    async def transfers(self, filters: Filters, page: PageRequest) -> Page[TransferView]:
        """Give the transfers that were booked, newest first."""
        ...


class GuardBooksPort(Protocol):
    """Reads what guards positions."""

    async def protections(self, filters: Filters, page: PageRequest) -> Page[ProtectionView]:
        """Give protections, newest first, with the stops that rest at the venue."""
        ...

    async def flattenings(self, page: PageRequest) -> Page[FlatteningView]:
        """Give flattenings, newest first."""
        ...

    async def latches(self, page: PageRequest, *, is_on: bool | None) -> Page[LatchView]:
        """Give latches, newest first; those that are on, those that are not, or all."""
        ...

    async def latched(self, scope: Scope, scope_id: str) -> list[LatchView]:
        """Give the latches that nobody took off a scope."""
        ...

    async def venues(self) -> list[VenueHealthView]:
        """Give what order-worker told last of each account's venue."""
        ...

    async def equity_marks(self, filters: Filters, page: PageRequest) -> Page[EquityMarkView]:
        """Give equity by the minute, newest first."""
        ...


@dataclass(frozen=True)
class Activity:
    """What was done from some time on."""

    signals: int
    decisions: int
    approved: int
    denied: int
    denials: Mapping[str, int]
    orders: Mapping[str, int]
    fills: int
    alerts: int
    tick_to_order_ms: tuple[Decimal, Decimal] | None
    """p50 and p99; None before the first order was sent."""


class SystemBooksPort(Protocol):
    """Reads what all services wrote, together."""

    async def activity(self, since: datetime) -> Activity:
        """Count what was done from `since` on."""
        ...

    async def findings(self) -> list[Finding]:
        """Check every invariant of the tables that applies."""
        ...
