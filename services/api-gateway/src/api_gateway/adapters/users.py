"""Users in Postgres: every change ends the user's sessions and leaves an audit entry, in one transaction."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.audit import append
from api_gateway.adapters.sql import rows
from api_gateway.domain.audit import AuditEntry
from api_gateway.domain.rights import Role
from api_gateway.domain.second_person import UserChange
from api_gateway.ports.people import User
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database

USER_COLUMNS = "u.user_id, u.login, u.role, u.accounts, u.is_active, u.token_version, u.created_at, u.last_login_at"
FIRST_ADMIN = "admin"


def new_id() -> UUID:
    """Make a random id."""
    return UUID(bytes=secrets.token_bytes(16), version=4)


def user_of(row: Mapping[str, Any]) -> User:
    """Give the user of a row."""
    return User(
        user_id=row["user_id"],
        login=row["login"],
        role=Role(row["role"]),
        accounts=frozenset(row["accounts"]),
        is_active=row["is_active"],
        token_version=row["token_version"],
        created_at=row["created_at"],
        last_login_at=row["last_login_at"],
    )


async def end_sessions(session: AsyncSession, user_id: UUID, why: str, at: Any) -> None:
    """Revoke every family of a user, and by the version every access token that is out."""
    await session.execute(
        text(
            "UPDATE refresh_families SET revoked_at = :at, revoked_why = :why"
            " WHERE user_id = :user_id AND revoked_at IS NULL"
        ),
        {"at": at, "why": why, "user_id": user_id},
    )
    await session.execute(
        text("UPDATE users SET token_version = token_version + 1 WHERE user_id = :user_id"), {"user_id": user_id}
    )


class PostgresUsers:
    """Lists, adds, and changes users."""

    def __init__(self, database: Database, clock: ClockPort) -> None:
        self._database = database
        self._clock = clock

    async def users(self) -> Sequence[User]:
        """Give all users by login."""
        async with self._database.reading() as session:
            return await all_users(session)

    async def user(self, user_id: UUID) -> User | None:
        """Give one user."""
        async with self._database.reading() as session:
            return await user_by_id(session, user_id)

    async def ensure_first_admin(self, password_hash: str) -> bool:
        """Add the first admin where there is no user at all; say whether it was added."""
        async with self._database.transaction() as unit:
            # Two replicas may start at once; only one of them may find the table empty.
            await unit.session.execute(text("SELECT pg_advisory_xact_lock(hashtext('api_gateway.first_admin'))"))
            if (await unit.session.execute(text("SELECT 1 FROM users LIMIT 1"))).first() is not None:
                return False
            await self._insert(
                unit.session, FIRST_ADMIN, Role.ADMIN, frozenset(), password_hash, by="system", address=""
            )
            return True

    async def is_empty(self) -> bool:
        """Say whether there is no user yet."""
        async with self._database.reading() as session:
            return not await rows(session, "SELECT 1 FROM users LIMIT 1")

    async def add_user(
        self, login: str, role: Role, accounts: frozenset[str], password_hash: str, *, by: str, address: str
    ) -> User | None:
        """Add a user; None when the login is taken."""
        try:
            async with self._database.transaction() as unit:
                user_id = await self._insert(unit.session, login, role, accounts, password_hash, by=by, address=address)
                return await user_by_id(unit.session, user_id)
        except IntegrityError:
            return None

    async def _insert(
        self,
        session: AsyncSession,
        login: str,
        role: Role,
        accounts: frozenset[str],
        password_hash: str,
        *,
        by: str,
        address: str,
    ) -> UUID:
        user_id, now = new_id(), self._clock.now()
        await session.execute(
            text(
                "INSERT INTO users (user_id, login, role, accounts, password_hash, created_at)"
                " VALUES (:user_id, :login, :role, :accounts, :password_hash, :now)"
            ),
            {
                "user_id": user_id,
                "login": login,
                "role": role.value,
                "accounts": sorted(accounts),
                "password_hash": password_hash,
                "now": now,
            },
        )
        detail = {"role": role.value, "accounts": ",".join(sorted(accounts))}
        await append(session, AuditEntry(now, by, "user_added", login, detail, address))
        return user_id

    async def change_user(self, user_id: UUID, change: UserChange, *, by: str, address: str) -> User | None:
        """Change a user and end all of the user's sessions. None: it would leave no active admin."""
        async with self._database.transaction() as unit:
            return await change_user(unit.session, user_id, change, by=by, address=address, now=self._clock.now())

    async def set_password(self, user_id: UUID, password_hash: str, *, by: str, address: str) -> None:
        """Store a new password and end all of the user's sessions."""
        now = self._clock.now()
        async with self._database.transaction() as unit:
            changed = await unit.session.execute(
                text("UPDATE users SET password_hash = :hash WHERE user_id = :user_id RETURNING login"),
                {"hash": password_hash, "user_id": user_id},
            )
            login = changed.scalar_one()
            await end_sessions(unit.session, user_id, "password changed", now)
            await append(unit.session, AuditEntry(now, by, "password_changed", login, {}, address))


async def all_users(session: AsyncSession) -> list[User]:
    """Give all users by login."""
    return [user_of(row) for row in await rows(session, f"SELECT {USER_COLUMNS} FROM users u ORDER BY u.login")]  # noqa: S608


async def change_user(
    session: AsyncSession, user_id: UUID, change: UserChange, *, by: str, address: str, now: datetime
) -> User | None:
    """Change a user and end all of the user's sessions. None: there is none, or it would leave no active admin.

    `by` is one login, or both where a second person approved it.
    """
    # Two admins who demote each other at once must not both succeed.
    admins = await rows(
        session, "SELECT user_id FROM users WHERE role = 'admin' AND is_active ORDER BY user_id FOR UPDATE"
    )
    user = await user_by_id(session, user_id)
    if user is None:
        return None
    is_active = user.is_active if change.is_active is None else change.is_active
    stays_admin = (change.role or user.role) is Role.ADMIN and is_active
    if not stays_admin and [row["user_id"] for row in admins] == [user_id]:
        return None
    changed = await session.execute(
        text(
            "UPDATE users SET role = coalesce(:role, role), accounts = coalesce(:accounts, accounts),"
            " is_active = coalesce(:is_active, is_active) WHERE user_id = :user_id"
            " RETURNING role, accounts, is_active"
        ),
        {
            "role": change.role.value if change.role else None,
            "accounts": sorted(change.accounts) if change.accounts is not None else None,
            "is_active": change.is_active,
            "user_id": user_id,
        },
    )
    row = changed.mappings().one()
    await end_sessions(session, user_id, "user changed", now)
    detail = {
        "role": f"{user.role.value} -> {row['role']}",
        "accounts": f"{','.join(sorted(user.accounts))} -> {','.join(row['accounts'])}",
        "is_active": f"{user.is_active} -> {row['is_active']}",
    }
    await append(session, AuditEntry(now, by, "user_changed", user.login, detail, address))
    return await user_by_id(session, user_id)


async def user_by_id(session: AsyncSession, user_id: UUID) -> User | None:
    """Give one user, or None."""
    found = await rows(session, f"SELECT {USER_COLUMNS} FROM users u WHERE u.user_id = :id", {"id": user_id})  # noqa: S608
    return user_of(found[0]) if found else None
