"""Refresh tokens: each is good for one use, and a second use tells that somebody else has it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

ACCESS_LIFE = timedelta(minutes=10)
IDLE_MAX = timedelta(days=1)
"""A refresh token not used for this long is dead."""
FAMILY_LIFE = timedelta(days=7)
"""After this long a person signs in again, however busy the session."""


class RefreshOutcome(StrEnum):
    """What becomes of a presented refresh token."""

    ROTATE = "rotate"
    EXPIRED = "expired"
    REVOKED = "revoked"
    REUSED = "reused"
    """The family is to be revoked: either the owner or a thief came second, and nobody can tell which."""


@dataclass(frozen=True)
class StoredRefresh:
    """A refresh token as the database has it; the token itself is kept nowhere."""

    family_id: UUID
    user_id: UUID
    expires_at: datetime
    used_at: datetime | None
    family_expires_at: datetime
    family_revoked_at: datetime | None
    user_is_active: bool


@dataclass(frozen=True)
class AccessClaims:
    """What an access token says once its signature, audience, type, and time have been checked."""

    user_id: UUID
    family_id: UUID
    token_version: int


def judge_refresh(stored: StoredRefresh, now: datetime) -> RefreshOutcome:
    """Decide on one presented refresh token. Reuse outranks expiry: a stolen old token still gives the thief away."""
    if stored.family_revoked_at is not None or not stored.user_is_active:
        return RefreshOutcome.REVOKED
    if stored.used_at is not None:
        return RefreshOutcome.REUSED
    if now >= stored.expires_at or now >= stored.family_expires_at:
        return RefreshOutcome.EXPIRED
    return RefreshOutcome.ROTATE


def refresh_expiry(family_expires_at: datetime, now: datetime) -> datetime:
    """Give the end of a new refresh token's life."""
    return min(now + IDLE_MAX, family_expires_at)
