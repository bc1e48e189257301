"""What the handlers need from the world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from api_gateway.domain.audit import AuditEntry
from api_gateway.domain.books import Finding
from api_gateway.domain.commands import Wish
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.rights import Role, Topic
from api_gateway.domain.second_person import Ask, Decision, Person, Refusal, UserChange
from api_gateway.domain.sessions import AccessClaims, RefreshOutcome
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.judgement import DecisionView, SignalView, StrategyView, VerdictView, WhyView
from api_gateway.domain.views.people import ApprovalView, AuditCheckView, AuditView, CommandView
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
from sigmax.schemas.market import Heartbeat, Quote
from sigmax.schemas.types import Scope


@dataclass(frozen=True)
class User:
    """A user as the database has it, without the password."""

    user_id: UUID
    login: str
    role: Role
    accounts: frozenset[str]
    is_active: bool
    token_version: int
    created_at: datetime
    last_login_at: datetime | None = None

    @property
    def person(self) -> Person:
        """Give what the rule of two looks at."""
        return Person(self.user_id, self.login, self.role, self.accounts, self.is_active)


@dataclass(frozen=True)
class Refreshed:
    """What became of a refresh token."""

    outcome: RefreshOutcome | None
    """None: there is no such token."""
    user: User | None = None
    family_id: UUID | None = None
    token: str | None = None


class PasswordsPort(Protocol):
    """Hashes passwords, slowly and off the event loop."""

    async def hash(self, password: str) -> str:
        """Give the hash to store."""
        ...

    async def matches(self, password: str, stored: str | None) -> bool:
        """Compare; with None it works as long and says no, so that time does not tell who exists."""
        ...


class TokensPort(Protocol):
    """Signs and reads access tokens."""

    def issue(self, claims: AccessClaims) -> str:
        """Give a signed token that lives for `ACCESS_LIFE`."""
        ...

    def read(self, token: str) -> AccessClaims | None:
        """Give what a token says, or None when anything about it is wrong."""
        ...


class SessionsPort(Protocol):
    """Logins and sessions. Each method is one transaction, its audit entry included."""

    async def begin_login(self, login: str, address: str) -> int:
        """Count a try before its outcome is known; give the seconds to wait, 0 when it may go on."""
        ...

    async def credentials(self, login: str) -> tuple[User, str] | None:
        """Give an active user and the stored hash, by login."""
        ...

    async def open_session(self, user: User, address: str) -> tuple[UUID, str]:
        """Clear the failed tries of this login and address; give a new family and its first refresh token."""
        ...

    async def login_failed(self, login: str, address: str) -> None:
        """Write the failed try into the audit."""
        ...

    async def refresh(self, token: str, address: str) -> Refreshed:
        """Exchange a refresh token for the next one; a second use revokes the family."""
        ...

    async def close_session(self, token: str | None, family_id: UUID | None, address: str) -> None:
        """Revoke the family of a refresh token, or the one named; nothing happens when there is none."""
        ...

    async def caller(self, claims: AccessClaims) -> User | None:
        """Give the user of an access token whose session, version, and user still hold."""
        ...


class UsersPort(Protocol):
    """Users. Each change is one transaction, its audit entry included, and ends the user's sessions."""

    async def users(self) -> Sequence[User]:
        """Give all users by login."""
        ...

    async def user(self, user_id: UUID) -> User | None:
        """Give one user."""
        ...

    async def add_user(
        self, login: str, role: Role, accounts: frozenset[str], password_hash: str, *, by: str, address: str
    ) -> User | None:
        """Add a user; None when the login is taken."""
        ...

    async def change_user(self, user_id: UUID, change: UserChange, *, by: str, address: str) -> User | None:
        """Change a user and end all of the user's sessions. None: it would leave no active admin."""
        ...

    async def set_password(self, user_id: UUID, password_hash: str, *, by: str, address: str) -> None:
        """Store a new password and end all of the user's sessions."""
        ...


