"""What waits for a second person: who may approve it, and how long."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from api_gateway.domain.rights import Right, Role, may, may_steer


class ApprovalKind(StrEnum):
    """What an approval sets going."""

    COMMAND = "command"
    USER_CHANGE = "user_change"


class ApprovalStatus(StrEnum):
    """How far a request for a second person has come."""

    AWAITING = "awaiting"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"


class Decision(StrEnum):
    """What the second person says."""

    APPROVE = "approve"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Person:
    """As much of a user as the rule of two looks at."""

    user_id: UUID
    login: str
    role: Role
    accounts: frozenset[str]
    is_active: bool


@dataclass(frozen=True)
class Request:
    """One stored request for a second person."""

    needed_right: Right
    """What asking for it took; who approves has it too."""
    account_id: str | None
    """The trading account it is about, where it is about one."""
    fingerprint: str
    """Of its exact values."""
    status: ApprovalStatus


@dataclass(frozen=True)
class Ask:
    """What the second person is told beside the values themselves."""

    needed_right: Right
    account_id: str | None = None
    before: Mapping[str, Any] = field(default_factory=dict)
    """What holds now, by name."""


@dataclass(frozen=True)
class UserChange:
    """What is to change of a user; None stays."""

    role: Role | None = None
    accounts: frozenset[str] | None = None
    is_active: bool | None = None

    def needs_second_person(self, user: Person) -> bool:
        """Say whether it gives rights: another role, more accounts, or a login that works again.

        To switch a user off, and to take accounts away, one person suffices: it must not wait.
        """
        return (
            (self.role is not None and self.role is not user.role)
            or (self.accounts is not None and not self.accounts <= user.accounts)
            or (self.is_active is True and not user.is_active)
        )

    def values(self, user_id: UUID) -> dict[str, str]:
        """Give the change as text, as it is stored and shown."""
        values = {"user_id": str(user_id)}
        if self.role is not None:
            values["role"] = self.role.value
        if self.accounts is not None:
            values["accounts"] = ",".join(sorted(self.accounts))
        if self.is_active is not None:
            values["is_active"] = str(self.is_active).lower()
        return values

    @classmethod
    def of_values(cls, values: Mapping[str, str]) -> "UserChange":
        """Read what `values` made."""
        return cls(
            role=Role(values["role"]) if "role" in values else None,
            accounts=frozenset(filter(None, values["accounts"].split(","))) if "accounts" in values else None,
            is_active=values["is_active"] == "true" if "is_active" in values else None,
        )


class Refusal(StrEnum):
    """Why nobody's approval, or not this one, sets the request going; in order of precedence."""

    OVER = "over"
    EXPIRED = "expired"
    NO_RIGHT = "no_right"
    SAME_PERSON = "same_person"
    OTHER_VALUES = "other_values"
    ASKER_LOST_RIGHT = "asker_lost_right"
    LAST_ADMIN = "last_admin"


SENTENCES: dict[Refusal, str] = {
    Refusal.OVER: "This request was decided before.",
    Refusal.EXPIRED: "This request is older than ten minutes: have it made again.",
    Refusal.NO_RIGHT: "Your role or your accounts do not allow you to ask for this, and so not to approve it.",
    Refusal.SAME_PERSON: "You asked for this yourself: it takes another person.",
    Refusal.OTHER_VALUES: "What you saw is not what is asked for: look at the request again.",
    Refusal.ASKER_LOST_RIGHT: "Who asked for this may no longer do so.",
    Refusal.LAST_ADMIN: "This would leave no active admin.",
}
"""One sentence of each for who is refused."""


def fingerprint_of(*parts: Any) -> str:
    """Tell exact values from all others: SHA-256, hex."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def status_of(outcome: str | None, expires_at: datetime, now: datetime) -> ApprovalStatus:
    """Give the status of a stored request; one that nobody decided in time is expired."""
    if outcome is not None:
        return ApprovalStatus(outcome)
    return ApprovalStatus.EXPIRED if now >= expires_at else ApprovalStatus.AWAITING


def refusal_to_decide(
    decision: Decision, request: Request, asker: Person, decider: Person, fingerprint: str
) -> Refusal | None:
    """Say why this person may not decide on this request so, or None when it holds.

    Refusing takes no second person: who asked may take it back.
    """
    is_own = decider.user_id == asker.user_id or decider.login.casefold() == asker.login.casefold()
    checks = (
        (Refusal.OVER, request.status in {ApprovalStatus.APPROVED, ApprovalStatus.REFUSED}),
        (Refusal.EXPIRED, request.status is ApprovalStatus.EXPIRED),
        (Refusal.NO_RIGHT, not is_own and not _may_ask(decider, request)),
        (Refusal.SAME_PERSON, decision is Decision.APPROVE and is_own),
        (Refusal.OTHER_VALUES, fingerprint != request.fingerprint),
        (Refusal.ASKER_LOST_RIGHT, decision is Decision.APPROVE and not _may_ask(asker, request)),
    )
    return next((refusal for refusal, is_broken in checks if is_broken), None)


def approvers(request: Request, asked_by: UUID, people: Iterable[Person]) -> int:
    """Count who could approve a request now."""
    return sum(person.user_id != asked_by and _may_ask(person, request) for person in people)


def _may_ask(person: Person, request: Request) -> bool:
    if not person.is_active or not may(person.role, request.needed_right):
        return False
    return request.account_id is None or may_steer(person.role, person.accounts, request.account_id)
