"""Users, their logins and sessions, and the audit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from api_gateway.domain.audit import AuditEntry
from api_gateway.domain.holders import Credentials
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.rights import Role
from api_gateway.domain.second_person import Person, UserChange
from api_gateway.domain.sessions import AccessClaims, RefreshOutcome
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import AuditCheckView, AuditView


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
    credentials: Credentials = field(default_factory=Credentials)
    """What others had to do with it."""

    @property
    def person(self) -> Person:
        """Give what the rule of two looks at."""
        return Person(
            self.user_id, self.login, self.role, self.accounts, self.is_active, self.credentials.password_set_at
        )


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
        self, login: str, role: Role, accounts: frozenset[str], password_hash: str, *, by: User, address: str
    ) -> User | None:
        """Add a user; None when the login is taken."""
        ...

    async def change_user(self, user_id: UUID, change: UserChange, *, by: User, address: str) -> User | None:
        """Change a user and end all of the user's sessions. None: it would leave no active admin."""
        ...

    async def set_password(self, user_id: UUID, password_hash: str, *, by: User, address: str) -> None:
        """Store a new password and end all of the user's sessions. By anybody else it is not the user's own."""
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
