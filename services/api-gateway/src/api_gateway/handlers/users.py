"""Users and the audit: an admin's work."""

import secrets
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, SecretStr

from api_gateway.domain.passwords import LENGTH_MAX, weakness
from api_gateway.domain.problems import Problem, ProblemKind, not_found
from api_gateway.domain.rights import Role
from api_gateway.domain.second_person import UserChange
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import ApprovalView, AuditCheckView, AuditView, NewUserView, UserView
from api_gateway.handlers.context import AddressDep, CallerDep, Gateway, GatewayDep
from api_gateway.handlers.parameters import PageDep, Word
from api_gateway.handlers.persons import fields_of, shown
from api_gateway.ports.people import User
from sigmax.schemas.types import Name

router = APIRouter(tags=["users"])

_LOGIN = r"^[a-z0-9][a-z0-9._@-]{0,63}$"
AccountIds = Annotated[list[Annotated[Name, Field(pattern=r"^[!-~]+$")]], Field(max_length=100)]


class NewUserBody(BaseModel):
    """A user to add."""

    login: str = Field(pattern=_LOGIN, examples=["mina"])
    role: Role
    accounts: AccountIds = []
    """A trader needs at least one; see `GET /accounts`."""
    password: SecretStr | None = Field(default=None, max_length=LENGTH_MAX)
    """Left out, one is made and shown once."""


class UserChangeBody(BaseModel):
    """What to change; what is left out stays."""

    role: Role | None = None
    accounts: AccountIds | None = None
    is_active: bool | None = None


@router.get("/users")
async def list_users(_caller: CallerDep, gateway: GatewayDep) -> list[UserView]:
    """List all users by login."""
    cooldown = await gateway.approvals.cooldown()
    now = gateway.clock.now()
    return [UserView(**fields_of(user, now, cooldown)) for user in await gateway.users.users()]


@router.post("/users", status_code=201)
async def add_user(body: NewUserBody, caller: CallerDep, gateway: GatewayDep, address: AddressDep) -> NewUserView:
    """Add a user. A third admin is not added: an admin changes a user's role, and another one approves it.

    Until the user has chosen a password of their own, and for a day, the two logins do not count as two people.
    """
    accounts = frozenset(body.accounts)
    _check_accounts(body.role, accounts)
    if body.role is Role.ADMIN and await _has_two_admins(gateway):
        raise Problem(ProblemKind.CONFLICT, "Two admins are there: add a viewer and change the role; that takes both.")
    given = body.password.get_secret_value() if body.password else None
    password = given or _new_password()
    wrong = weakness(password, body.login)
    if wrong:
        raise Problem(ProblemKind.INVALID, "The password cannot be used.", errors=[("body.password", wrong)])
    hashed = await gateway.passwords.hash(password)
    user = await gateway.users.add_user(body.login, body.role, accounts, hashed, by=caller.user, address=address)
    if user is None:
        raise Problem(ProblemKind.CONFLICT, "This login is taken.")
    return NewUserView(**await shown(user, gateway), password=None if given else password)


@router.patch("/users/{user_id}", responses={202: {"model": ApprovalView}})
async def change_user(
    *,
    user_id: UUID,
    body: UserChangeBody,
    caller: CallerDep,
    gateway: GatewayDep,
    address: AddressDep,
    response: Response,
) -> UserView | ApprovalView:
    """Change a user's role or accounts, or switch the user off or on. It takes effect at once: all sessions end.

    What gives rights waits for a second admin (202): another role, more accounts, a login that works again.
    """
    user = await _existing(gateway, user_id)
    accounts = frozenset(body.accounts) if body.accounts is not None else None
    _check_accounts(body.role or user.role, user.accounts if accounts is None else accounts)
    change = UserChange(body.role, accounts, body.is_active)
    if change.needs_second_person(user.person):
        response.status_code = 202
        return await gateway.approvals.ask_user_change(user, change, caller.user, address)
    changed = await gateway.users.change_user(user_id, change, by=caller.user, address=address)
    if changed is None:
        raise Problem(ProblemKind.CONFLICT, "This is the last active admin: make another one first.")
    return UserView(**await shown(changed, gateway))


@router.post("/users/{user_id}/password")
async def reset_user_password(
    user_id: UUID, caller: CallerDep, gateway: GatewayDep, address: AddressDep
) -> NewUserView:
    """Make a new password for another user, shown once. All of the user's sessions end.

    Until that user has chosen a password of their own, and for a day, the two logins do not count as two people.
    """
    if user_id == caller.user.user_id:
        raise Problem(ProblemKind.CONFLICT, "Your own password is changed with POST /api/v1/auth/password.")
    await _existing(gateway, user_id)
    password = _new_password()
    hashed = await gateway.passwords.hash(password)
    await gateway.users.set_password(user_id, hashed, by=caller.user, address=address)
    return NewUserView(**await shown(await _existing(gateway, user_id), gateway), password=password)


@router.get("/audit")
async def list_audit(
    _caller: CallerDep, gateway: GatewayDep, page: PageDep, actor: Word = None, action: Word = None
) -> Page[AuditView]:
    """List who did what, newest first."""
    return await gateway.audit.entries(page, actor, action)


@router.get("/audit/check")
async def verify_audit(_caller: CallerDep, gateway: GatewayDep) -> AuditCheckView:
    """Walk the audit chain and say whether it holds."""
    return await gateway.audit.verify()


def _new_password() -> str:
    return secrets.token_urlsafe(20)


def _check_accounts(role: Role, accounts: frozenset[str]) -> None:
    if role is Role.TRADER and not accounts:
        raise Problem(
            ProblemKind.INVALID,
            "A trader steers named accounts.",
            errors=[("body.accounts", "name at least one account; GET /api/v1/accounts lists them")],
        )


async def _has_two_admins(gateway: Gateway) -> bool:
    """Say whether a role can be given by two people: until then the only admin must be able to add the second."""
    admins = [user for user in await gateway.users.users() if user.role is Role.ADMIN and user.is_active]
    return len(admins) > 1


async def _existing(gateway: Gateway, user_id: UUID) -> User:
    user = await gateway.users.user(user_id)
    if user is None:
        raise not_found("user")
    return user
