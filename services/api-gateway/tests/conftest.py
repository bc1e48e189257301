"""Builders and hand-written fakes of the gateway's ports."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import httpx2
import pytest
import pytest_asyncio

from api_gateway.domain.books import Finding
from api_gateway.domain.commands import CommandStatus, command_id_of
from api_gateway.domain.holders import COOLDOWN, Credentials, Logins
from api_gateway.domain.rights import Role
from api_gateway.domain.second_person import (
    ApprovalStatus,
    Ask,
    Decision,
    Refused,
    Request,
    UserChange,
    refusal_to_decide,
    refused,
)
from api_gateway.domain.sessions import AccessClaims, RefreshOutcome
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.judgement import StrategyView
from api_gateway.domain.views.people import ApprovalView, AuditCheckView, CommandView
from api_gateway.domain.views.risk import LatchView, LimitsView, StageView
from api_gateway.domain.views.trading import OrderView
from api_gateway.handlers.context import Gateway
from api_gateway.handlers.http import create_http
from api_gateway.ports.books import Activity
from api_gateway.ports.live import Limits
from api_gateway.ports.people import Refreshed, User
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.market import Quote, nanoseconds
from sigmax.schemas.types import OrderStatus, Scope, Stage

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PASSWORD = "a long walk by the river"
FAMILY = uuid5(NAMESPACE, "family")
APPROVAL = uuid5(NAMESPACE, "approval")


def a_user(role: Role = Role.TRADER, **changes: Any) -> User:
    """Build a user of a role."""
    user = User(
        user_id=uuid5(NAMESPACE, role.value),
        login=role.value,
        role=role,
        accounts=frozenset({"paper"}) if role is Role.TRADER else frozenset(),
        is_active=True,
        token_version=1,
        created_at=NOW,
    )
    return replace(user, **changes)


def an_order(**changes: Any) -> OrderView:
    """Build an open order."""
    values: dict[str, Any] = {
        "client_order_id": "sx1",
        "venue_order_id": "7",
        "signal_id": uuid5(NAMESPACE, "signal"),
        "correlation_id": uuid5(NAMESPACE, "chain"),
        "account_id": "paper",
        "venue": "paper",
        "mode": "paper",
        "strategy_id": "ema",
        "instrument_id": "BTC/USDT@binance",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "quantity": Decimal("0.5"),
        "limit_price": Decimal(100),
        "status": OrderStatus.NEW,
        "submission": "acked",
        "filled_quantity": Decimal(0),
        "average_price": None,
        "reason": "",
        "tick_received_at": NOW,
        "approved_at": NOW,
        "claimed_at": NOW,
        "sent_at": NOW,
        "acked_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return OrderView(**(values | changes))


def a_strategy(**changes: Any) -> StrategyView:
    """Build an active strategy with two parameters."""
    values: dict[str, Any] = {
        "strategy_id": "ema",
        "kind": "ema_cross",
        "version": 1,
        "status": "active",
        "account_id": "paper",
        "timeframe_s": 60,
        "instruments": ["BTC/USDT@binance"],
        "params": {"fast": 10, "slow": 30},
        "asks_judgement": False,
        "paused_reason": None,
        "updated_at": NOW,
    }
    return StrategyView(**(values | changes))


def an_approval(**changes: Any) -> ApprovalView:
    """Build a request of mina's, an admin, that waits for a second person."""
    values: dict[str, Any] = {
        "approval_id": APPROVAL,
        "kind": "command",
        "action": "set_limits",
        "subject": "paper",
        "scope": "account",
        "values": {"order_notional_max": "20000"},
        "before": {"order_notional_max": "10000"},
        "reason": "more",
        "fingerprint": "f" * 64,
        "needed_right": "limit",
        "account_id": None,
        "requested_by": "mina",
        "requested_at": NOW,
        "expires_at": NOW + timedelta(minutes=10),
        "status": "awaiting",
        "approvers": 1,
        "next_approver": None,
        "next_approver_from": None,
        "next_approver_needs_own_password": False,
        "decided_by": None,
        "decided_at": None,
        "status_url": f"/api/v1/commands/{APPROVAL}",
    }
    return ApprovalView(**(values | changes))


class FixedClock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def now_ns(self) -> int:
        return nanoseconds(self.at)


