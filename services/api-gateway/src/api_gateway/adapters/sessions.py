"""Logins and sessions in Postgres: tokens are stored as hashes, and every refresh token is good once."""

import hashlib
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.audit import append
from api_gateway.adapters.sql import rows
from api_gateway.adapters.users import USER_COLUMNS, new_id, user_of
from api_gateway.domain.audit import AuditEntry
from api_gateway.domain.logins import WINDOW, Failures, LoginLimits, wait_s
from api_gateway.domain.sessions import (
    FAMILY_LIFE,
    AccessClaims,
    RefreshOutcome,
    StoredRefresh,
    judge_refresh,
    refresh_expiry,
)
from api_gateway.ports.people import Refreshed, User
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database

_STORED = (
    f"SELECT {USER_COLUMNS}, t.expires_at, t.used_at, f.family_id,"  # noqa: S608
    " f.expires_at AS family_expires_at, f.revoked_at"
    " FROM refresh_tokens t JOIN refresh_families f USING (family_id) JOIN users u USING (user_id)"
    " WHERE t.token_hash = :hash FOR UPDATE OF t, f"
)
_CALLER = (
    f"SELECT {USER_COLUMNS} FROM users u JOIN refresh_families f USING (user_id)"  # noqa: S608
    " WHERE user_id = :user_id AND f.family_id = :family_id AND f.revoked_at IS NULL AND f.expires_at > :now"
    " AND u.is_active AND u.token_version = :version"
)


def _hash(token: str) -> str:
    # 256 random bits need no slow hash: nobody can guess through them.
    return hashlib.sha256(token.encode()).hexdigest()


class PostgresSessions:
    """Opens, refreshes, and ends sessions."""

    def __init__(self, database: Database, clock: ClockPort, limits: LoginLimits) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits

    async def begin_login(self, login: str, address: str) -> int:
        """Count a try before its outcome is known; give the seconds to wait, 0 when it may go on.

        The try is written before the password is looked at, under a lock: many tries at once cannot pass together.
        """
        now = self._clock.now()
        async with self._database.transaction() as unit:
            await unit.session.execute(
                text("SELECT pg_advisory_xact_lock(hashtext(:login))"), {"login": f"login:{login}"}
            )
            wait = wait_s(await _failures(unit.session, login, address, now), self._limits, now)
            if wait == 0:
                await unit.session.execute(
                    text("INSERT INTO login_attempts (login, address, at) VALUES (:login, :address, :at)"),
                    {"login": login, "address": address, "at": now},
                )
            return wait

    async def credentials(self, login: str) -> tuple[User, str] | None:
        """Give an active user and the stored hash, by login."""
        async with self._database.reading() as session:
            found = await rows(
                session,
                f"SELECT {USER_COLUMNS}, u.password_hash FROM users u WHERE u.login = :login AND u.is_active",  # noqa: S608
                {"login": login},
            )
        return (user_of(found[0]), found[0]["password_hash"]) if found else None

    async def open_session(self, user: User, address: str) -> tuple[UUID, str]:
        """Clear the failed tries of this login and address; give a new family and its first refresh token."""
        now = self._clock.now()
        family_id = new_id()
        async with self._database.transaction() as unit:
            session = unit.session
            await session.execute(
                text("DELETE FROM login_attempts WHERE login = :login AND address = :address"),
                {"login": user.login, "address": address},
            )
            await session.execute(
                text(
                    "INSERT INTO refresh_families (family_id, user_id, address, created_at, expires_at)"
                    " VALUES (:family_id, :user_id, :address, :now, :expires_at)"
                ),
                {
                    "family_id": family_id,
                    "user_id": user.user_id,
                    "address": address,
                    "now": now,
                    "expires_at": now + FAMILY_LIFE,
                },
            )
            token = await _next_token(session, family_id, now + FAMILY_LIFE, now)
            await session.execute(
                text("UPDATE users SET last_login_at = :now WHERE user_id = :id"), {"now": now, "id": user.user_id}
            )
            await append(session, AuditEntry(now, user.login, "login", user.login, {}, address))
        return family_id, token

    async def login_failed(self, login: str, address: str) -> None:
        """Write the failed try into the audit."""
        async with self._database.transaction() as unit:
            await append(unit.session, AuditEntry(self._clock.now(), login, "login_failed", login, {}, address))

    async def refresh(self, token: str, address: str) -> Refreshed:
        """Exchange a refresh token for the next one; a second use revokes the family."""
        now = self._clock.now()
        async with self._database.transaction() as unit:
            found = await rows(unit.session, _STORED, {"hash": _hash(token)})
            if not found:
                return Refreshed(None)
            user, stored = user_of(found[0]), _stored(found[0])
            outcome = judge_refresh(stored, now)
            if outcome is RefreshOutcome.ROTATE:
                await unit.session.execute(
                    text("UPDATE refresh_tokens SET used_at = :now WHERE token_hash = :hash"),
                    {"now": now, "hash": _hash(token)},
                )
                following = await _next_token(unit.session, stored.family_id, stored.family_expires_at, now)
                return Refreshed(outcome, user, stored.family_id, following)
            if outcome is RefreshOutcome.REUSED:
                await _revoke(unit.session, stored.family_id, "refresh token used twice", now)
                detail = {"family": str(stored.family_id)}
                await append(unit.session, AuditEntry(now, user.login, "refresh_reused", user.login, detail, address))
            return Refreshed(outcome, user, stored.family_id)

    async def close_session(self, token: str | None, family_id: UUID | None, address: str) -> None:
        """Revoke the family of a refresh token, or the one named; nothing happens when there is none."""
        now = self._clock.now()
        async with self._database.transaction() as unit:
            found = await rows(
                unit.session,
                "SELECT f.family_id, u.login FROM refresh_families f JOIN users u USING (user_id)"
                " WHERE f.revoked_at IS NULL AND (f.family_id = :family_id OR f.family_id ="
                " (SELECT family_id FROM refresh_tokens WHERE token_hash = :hash))",
                {"family_id": family_id, "hash": _hash(token) if token else ""},
            )
            for row in found:
                await _revoke(unit.session, row["family_id"], "logout", now)
                await append(unit.session, AuditEntry(now, row["login"], "logout", row["login"], {}, address))

    async def caller(self, claims: AccessClaims) -> User | None:
        """Give the user of an access token whose session, version, and user still hold."""
        values = {
            "user_id": claims.user_id,
            "family_id": claims.family_id,
            "now": self._clock.now(),
            "version": claims.token_version,
        }
        async with self._database.reading() as session:
            found = await rows(session, _CALLER, values)
        return user_of(found[0]) if found else None

    async def prune(self) -> None:
        """Delete tries and families that no decision reads any more."""
        now = self._clock.now()
        async with self._database.transaction() as unit:
            await unit.session.execute(text("DELETE FROM login_attempts WHERE at < :before"), {"before": now - WINDOW})
            await unit.session.execute(
                text("DELETE FROM refresh_families WHERE expires_at < :before"), {"before": now - FAMILY_LIFE}
            )


