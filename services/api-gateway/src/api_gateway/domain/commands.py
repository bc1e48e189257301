"""What a person asks the platform to do: how it is told apart, written down, and seen to be done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from uuid import UUID

from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.types import OrderStatus, Scope, Stage

EFFECT_WITHIN = timedelta(seconds=30)
"""A command whose effect is not seen by then needs a person's look."""


class CommandStatus(StrEnum):
    """How far a command has come."""

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
        parts = [self.command, self.subject, self.scope, sorted(self.values.items()), self.reason]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def message(self, user_id: UUID, login: str, key: str, now: datetime) -> Command:
        """Give the message; its id derives from who asks and the idempotency key, so that asking twice is one wish."""
        return Command(
            **Command.first(f"{user_id}:{key}", now),
            command=self.command,
            subject=self.subject,
            scope=self.scope,
            values=dict(self.values),
            requested_by=login,
            reason=self.reason,
        )


@dataclass(frozen=True)
class Observed:
    """What other services' tables show about the subject of a command; None where there is no such row."""

    strategy_status: str | None = None
    strategy_params: Mapping[str, object] | None = None
    stage: Stage | None = None
    order_status: OrderStatus | None = None


def progress(
    wish: Wish, observed: Observed, requested_at: datetime, now: datetime, done_at: datetime | None = None
) -> CommandStatus:
    """Judge how far a command has come, from what can be seen. Once seen done (`done_at`), it stays done."""
    if done_at is not None or _is_done(wish, observed):
        return CommandStatus.DONE
    return CommandStatus.UNCONFIRMED if now - requested_at > EFFECT_WITHIN else CommandStatus.REQUESTED


def _is_done(wish: Wish, observed: Observed) -> bool:
    match wish.command:
        case CommandName.ACTIVATE_STRATEGY:
            return observed.strategy_status == "active"
        case CommandName.STOP_STRATEGY:
            return observed.strategy_status == "stopped"
        case CommandName.SET_PARAMS:
            params = observed.strategy_params or {}
            return all(name in params and _same(params[name], value) for name, value in wish.values.items())
        case CommandName.HALT:
            return observed.stage is not None and observed.stage.severity >= Stage.HALTED.severity
        case CommandName.RESUME:
            return observed.stage is not None and observed.stage.severity < Stage.HALTED.severity
        case CommandName.CANCEL_ORDER:
            return observed.order_status is not None and observed.order_status.is_terminal


def _same(seen: object, wished: str) -> bool:
    if wished == "":
        return True  # back to a default, which only its owner knows
    if isinstance(seen, bool):
        return str(seen).lower() == wished.lower()
    try:
        return Decimal(str(seen)) == Decimal(wished)
    except InvalidOperation:
        return str(seen) == wished
