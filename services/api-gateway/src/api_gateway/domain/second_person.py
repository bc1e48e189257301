"""What waits for a second person: who may approve it, and how long."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from api_gateway.domain.holders import Logins, Wait
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
    password_set_at: datetime | None = None
    """When somebody else set the password last."""


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
    requested_at: datetime


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
    NOT_TWO_PEOPLE = "not_two_people"
    """One person may hold both logins: somebody set the password or the rights of one of them not long ago."""
    OTHER_VALUES = "other_values"
    ASKER_LOST_RIGHT = "asker_lost_right"
    ASKER_SET_ANEW = "asker_set_anew"
    """Somebody set the password of who asked: nobody can say any more who that was."""
    LAST_ADMIN = "last_admin"


SENTENCES: dict[Refusal, str] = {
    Refusal.OVER: "This request was decided before.",
    Refusal.EXPIRED: "This request is older than ten minutes: have it made again.",
    Refusal.NO_RIGHT: "Your role or your accounts do not allow you to ask for this, and so not to approve it.",
    Refusal.SAME_PERSON: "You asked for this yourself: it takes another person.",
    Refusal.NOT_TWO_PEOPLE: "These two logins do not count as two people yet.",
    Refusal.OTHER_VALUES: "What you saw is not what is asked for: look at the request again.",
    Refusal.ASKER_LOST_RIGHT: "Who asked for this may no longer do so.",
    Refusal.ASKER_SET_ANEW: "Somebody set the password of who asked for this meanwhile: have it asked for again.",
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


@dataclass(frozen=True)
class Refused:
    """A decision that does not count."""

    why: Refusal
    detail: str
    what_to_do: str = ""
    """Beside what holds for every refusal of its kind."""


def refusal_to_decide(
    decision: Decision, request: Request, asker: Person, decider: Person, fingerprint: str, *, wait: Wait | None
) -> Refusal | None:
    """Say why this person may not decide on this request so, or None when it holds.

    `wait` says what asker and decider wait for before they count as two people. Refusing takes no second person: who
    asked may take it back.
    """
    is_own = decider.user_id == asker.user_id or decider.login.casefold() == asker.login.casefold()
    checks = (
        (Refusal.OVER, request.status in {ApprovalStatus.APPROVED, ApprovalStatus.REFUSED}),
        (Refusal.EXPIRED, request.status is ApprovalStatus.EXPIRED),
        (Refusal.NO_RIGHT, not is_own and not _may_ask(decider, request)),
        (Refusal.SAME_PERSON, decision is Decision.APPROVE and is_own),
        (Refusal.NOT_TWO_PEOPLE, decision is Decision.APPROVE and wait is not None),
        (Refusal.OTHER_VALUES, fingerprint != request.fingerprint),
        (Refusal.ASKER_LOST_RIGHT, decision is Decision.APPROVE and not _may_ask(asker, request)),
        (Refusal.ASKER_SET_ANEW, decision is Decision.APPROVE and _is_set_since(asker, request)),
    )
    return next((refusal for refusal, is_broken in checks if is_broken), None)


def refused(refusal: Refusal, wait: Wait | None, people: Mapping[UUID, Person]) -> Refused:
    """Put a refusal in words; where two logins do not count as two people yet, with what to do, and from when on."""
    if refusal is not Refusal.NOT_TWO_PEOPLE or wait is None:
        return Refused(refusal, SENTENCES[refusal])
    logins = {who: person.login for who, person in people.items()}
    links = sorted(
        f"{logins.get(who, 'somebody')} set the password or the rights of {logins[whose]}" for who, whose in wait.links
    )
    owners = sorted(logins[one] for one in wait.own_passwords)
    steps = [
        f"Have {login} sign in and choose a password of their own (`sigmax user password --as {login}`)."
        for login in owners
    ]
    if not wait.is_over:
        steps.append(f"It counts from {wait.until:%Y-%m-%d %H:%M:%S} UTC on: have it asked for again then.")
    steps.append("Sooner, a person whose login neither of you set may approve it; halting and selling wait for nobody.")
    return Refused(refusal, f"{SENTENCES[refusal]} {', and '.join(links)}.", " ".join(steps))


@dataclass(frozen=True)
class NextApprover:
    """Who could be the second person next, where nobody can be now."""

    login: str
    wait: Wait

    @property
    def needs_own_password(self) -> bool:
        """Say whether somebody must choose a password first."""
        return bool(self.wait.own_passwords)


def approvers(request: Request, asked_by: UUID, people: Iterable[Person], logins: Logins) -> int:
    """Count who could approve a request now."""
    return sum(logins.wait(asked_by, person.user_id) is None for person in _others(request, asked_by, people))


def next_approver(request: Request, asked_by: UUID, people: Iterable[Person], logins: Logins) -> NextApprover | None:
    """Give who could approve such a request soonest; None where nobody else ever could, or somebody can now."""
    waits = [(logins.wait(asked_by, person.user_id), person.login) for person in _others(request, asked_by, people)]
    if not waits or any(wait is None for wait, _ in waits):
        return None
    wait, login = min(((wait, login) for wait, login in waits if wait), key=lambda each: (each[0].until, each[1]))
    return NextApprover(login, wait)


def _others(request: Request, asked_by: UUID, people: Iterable[Person]) -> list[Person]:
    return [person for person in people if person.user_id != asked_by and _may_ask(person, request)]


def _is_set_since(asker: Person, request: Request) -> bool:
    return asker.password_set_at is not None and asker.password_set_at > request.requested_at


def _may_ask(person: Person, request: Request) -> bool:
    if not person.is_active or not may(person.role, request.needed_right):
        return False
    return request.account_id is None or may_steer(person.role, person.accounts, request.account_id)