class FakePasswords:
    async def hash(self, password: str) -> str:
        return f"hash of {password}"

    async def matches(self, password: str, stored: str | None) -> bool:
        return stored == f"hash of {password}"


class FakeTokens:
    """Tokens that name their user's role."""

    def issue(self, claims: AccessClaims) -> str:
        return f"token-{claims.user_id}"

    def read(self, token: str) -> AccessClaims | None:
        found = [role for role in Role if token == role.value]
        return AccessClaims(a_user(found[0]).user_id, FAMILY, 1) if found else None


@dataclass
class FakeSessions:
    people: dict[UUID, User] = field(default_factory=lambda: {a_user(role).user_id: a_user(role) for role in Role})
    wait_s: int = 0
    refreshed: Refreshed = field(default_factory=lambda: Refreshed(None))
    closed: list[tuple[str | None, UUID | None]] = field(default_factory=list)

    async def begin_login(self, login: str, address: str) -> int:
        return self.wait_s

    async def credentials(self, login: str) -> tuple[User, str] | None:
        found = [user for user in self.people.values() if user.login == login]
        return (found[0], f"hash of {PASSWORD}") if found else None

    async def open_session(self, user: User, address: str) -> tuple[UUID, str]:
        return FAMILY, "refresh-1"

    async def login_failed(self, login: str, address: str) -> None:
        return None

    async def refresh(self, token: str, address: str) -> Refreshed:
        if token == "refresh-1":
            return Refreshed(RefreshOutcome.ROTATE, a_user(), FAMILY, "refresh-2")
        return self.refreshed

    async def close_session(self, token: str | None, family_id: UUID | None, address: str) -> None:
        self.closed.append((token, family_id))

    async def caller(self, claims: AccessClaims) -> User | None:
        return self.people.get(claims.user_id)


@dataclass
class FakeUsers:
    passwords: list[str] = field(default_factory=list)

    async def users(self) -> list[User]:
        return [a_user(role) for role in Role]

    async def user(self, user_id: UUID) -> User | None:
        return next((user for user in await self.users() if user.user_id == user_id), None)

    async def add_user(
        self, login: str, role: Role, accounts: frozenset[str], password_hash: str, **_: Any
    ) -> User | None:
        return None if login == "taken" else a_user(role, login=login, accounts=accounts)

    async def change_user(self, user_id: UUID, change: UserChange, **_: Any) -> User | None:
        user = await self.user(user_id)
        return None if user is None or user.role is Role.ADMIN else user

    async def set_password(self, user_id: UUID, password_hash: str, **_: Any) -> None:
        self.passwords.append(password_hash)


class FakeAudit:
    async def entries(self, *_: Any) -> Page[Any]:
        return Page(items=[])

    async def verify(self) -> AuditCheckView:
        return AuditCheckView(entries=0, is_whole=True, head="0" * 64)


@dataclass
class FakeCommands:
    """Remembers wishes by key, as the table does."""

    wishes: dict[tuple[UUID, str], Any] = field(default_factory=dict)

    asked: dict[UUID, Ask] = field(default_factory=dict)

    async def submit(
        self, wish: Any, user: User, key: str, address: str, ask: Ask | None = None
    ) -> tuple[CommandView, bool]:
        first = self.wishes.setdefault((user.user_id, key), wish)
        command_id = command_id_of(user.user_id, key)
        if ask is not None:
            self.asked[command_id] = ask
        view = CommandView(
            command_id=command_id,
            command=first.command,
            subject=first.subject,
            scope=first.scope,
            values=dict(first.values),
            reason=first.reason,
            requested_by=user.login,
            requested_at=NOW,
            status=CommandStatus.AWAITING_SECOND_PERSON if ask else CommandStatus.REQUESTED,
            status_url=f"/api/v1/commands/{command_id}",
        )
        return view, first.fingerprint() == wish.fingerprint()

    async def command(self, command_id: UUID) -> CommandView | None:
        return None

    async def commands(self, page: Any) -> Page[CommandView]:
        return Page(items=[])


