"""Signing in, staying in, getting out."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Header, Response
from pydantic import BaseModel, Field, SecretStr

from api_gateway.domain.passwords import LENGTH_MAX, weakness
from api_gateway.domain.problems import Problem, ProblemKind
from api_gateway.domain.rights import GRANTS, Right
from api_gateway.domain.sessions import ACCESS_LIFE, IDLE_MAX, AccessClaims, RefreshOutcome
from api_gateway.domain.views.people import MeView, SessionView, TicketView
from api_gateway.handlers.context import AddressDep, CallerDep, Gateway, GatewayDep, check_rate
from api_gateway.handlers.persons import shown
from api_gateway.ports.people import User

public = APIRouter(prefix="/auth", tags=["auth"])
private = APIRouter(tags=["auth"])

COOKIE = "__Host-sigmax-refresh"
_LOGIN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
_TICKET_LIFE_S = 30

RefreshCookie = Annotated[str | None, Cookie(alias=COOKIE, max_length=128)]
RequestedWith = Annotated[
    str | None,
    Header(
        alias="X-Requested-With",
        max_length=64,
        description="Any text; required where the cookie stands for the caller. A page of a stranger cannot send it.",
    ),
]


class LoginBody(BaseModel):
    """Who signs in, and where the refresh token should go."""

    login: str = Field(pattern=_LOGIN, examples=["admin"])
    password: SecretStr = Field(min_length=1, max_length=LENGTH_MAX)
    wants_refresh_token: bool = False
    """True puts the refresh token into the answer instead of a cookie: for programs, not for browsers."""


class RefreshBody(BaseModel):
    """The refresh token of a program; browsers send a cookie instead."""

    refresh_token: SecretStr | None = Field(default=None, max_length=128)


class PasswordBody(BaseModel):
    """The present password and the next one."""

    current_password: SecretStr = Field(min_length=1, max_length=LENGTH_MAX)
    new_password: SecretStr = Field(min_length=1, max_length=LENGTH_MAX)


@dataclass(frozen=True)
class Presented:
    """A refresh token, and whether it came in the body: there the next one goes too."""

    token: str | None
    in_body: bool


def presented(
    body: RefreshBody | None = None, cookie: RefreshCookie = None, requested_with: RequestedWith = None
) -> Presented:
    """Read the refresh token from the body or the cookie. Raises `Problem` for a cookie alone."""
    if body is not None and body.refresh_token is not None:
        return Presented(body.refresh_token.get_secret_value(), in_body=True)
    if cookie is not None and not requested_with:
        raise Problem(ProblemKind.HEADER_MISSING, "A request with the session cookie needs `X-Requested-With`.")
    return Presented(cookie, in_body=False)


PresentedDep = Annotated[Presented, Depends(presented)]


@public.post("/login")
async def login(body: LoginBody, response: Response, gateway: GatewayDep, address: AddressDep) -> SessionView:
    """Sign in. Unknown logins get the same answer, after the same work, as wrong passwords."""
    name = body.login.lower()
    await _count_try(gateway, name, address)
    found = await gateway.sessions.credentials(name)
    is_right = await gateway.passwords.matches(body.password.get_secret_value(), found[1] if found else None)
    if found is None or not is_right:
        gateway.counters.login("wrong")
        await gateway.sessions.login_failed(name, address)
        raise Problem(ProblemKind.CREDENTIALS_WRONG)
    gateway.counters.login("ok")
    user = found[0]
    family_id, refresh_token = await gateway.sessions.open_session(user, address)
    claims = AccessClaims(user.user_id, family_id, user.token_version)
    return _session(gateway, user, claims, refresh_token, response, in_body=body.wants_refresh_token)


@public.post("/refresh")
async def refresh(
    response: Response,
    gateway: GatewayDep,
    address: AddressDep,
    shown: PresentedDep,
) -> SessionView:
    """Get a new access token and the next refresh token. Using one twice ends the session for everyone who has it."""
    await check_rate(gateway, address, is_change=False)
    if shown.token is None:
        raise Problem(ProblemKind.SESSION_ENDED, "There is no refresh token in the request.")
    refreshed = await gateway.sessions.refresh(shown.token, address)
    if refreshed.outcome is not RefreshOutcome.ROTATE:
        raise Problem(ProblemKind.SESSION_ENDED, "The refresh token is not valid any more.")
    user, family_id, following = refreshed.user, refreshed.family_id, refreshed.token
    assert user is not None, "a rotated token has a user"
    assert family_id is not None, "a rotated token has a family"
    assert following is not None, "a rotated token has a next one"
    claims = AccessClaims(user.user_id, family_id, user.token_version)
    return _session(gateway, user, claims, following, response, in_body=shown.in_body)


@public.post("/logout", status_code=204)
async def logout(
    response: Response,
    gateway: GatewayDep,
    address: AddressDep,
    shown: PresentedDep,
    authorization: Annotated[str | None, Header(max_length=4096, include_in_schema=False)] = None,
) -> None:
    """End the session: its refresh token and access tokens are worthless from now on. Repeating does no harm."""
    await check_rate(gateway, address, is_change=False)
    scheme, _, bearer = (authorization or "").partition(" ")
    claims = gateway.tokens.read(bearer) if scheme.lower() == "bearer" else None
    await gateway.sessions.close_session(shown.token, claims.family_id if claims else None, address)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


@private.get("/auth/me")
async def get_me(caller: CallerDep, gateway: GatewayDep) -> MeView:
    """Give the caller, and what the caller may do."""
    rights = [right for right in Right if caller.user.role in GRANTS[right]]
    return MeView(**await shown(caller.user, gateway), rights=rights)


@private.post("/auth/password", status_code=204)
async def change_password(body: PasswordBody, caller: CallerDep, gateway: GatewayDep, address: AddressDep) -> None:
    """Change one's own password. All of the user's sessions end, this one included."""
    user = caller.user
    await _count_try(gateway, user.login, address)
    found = await gateway.sessions.credentials(user.login)
    if found is None or not await gateway.passwords.matches(body.current_password.get_secret_value(), found[1]):
        raise Problem(ProblemKind.CONFLICT, "The current password is not this one.")
    new = body.new_password.get_secret_value()
    wrong = weakness(new, user.login)
    if wrong:
        raise Problem(ProblemKind.INVALID, "The new password cannot be used.", errors=[("body.new_password", wrong)])
    await gateway.users.set_password(user.user_id, await gateway.passwords.hash(new), by=user, address=address)


@private.post("/ws-ticket", status_code=201)
async def issue_ws_ticket(caller: CallerDep, gateway: GatewayDep) -> TicketView:
    """Get a ticket for one live connection: sent as its first message within 30 s, and good for one use."""
    ticket = await gateway.tickets.issue(caller.claims)
    return TicketView(ticket=ticket, expires_in_s=_TICKET_LIFE_S, url="/ws")


async def _count_try(gateway: Gateway, name: str, address: str) -> None:
    wait_s = await gateway.sessions.begin_login(name, address)
    if wait_s:
        gateway.counters.login("limited")
        raise Problem(ProblemKind.TOO_MANY, "Too many failed tries.", retry_after_s=wait_s)


def _session(
    gateway: Gateway, user: User, claims: AccessClaims, refresh_token: str, response: Response, *, in_body: bool
) -> SessionView:
    if not in_body:
        response.set_cookie(
            COOKIE,
            refresh_token,
            max_age=int(IDLE_MAX.total_seconds()),
            path="/",
            secure=True,
            httponly=True,
            samesite="strict",
        )
    return SessionView(
        access_token=gateway.tokens.issue(claims),
        expires_in_s=int(ACCESS_LIFE.total_seconds()),
        refresh_token=refresh_token if in_body else None,
        login=user.login,
        role=user.role,
    )
