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
from api_gateway.domain.holders import Credentials
from api_gateway.domain.rights import Role
from api_gateway.domain.second_person import UserChange
from api_gateway.ports.people import User
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database, Unit
from sigmax.schemas.control import Alert
from sigmax.schemas.types import AlertLevel

USER_COLUMNS = (
    "u.user_id, u.login, u.role, u.accounts, u.is_active, u.token_version, u.created_at, u.last_login_at,"
    " u.is_own_password, u.password_set_by, u.password_set_at, u.rights_set_by, u.rights_set_at"
)
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
        credentials=Credentials(
            is_own_password=row["is_own_password"],
            password_set_by=row["password_set_by"],
            password_set_at=row["password_set_at"],
            rights_set_by=frozenset(row["rights_set_by"]),
            rights_set_at=row["rights_set_at"],
        ),
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
            await self._insert(unit.session, FIRST_ADMIN, Role.ADMIN, frozenset(), password_hash, by=None, address="")
            return True

    async def is_empty(self) -> bool:
        """Say whether there is no user yet."""
        async with self._database.reading() as session:
            return not await rows(session, "SELECT 1 FROM users LIMIT 1")

    async def add_user(
        self, login: str, role: Role, accounts: frozenset[str], password_hash: str, *, by: User, address: str
    ) -> User | None:
        """Add a user; None when the login is taken."""
        try:
            async with self._database.transaction() as unit:
                user_id = await self._insert(unit.session, login, role, accounts, password_hash, by=by, address=address)
                _tell(unit, user_id, f"{by.login} added the login {login} ({role.value}).", self._clock.now())
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
        by: User | None,
        address: str,
    ) -> UUID:
        user_id, now = new_id(), self._clock.now()
        await session.execute(
            text(
                "INSERT INTO users (user_id, login, role, accounts, password_hash, created_at, is_own_password,"
                " password_set_by, password_set_at)"
                " VALUES (:user_id, :login, :role, :accounts, :password_hash, :now, :is_own, :by, :set_at)"
            ),
            {
                "user_id": user_id,
                "login": login,
                "role": role.value,
                "accounts": sorted(accounts),
                "password_hash": password_hash,
                "now": now,
                "is_own": by is None,
                "by": by.user_id if by else None,
                "set_at": now if by else None,
            },
        )
        detail = {"role": role.value, "accounts": ",".join(sorted(accounts))}
        actor = by.login if by else "system"
        await append(session, AuditEntry(now, actor, "user_added", login, detail, address))
        return user_id

    async def change_user(self, user_id: UUID, change: UserChange, *, by: User, address: str) -> User | None:
        """Change a user and end all of the user's sessions. None: it would leave no active admin."""
        async with self._database.transaction() as unit:
            return await change_user(unit, user_id, change, by=(by,), address=address, now=self._clock.now())

    async def set_password(self, user_id: UUID, password_hash: str, *, by: User, address: str) -> None:
        """Store a new password and end all of the user's sessions. By anybody else it is not the user's own."""
        now, is_own = self._clock.now(), by.user_id == user_id
        async with self._database.transaction() as unit:
            changed = await unit.session.execute(
                text(
                    # One's own password neither starts the cool-down anew nor ends it: who set the last one may have
                    # signed in with it and be the one who changes it now.
                    "UPDATE users SET password_hash = :hash, is_own_password = :is_own,"
                    " password_set_by = CASE WHEN :is_own THEN password_set_by ELSE :by END,"
                    " password_set_at = CASE WHEN :is_own THEN password_set_at ELSE :now END"
                    " WHERE user_id = :user_id RETURNING login"
                ),
                {"hash": password_hash, "user_id": user_id, "is_own": is_own, "by": by.user_id, "now": now},
            )
            login = changed.scalar_one()
            if not is_own:
                _tell(unit, user_id, f"{by.login} set the password of {login}, whose sessions have ended.", now)
            await end_sessions(unit.session, user_id, "password changed", now)
            await append(unit.session, AuditEntry(now, by.login, "password_changed", login, {}, address))


async def all_users(session: AsyncSession) -> list[User]:
    """Give all users by login."""
    return [user_of(row) for row in await rows(session, f"SELECT {USER_COLUMNS} FROM users u ORDER BY u.login")]  # noqa: S608


def _tell(unit: Unit, user_id: UUID, what: str, now: datetime) -> None:
    """Tell people that somebody set a login: the cool-down is worth as much as they hear of it."""
    unit.publish(
        Alert(
            **Alert.first(f"login_set:{user_id}:{now.isoformat()}", now),
            producer="api_gateway",
            level=AlertLevel.WARNING,
            code="login_set",
            subject=str(user_id),
            text=f"{what} Was this not agreed on: switch that login off (PATCH /api/v1/users/{user_id}).",
            values={"user_id": str(user_id)},
            dedupe_key=f"login_set:{user_id}:{now.isoformat()}",
        )
    )


async def change_user(
    unit: Unit, user_id: UUID, change: UserChange, *, by: Sequence[User], address: str, now: datetime
) -> User | None:
    """Change a user and end all of the user's sessions. None: there is none, or it would leave no active admin.

    `by` is one person, or both where a second one approved it.
    """
    session = unit.session
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
    gives_rights = change.needs_second_person(user.person)
    actors = ", ".join(each.login for each in by)
    changed = await session.execute(
        text(
            "UPDATE users SET role = coalesce(:role, role), accounts = coalesce(:accounts, accounts),"
            " is_active = coalesce(:is_active, is_active),"
            " rights_set_by = CASE WHEN :gives_rights THEN CAST(:by AS uuid[]) ELSE rights_set_by END,"
            " rights_set_at = CASE WHEN :gives_rights THEN :now ELSE rights_set_at END"
            " WHERE user_id = :user_id RETURNING role, accounts, is_active"
        ),
        {
            "role": change.role.value if change.role else None,
            "accounts": sorted(change.accounts) if change.accounts is not None else None,
            "is_active": change.is_active,
            "gives_rights": gives_rights,
            "by": [each.user_id for each in by if each.user_id != user_id],
            "now": now,
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
    await append(session, AuditEntry(now, actors, "user_changed", user.login, detail, address))
    if gives_rights:
        _tell(unit, user_id, f"{actors} gave rights to {user.login}: {_given(detail)}.", now)
    return await user_by_id(session, user_id)


def _given(detail: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {change}" for name, change in detail.items() if len(set(change.split(" -> "))) > 1)


async def user_by_id(session: AsyncSession, user_id: UUID) -> User | None:
    """Give one user, or None."""
    found = await rows(session, f"SELECT {USER_COLUMNS} FROM users u WHERE u.user_id = :id", {"id": user_id})  # noqa: S608
    return user_of(found[0]) if found else None