@dataclass
class FakeApprovals:
    """One request of the admin, decided by the rule itself."""

    now: ApprovalView = field(default_factory=an_approval)
    asked: list[tuple[User, UserChange]] = field(default_factory=list)
    credentials: Credentials = field(default_factory=Credentials)
    """Those of whoever decides."""

    async def cooldown(self) -> timedelta:
        return COOLDOWN

    async def approvals(self, page: Any, *, is_awaiting: bool | None) -> Page[ApprovalView]:
        return Page(items=[self.now])

    async def approval(self, approval_id: UUID) -> ApprovalView | None:
        return self.now if approval_id == self.now.approval_id else None

    async def ask_user_change(self, target: User, change: UserChange, user: User, address: str) -> ApprovalView:
        self.asked.append((target, change))
        return an_approval(kind="user_change", action="change_user", subject=target.login)

    async def decide(
        self, approval_id: UUID, decision: Decision, user: User, fingerprint: str, address: str
    ) -> ApprovalView | Refused | None:
        if approval_id != self.now.approval_id:
            return None
        now = self.now
        request = Request(now.needed_right, now.account_id, now.fingerprint, now.status, now.requested_at)
        asker = a_user(Role.ADMIN, login=now.requested_by, user_id=uuid5(NAMESPACE, now.requested_by))
        people = {person.user_id: person for person in (asker.person, user.person)}
        wait = Logins({user.user_id: self.credentials}, NOW).wait(asker.user_id, user.user_id)
        refusal = refusal_to_decide(decision, request, asker.person, user.person, fingerprint, wait=wait)
        if refusal is not None:
            return refused(refusal, wait, people)
        outcome = ApprovalStatus.APPROVED if decision is Decision.APPROVE else ApprovalStatus.REFUSED
        self.now = now.model_copy(update={"status": outcome, "decided_by": user.login, "decided_at": NOW})
        return self.now


def a_stage(stage: Stage = Stage.HALTED, **changes: Any) -> StageView:
    """Build the stage of the whole platform."""
    values: dict[str, Any] = {
        "scope": "global",
        "scope_id": "global",
        "stage": stage,
        "version": 2,
        "reason": "drill",
        "changed_by": "mina",
        "changed_at": NOW,
    }
    return StageView(**(values | changes))


@dataclass
class FakeRisk:
    """A halted platform with one account's limits."""

    stage: Stage | None = Stage.HALTED
    values: dict[str, Any] = field(
        default_factory=lambda: {"version": 3, "order_notional_max": "10000", "instruments_allowed": None}
    )

    async def known(self, scope: Scope, scope_id: str) -> bool:
        return scope_id != "nosuch"

    async def stages(self) -> list[StageView]:
        return [a_stage(self.stage)] if self.stage else []

    async def limits(self) -> list[LimitsView]:
        return [LimitsView(account_id="paper", version=3, values=self.values, changed_by="start", created_at=NOW)]

    async def _page(self, *_: Any) -> Page[Any]:
        return Page(items=[])

    async def _list(self, *_: Any) -> list[Any]:
        return []

    stage_changes = limit_versions = transfers = posture_changes = ladder_events = _page
    postures = _list


@dataclass
class FakeGuards:
    """One latch that is on, and nothing else."""

    latch_now: LatchView = field(
        default_factory=lambda: LatchView(
            latch_id=7,
            account_id="paper",
            scope="strategy",
            scope_id="ema",
            code="order_count_exceeded",
            reason="too many",
            latched_at=NOW,
            expires_at=None,
            released_at=None,
            released_by=None,
        )
    )

    async def latches(self, page: Any, *, is_on: bool | None) -> Page[LatchView]:
        return Page(items=[self.latch_now])

    async def latched(self, scope: Scope, scope_id: str) -> list[LatchView]:
        return [self.latch_now] if (scope, scope_id) == (self.latch_now.scope, self.latch_now.scope_id) else []

    async def venues(self) -> list[Any]:
        return []

    async def _page(self, *_: Any) -> Page[Any]:
        return Page(items=[])

    protections = flattenings = equity_marks = _page