async def _failures(session: AsyncSession, login: str, address: str, now: datetime) -> Failures:
    found = await rows(
        session,
        "SELECT login, address, at FROM login_attempts"
        " WHERE (login = :login OR address = :address) AND at > :since ORDER BY at",
        {"login": login, "address": address, "since": now - WINDOW},
    )
    return Failures(
        pair=[row["at"] for row in found if row["login"] == login and row["address"] == address],
        address=[row["at"] for row in found if row["address"] == address],
        account=[row["at"] for row in found if row["login"] == login],
    )


async def _next_token(session: AsyncSession, family_id: UUID, family_expires_at: datetime, now: datetime) -> str:
    token = secrets.token_urlsafe(32)
    await session.execute(
        text(
            "INSERT INTO refresh_tokens (token_hash, family_id, issued_at, expires_at)"
            " VALUES (:hash, :family_id, :now, :expires_at)"
        ),
        {
            "hash": _hash(token),
            "family_id": family_id,
            "now": now,
            "expires_at": refresh_expiry(family_expires_at, now),
        },
    )
    return token


async def _revoke(session: AsyncSession, family_id: UUID, why: str, now: datetime) -> None:
    await session.execute(
        text(
            "UPDATE refresh_families SET revoked_at = :now, revoked_why = :why"
            " WHERE family_id = :family_id AND revoked_at IS NULL"
        ),
        {"now": now, "why": why, "family_id": family_id},
    )


def _stored(row: Any) -> StoredRefresh:
    return StoredRefresh(
        family_id=row["family_id"],
        user_id=row["user_id"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        family_expires_at=row["family_expires_at"],
        family_revoked_at=row["revoked_at"],
        user_is_active=row["is_active"],
    )
