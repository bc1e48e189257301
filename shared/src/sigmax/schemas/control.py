"""What people, the clock, and the services say to steer the platform.

api_gateway.command.v1          -> risk-gate, order-worker, strategy-engine
risk_gate.stage_changed.v1      -> order-worker, api-gateway, notifier
risk_gate.posture_changed.v1    -> api-gateway
*.alert.v1                      -> notifier, api-gateway
*.audit_head.v1                 -> notifier
scheduler.job_due.v1            -> scheduler
*.job_finished.v1               -> scheduler

`*` is the service that publishes. The service that owns a job reads `job_due`: so far all jobs are the scheduler's own.
"""

from enum import StrEnum

from pydantic import Field

from sigmax.schemas.base import Message
from sigmax.schemas.types import AlertLevel, Name, Posture, Scope, Stage, Text, Utc


class CommandName(StrEnum):
    """What a person may ask for."""

    ACTIVATE_STRATEGY = "activate_strategy"
    STOP_STRATEGY = "stop_strategy"
    SET_PARAMS = "set_params"
    HALT = "halt"
    RESUME = "resume"
    CANCEL_ORDER = "cancel_order"
    SET_STAGE = "set_stage"
    """Down at once, up one step; `values["stage"]` says where to."""
    FLATTEN = "flatten"
    """Cancel and close everything of a scope."""
    SET_POSTURE = "set_posture"
    """`values["posture"]`; without it, back to the automatic one."""
    SET_LIMITS = "set_limits"
    """`values` are the limits that change, as JSON by name."""
    RELEASE = "release"
    """Take a latch off: a strategy or instrument that a control locked, or a fill that nobody could explain."""
    BOOK_TRANSFER = "book_transfer"
    """A deposit or, below zero, a withdrawal made beside the platform: `values["asset"]`, `values["amount"]`."""
    IDENTIFY_ORDER = "identify_order"
    """Say which of the venue's orders an unknown one is: `values["client_order_id"]`, and `values["venue_order_id"]`,
    empty where it is none of them. For venues that keep no client ids."""


class Command(Message):
    """A person's order to the platform, already authorised by the gateway."""

    TOPIC = "api_gateway.command.v1"

    command: CommandName
    subject: str = Field(max_length=100)
    """The strategy, order, or scope id the command is about; `global` for all."""
    scope: Scope = Scope.GLOBAL
    """For halt and resume."""
    values: dict[str, str] = Field(default_factory=dict, max_length=100)
    """What the command needs beside its subject, by name: the new parameters of `set_params`, for example."""
    requested_by: Name
    approved_by: Name | None = None
    """The second person, where one is needed: another one than who asked, and for these very values."""
    approved_at: Utc | None = None
    reason: Text = ""


class StageChanged(Message):
    """How much trading is allowed has changed, or is told again."""

    TOPIC = "risk_gate.stage_changed.v1"

    scope: Scope
    scope_id: Name
    from_stage: Stage
    to_stage: Stage
    version: int = Field(ge=1)
    """Rising per scope: a reader ignores what is older than what it knows."""
    changed_by: Name
    reason: Text


class PostureChanged(Message):
    """How boldly to trade has changed."""

    TOPIC = "risk_gate.posture_changed.v1"

    account_id: Name
    from_posture: Posture
    to_posture: Posture
    changed_by: Name
    reason: Text


class Alert(Message):
    """Something a person should know."""

    TOPIC = "*.alert.v1"

    level: AlertLevel
    code: Name
    subject: str = Field(min_length=1, max_length=200)
    text: Text
    values: dict[str, str] = Field(default_factory=dict, max_length=50)
    dedupe_key: str = Field(min_length=1, max_length=200)
    """Alerts with the same key within the notifier's window are one alert."""


class AuditHead(Message):
    """The newest entry of a service's audit chain: kept elsewhere, it shows a chain that was cut or written anew."""

    TOPIC = "*.audit_head.v1"

    position: int = Field(ge=1)
    hash: str = Field(min_length=64, max_length=64)
    """SHA-256, hex."""
    at: Utc
    """Of the entry."""
    signature: str = Field(default="", max_length=128)
    """HMAC-SHA256, hex, with the service's audit key."""


class JobDue(Message):
    """A job's time has come."""

    TOPIC = "scheduler.job_due.v1"

    job: Name
    due_at: Utc
    attempt: int = Field(default=1, ge=1)


class JobFinished(Message):
    """A job ended, well or not."""

    TOPIC = "*.job_finished.v1"

    job: Name
    due_at: Utc
    succeeded: bool
    text: Text = ""
