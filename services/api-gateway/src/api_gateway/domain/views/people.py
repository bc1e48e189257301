"""Users, sessions, audit, and commands."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from api_gateway.domain.commands import CommandStatus
from api_gateway.domain.rights import Right, Role
from api_gateway.domain.second_person import ApprovalKind, ApprovalStatus
from api_gateway.domain.views.base import Json, View
from sigmax.schemas.control import CommandName
from sigmax.schemas.types import Scope


class SessionView(View):
    """A new session, or the next part of one."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, not a secret
    expires_in_s: int
    refresh_token: str | None = None
    """Only when the request asked for it in the body; browsers get a cookie that scripts cannot read."""
    login: str
    role: Role


class UserView(View):
    """A person or program with a login."""

    user_id: UUID
    login: str
    role: Role
    accounts: list[str]
    """The trading accounts a trader may steer; the other roles need none."""
    is_active: bool
    has_own_password: bool
    """Its owner chose the password in force; what an admin made is to be changed (`POST /auth/password`)."""
    independent_from: datetime | None
    """From when on the login counts as its owner's alone in the rule of two; null where it does already."""
    created_at: datetime
    last_login_at: datetime | None = None


class MeView(UserView):
    """The caller."""

    rights: list[Right]


class NewUserView(UserView):
    """A user just added, or given a new password."""

    password: str | None = None
    """Shown once, and only when the gateway made it."""


class TicketView(View):
    """A ticket for one live connection."""

    ticket: str
    expires_in_s: int
    url: str = Field(examples=["/ws"])
    """Where to connect; the ticket is sent as the first message and never in the address."""


class AuditView(View):
    """One entry of the audit chain."""

    entry_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, str]
    address: str
    previous_hash: str
    hash: str


class AuditCheckView(View):
    """Whether the audit chain holds."""

    entries: int
    is_whole: bool
    broken_at: int | None = None
    """The first entry that does not fit."""
    what: str | None = None
    """What is wrong with it."""
    head: str
    """The newest hash: keep it elsewhere to notice a chain that was rewritten whole."""


class CommandView(View):
    """A command, and how far it has come."""

    command_id: UUID
    command: CommandName
    subject: str
    scope: Scope
    values: dict[str, str]
    reason: str
    requested_by: str
    requested_at: datetime
    approved_by: str | None = None
    """The second person, where one was needed and approved."""
    approved_at: datetime | None = None
    status: CommandStatus
    status_url: str
    approval_url: str | None = None
    """Where the second person approves; only where one is needed."""


class ApprovalView(View):
    """What waits for a second person, or no longer does."""

    approval_id: UUID
    kind: ApprovalKind
    action: str
    """The command, or `change_user`."""
    subject: str
    scope: Scope
    values: dict[str, str]
    """Exactly what will be done: nothing else can be approved."""
    before: dict[str, Json]
    """What held when it was asked for, by name."""
    reason: str
    fingerprint: str
    """Send it back with the approval: it says which values you saw."""
    needed_right: Right
    """What it takes to ask for this, and so to approve it."""
    account_id: str | None
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    status: ApprovalStatus
    approvers: int
    """How many other people could approve it now; where nobody ever could, an admin adds one (`POST /users`)."""
    next_approver: str | None
    """Where nobody could now: whose login counts as another person's soonest."""
    next_approver_from: datetime | None
    """From when on; what is asked for again then can be approved."""
    next_approver_needs_own_password: bool
    """Whether somebody must choose a password of their own before (`POST /auth/password`)."""
    decided_by: str | None
    decided_at: datetime | None
    status_url: str
