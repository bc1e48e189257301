"""What every route is given: the ports, and who calls."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from api_gateway.domain.problems import Problem, ProblemKind
from api_gateway.domain.rights import ROUTES, Right, may, may_steer
from api_gateway.domain.sessions import AccessClaims
from api_gateway.ports.books import (
    GuardBooksPort,
    JudgementBooksPort,
    PlatformBooksPort,
    RiskBooksPort,
    SystemBooksPort,
    TradingBooksPort,
    WhyPort,
)
from api_gateway.ports.commands import ApprovalsPort, CommandsPort
from api_gateway.ports.live import CountersPort, FeedPort, Limits, MarketPort, RatesPort, TicketsPort
from api_gateway.ports.people import AuditPort, PasswordsPort, SessionsPort, TokensPort, User, UsersPort
from sigmax.runtime.clock import ClockPort

_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Gateway:
    """All that the handlers need from the world."""

    clock: ClockPort
    limits: Limits
    passwords: PasswordsPort
    tokens: TokensPort
    sessions: SessionsPort
    users: UsersPort
    audit: AuditPort
    commands: CommandsPort
    approvals: ApprovalsPort
    trading: TradingBooksPort
    judgement: JudgementBooksPort
    why: WhyPort
    platform: PlatformBooksPort
    risk: RiskBooksPort
    guards: GuardBooksPort
    system: SystemBooksPort
    market: MarketPort
    tickets: TicketsPort
    rates: RatesPort
    feed: FeedPort
    counters: CountersPort


@dataclass(frozen=True)
class Caller:
    """Who calls, and by which session."""

    user: User
    claims: AccessClaims

    def check_account(self, account_id: str) -> None:
        """Refuse to act on an account that is not the caller's. Raises `Problem`."""
        if not may_steer(self.user.role, self.user.accounts, account_id):
            raise Problem(ProblemKind.NOT_ALLOWED, "You may steer only the accounts that an admin gave you.")


def gateway_of(connection: HTTPConnection) -> Gateway:
    """Give the ports; `app.py` sets them before the first request is taken."""
    gateway: Gateway = connection.app.state.gateway
    return gateway


def address_of(connection: HTTPConnection) -> str:
    """Give the caller's network address, as the server saw it."""
    return connection.client.host if connection.client else ""


_bearer = HTTPBearer(auto_error=False, description="The access token of `POST /api/v1/auth/login`.")


async def authorise(
    request: Request,
    gateway: Annotated[Gateway, Depends(gateway_of)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """Give the caller, if the table of rights lets the caller's role use this route. Raises `Problem`."""
    right = ROUTES[request.scope["route"].name]
    claims = gateway.tokens.read(bearer.credentials) if bearer else None
    if claims is None:
        raise Problem(ProblemKind.NOT_SIGNED_IN, "The access token is missing, not valid, or past its time.")
    user = await gateway.sessions.caller(claims)
    if user is None:
        raise Problem(ProblemKind.SESSION_ENDED, "The session was ended, or the user was changed.")
    await check_rate(gateway, str(user.user_id), is_change=request.method not in _READS and right is not Right.REDUCE)
    if not may(user.role, right):
        raise Problem(ProblemKind.NOT_ALLOWED, f"This asks for the right `{right}`; the role {user.role} has it not.")
    return Caller(user, claims)


async def check_rate(gateway: Gateway, key: str, *, is_change: bool) -> None:
    """Count one request of a user or an address. Raises `Problem` when the minute's budget is spent.

    What lowers risk counts as a read: a trader who has spent the budget of changes can still halt.
    """
    bucket, most = (
        ("changes", gateway.limits.changes_per_minute)
        if is_change
        else ("requests", gateway.limits.requests_per_minute)
    )
    wait_s = await gateway.rates.wait_s(bucket, key, most)
    if wait_s:
        raise Problem(ProblemKind.TOO_MANY, f"At most {most} {bucket} a minute.", retry_after_s=wait_s)


GatewayDep = Annotated[Gateway, Depends(gateway_of)]
CallerDep = Annotated[Caller, Depends(authorise)]
AddressDep = Annotated[str, Depends(address_of)]