@dataclass
class FakeBooks:
    """All reads: one order, one strategy, and nothing else."""

    order_now: OrderView | None = field(default_factory=an_order)
    fault: Exception | None = None

    async def accounts(self, last: Any) -> list[Any]:
        if self.fault:
            raise self.fault
        return []

    async def positions(self, *_: Any) -> list[Any]:
        return []

    async def orders(self, *_: Any) -> Page[OrderView]:
        return Page(items=[self.order_now] if self.order_now else [], next_cursor=None)

    async def order(self, client_order_id: str) -> OrderView | None:
        return self.order_now if self.order_now and self.order_now.client_order_id == client_order_id else None

    async def strategies(self) -> list[StrategyView]:
        return [a_strategy()]

    async def strategy(self, strategy_id: str) -> StrategyView | None:
        return next(
            (
                each
                for each in (a_strategy(), a_strategy(strategy_id="other", account_id="other"))
                if each.strategy_id == strategy_id
            ),
            None,
        )

    async def why(self, *_: Any) -> None:
        return None

    async def acknowledge(self, *_: Any) -> None:
        return None

    async def _page(self, *_: Any) -> Page[Any]:
        return Page(items=[])

    async def _list(self) -> list[Any]:
        return []

    fills = ledger = reconciliations = signals = decisions = verdicts = alerts = bars = _page
    jobs = _list


@dataclass
class FakeSystem:
    """A platform that did a little, with books that are right until a finding is put in."""

    since: list[datetime] = field(default_factory=list)
    found: list[Finding] = field(default_factory=lambda: [Finding("the ledger sums to zero", [])])

    async def activity(self, since: datetime) -> Activity:
        self.since.append(since)
        return Activity(3, 2, 1, 2, {"price_stale": 2}, {"filled": 1}, 1, 0, (Decimal("1.5"), Decimal(9)))

    async def findings(self) -> list[Finding]:
        return self.found


class FakeMarket:
    async def latest(self) -> dict[str, Quote]:
        at_ns = nanoseconds(NOW)
        quote = Quote("BTC/USDT@binance", Decimal(100), None, None, at_ns, at_ns, Decimal(5))
        return {quote.instrument_id: quote}

    async def heartbeats(self) -> list[Any]:
        return []


@dataclass
class FakeTickets:
    claims: dict[str, AccessClaims] = field(default_factory=dict)

    async def issue(self, claims: AccessClaims) -> str:
        ticket = f"ticket-{len(self.claims)}"
        self.claims[ticket] = claims
        return ticket

    async def redeem(self, ticket: str) -> AccessClaims | None:
        return self.claims.pop(ticket, None)


@dataclass
class FakeRates:
    wait: int = 0
    buckets: list[str] = field(default_factory=list)

    async def wait_s(self, bucket: str, key: str, per_minute: int) -> int:
        self.buckets.append(bucket)
        return self.wait


@dataclass
class FakeCounters:
    logins: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def login(self, outcome: str) -> None:
        self.logins.append(outcome)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests.append((route, method, status))

    def ws_dropped(self, why: str) -> None:
        self.dropped.append(why)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def books() -> FakeBooks:
    return FakeBooks()


@pytest.fixture
def gateway(clock: FixedClock, books: FakeBooks) -> Gateway:
    """Give a gateway whose world is made of fakes."""
    fakes: dict[str, Any] = {
        "clock": clock,
        "limits": Limits(origins=("https://desk.example",)),
        "passwords": FakePasswords(),
        "tokens": FakeTokens(),
        "sessions": FakeSessions(),
        "users": FakeUsers(),
        "audit": FakeAudit(),
        "commands": FakeCommands(),
        "approvals": FakeApprovals(),
        "trading": books,
        "judgement": books,
        "why": books,
        "platform": books,
        "risk": FakeRisk(),
        "guards": FakeGuards(),
        "system": FakeSystem(),
        "market": FakeMarket(),
        "tickets": FakeTickets(),
        "rates": FakeRates(),
        "feed": None,
        "counters": FakeCounters(),
    }
    return Gateway(**fakes)


@pytest.fixture(scope="session")
def application() -> Any:
    """Give one application for all tests: only its ports change."""
    return create_http()


@pytest.fixture
def http(application: Any, gateway: Gateway) -> Any:
    """Give the application over the fakes."""
    application.state.gateway = gateway
    return application


ClientAs = Callable[[str | None], httpx2.AsyncClient]


@pytest_asyncio.fixture
async def client_as(http: Any) -> AsyncIterator[ClientAs]:
    """Give a client that is signed in with a role; None is nobody."""
    opened: list[httpx2.AsyncClient] = []

    def client(role: str | None) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {role}"} if role else {}
        transport = httpx2.ASGITransport(app=http, client=("10.0.0.9", 1))
        opened.append(httpx2.AsyncClient(transport=transport, base_url="https://gateway.test", headers=headers))
        return opened[-1]

    yield client
    for each in opened:
        await each.aclose()