class AuditPort(Protocol):
    """The append-only audit chain."""

    async def write(self, entry: AuditEntry) -> None:
        """Append one entry in a transaction of its own."""
        ...

    async def entries(self, page: PageRequest, actor: str | None, action: str | None) -> Page[AuditView]:
        """Give entries, newest first."""
        ...

    async def verify(self) -> AuditCheckView:
        """Walk the whole chain."""
        ...


class CommandsPort(Protocol):
    """Commands: written down, audited, and published in one transaction."""

    async def submit(
        self, wish: Wish, user: User, key: str, address: str, ask: Ask | None = None
    ) -> tuple[CommandView, bool]:
        """Give the command and whether the key stood for this very wish; a repeated key sends nothing again.

        With `ask` it does not go out before another person approved it.
        """
        ...

    async def command(self, command_id: UUID) -> CommandView | None:
        """Give one command with its present status."""
        ...

    async def commands(self, page: PageRequest) -> Page[CommandView]:
        """Give commands, newest first."""
        ...


class ApprovalsPort(Protocol):
    """What waits for a second person. Each decision is one transaction with what it sets going."""

    async def approvals(self, page: PageRequest, *, is_awaiting: bool | None) -> Page[ApprovalView]:
        """Give requests, newest first; those that still wait, those that do not, or all."""
        ...

    async def approval(self, approval_id: UUID) -> ApprovalView | None:
        """Give one request."""
        ...

    async def ask_user_change(self, target: User, change: UserChange, user: User, address: str) -> ApprovalView:
        """Write down that a user is to be changed; the same wish of the same person waits once."""
        ...

    async def decide(
        self, approval_id: UUID, decision: Decision, user: User, fingerprint: str, address: str
    ) -> ApprovalView | Refusal | None:
        """Approve a request and set going what it asks for, or refuse it. None: there is no such request."""
        ...


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


class MarketPort(Protocol):
    """Reads the live state in Redis."""

    async def latest(self) -> dict[str, Quote]:
        """Give the newest quote of each instrument; empty when nothing trades."""
        ...

    async def heartbeats(self) -> list[Heartbeat]:
        """Give the heartbeats of the last minute or more, in the order they came."""
        ...


class TicketsPort(Protocol):
    """Single-use tickets for live connections."""

    async def issue(self, claims: AccessClaims) -> str:
        """Give a ticket that lives for 30 s."""
        ...

    async def redeem(self, ticket: str) -> AccessClaims | None:
        """Take a ticket: the first who brings it gets its claims, nobody after."""
        ...


class RatesPort(Protocol):
    """Counts requests over all replicas."""

    async def wait_s(self, bucket: str, key: str, per_minute: int) -> int:
        """Count one request; give the seconds to wait when the minute's budget is spent, else 0."""
        ...


class Listener(Protocol):
    """One live connection's inbox of events."""

    topics: frozenset[Topic]
    instruments: frozenset[str]
    """Narrows ticks; empty is all."""

    async def next(self) -> bytes | None:
        """Wait for the next event, JSON; None once the connection is too slow and is to be dropped."""
        ...


class FeedPort(Protocol):
    """Fans events out to live connections."""

    async def publish(self, topic: Topic, kind: str, data: Mapping[str, Any]) -> None:
        """Give an event to all replicas."""
        ...

    def join(self, user_id: UUID) -> Listener | None:
        """Open an inbox; None when there are too many, of this user or at all."""
        ...

    def leave(self, listener: Listener) -> None:
        """Close an inbox."""
        ...


class CountersPort(Protocol):
    """What is counted for operators."""

    def login(self, outcome: str) -> None:
        """Count a login: `ok`, `wrong`, or `limited`."""
        ...

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        ...

    def ws_dropped(self, why: str) -> None:
        """Count a live connection that the gateway ended."""
        ...


@dataclass(frozen=True)
class Limits:
    """Numbers that the handlers hold callers to."""

    body_bytes_max: int = 64 * 1024
    requests_per_minute: int = 600
    changes_per_minute: int = 60
    ws_recheck_s: float = 300.0
    ws_first_message_s: float = 5.0
    origins: tuple[str, ...] = ()
