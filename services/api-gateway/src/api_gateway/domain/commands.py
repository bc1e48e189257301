"""What a person asks the platform to do: how it is told apart, written down, and seen to be done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from api_gateway.domain.second_person import ApprovalStatus, fingerprint_of
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.types import Scope

EFFECT_WITHIN = timedelta(seconds=30)
"""A command whose effect is not seen by then needs a person's look."""


class CommandStatus(StrEnum):
    """How far a command has come."""

    AWAITING_SECOND_PERSON = "awaiting_second_person"
    """Not sent: another person has to approve these very values first."""
    REFUSED = "refused"
    """Not sent: the second person refused it, or who asked took it back."""
    EXPIRED = "expired"
    """Not sent: nobody approved it in time."""
    REQUESTED = "requested"
    DONE = "done"
    UNCONFIRMED = "unconfirmed"
    """Sent, but its effect cannot be seen: refused by its owner, or the owner is not running."""


@dataclass(frozen=True)
class Wish:
    """A command before it has an id."""

    command: CommandName
    subject: str
    scope: Scope = Scope.GLOBAL
    values: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def fingerprint(self) -> str:
        """Tell this wish from every other: the same key with another fingerprint is a caller's mistake."""
        return fingerprint_of(self.command, self.subject, self.scope, sorted(self.values.items()), self.reason)

    def message(self, command_id: UUID, login: str, now: datetime, approved_by: str | None = None) -> Command:
        """Give the message as it goes out now, with the second person where one approved it just now."""
        return Command(
            message_id=command_id,
            correlation_id=command_id,
            occurred_at=now,
            command=self.command,
            subject=self.subject,
            scope=self.scope,
            values=dict(self.values),
            requested_by=login,
            approved_by=approved_by,
            approved_at=now if approved_by else None,
            reason=self.reason,
        )


def command_id_of(user_id: UUID, key: str) -> UUID:
    """Derive a command's id from who asks and the idempotency key, so that asking twice is one wish."""
    return uuid5(NAMESPACE, f"{Command.TOPIC}:{user_id}:{key}")


_NOT_SENT = {
    ApprovalStatus.AWAITING: CommandStatus.AWAITING_SECOND_PERSON,
    ApprovalStatus.REFUSED: CommandStatus.REFUSED,
    ApprovalStatus.EXPIRED: CommandStatus.EXPIRED,
}


def progress(
    sent_at: datetime, now: datetime, *, is_done: bool, approval: ApprovalStatus | None = None
) -> CommandStatus:
    """Judge how far a command has come, from whether its effect is or was seen."""
    if approval in _NOT_SENT:
        return _NOT_SENT[approval]
    if is_done:
        return CommandStatus.DONE
    return CommandStatus.UNCONFIRMED if now - sent_at > EFFECT_WITHIN else CommandStatus.REQUESTED
