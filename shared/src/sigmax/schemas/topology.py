"""Who publishes and who reads what: the one table that queues, rights, and the READMEs follow from."""

from dataclasses import dataclass, field

from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert, AuditHead, Command, JobDue, JobFinished, PostureChanged, StageChanged
from sigmax.schemas.orders import (
    CancelRequested,
    Fill,
    OrderApproved,
    OrderDenied,
    OrderEvent,
    PositionChanged,
    Reconciled,
    VenueHealth,
)
from sigmax.schemas.signals import Decision, ExitJudgementRequested, JudgementRequested, Signal

EXCHANGE = "sigmax"
DEAD_LETTER_EXCHANGE = "sigmax.dead"

SERVICES = (
    "collector",
    "strategy-engine",
    "llm-controller",
    "risk-gate",
    "order-worker",
    "notifier",
    "api-gateway",
    "scheduler",
    "paper-venue",
)
"""Folder and process names; the package, Postgres schema, and topic owner are the same with underscores."""

MESSAGES: tuple[type[Message], ...] = (
    Signal,
    JudgementRequested,
    Decision,
    ExitJudgementRequested,
    OrderApproved,
    OrderDenied,
    CancelRequested,
    OrderEvent,
    Fill,
    PositionChanged,
    Reconciled,
    VenueHealth,
    Command,
    StageChanged,
    PostureChanged,
    Alert,
    AuditHead,
    JobDue,
    JobFinished,
)


@dataclass(frozen=True)
class Reach:
    """What one service may touch beside its own Postgres schema."""

    consumes: tuple[type[Message], ...] = ()
    publishes: tuple[type[Message], ...] = ()
    reads: tuple[str, ...] = ()
    """Redis keys or patterns it may read."""
    owns: tuple[str, ...] = ()
    """Redis keys or patterns it may read and write."""
    has_database: bool = True
    reads_all_schemas: bool = False
    makes_temporary_tables: bool = False
    runs_scripts: bool = False
    """Whether it runs Lua in Redis, on the keys it owns."""
    watches_redis: bool = False
    """Whether it asks Redis how it fares."""
    secrets: tuple[str, ...] = field(default=())
    """Secret files of its own, beside the passwords of the three servers."""


REACH: dict[str, Reach] = {
    "collector": Reach(publishes=(Alert,), owns=("md.*",), makes_temporary_tables=True),
    "strategy-engine": Reach(
        consumes=(OrderDenied, OrderEvent, Fill, Command),
        publishes=(Signal, JudgementRequested, Alert),
        reads=("md.*",),
        owns=("lease.strategy_engine.*", "cursor.strategy_engine.*"),
        runs_scripts=True,
    ),
    "llm-controller": Reach(
        consumes=(JudgementRequested, ExitJudgementRequested),
        publishes=(Decision, Alert),
        secrets=("model_api_key",),
    ),
    "risk-gate": Reach(
        consumes=(
            Signal,
            JudgementRequested,
            Decision,
            OrderEvent,
            Fill,
            PositionChanged,
            Reconciled,
            VenueHealth,
            Command,
        ),
        publishes=(
            OrderApproved,
            OrderDenied,
            CancelRequested,
            StageChanged,
            PostureChanged,
            ExitJudgementRequested,
            Alert,
            AuditHead,
        ),
        reads=("md.*", "ops.heartbeats"),
        secrets=("approval_key", "audit_key"),
    ),
    "order-worker": Reach(
        consumes=(OrderApproved, CancelRequested, StageChanged, Command),
        publishes=(OrderEvent, Fill, PositionChanged, Reconciled, VenueHealth, Alert, AuditHead),
        reads=("md.instruments",),
        owns=("rate.order_worker.*",),
        runs_scripts=True,
        secrets=("approval_key", "audit_key", "venue_api_key", "venue_api_secret"),
    ),
    "notifier": Reach(consumes=(Alert, OrderEvent, StageChanged, AuditHead), publishes=(Alert,), secrets=("channels",)),
    "api-gateway": Reach(
        consumes=(
            Decision,
            OrderApproved,
            OrderDenied,
            OrderEvent,
            Fill,
            PositionChanged,
            Reconciled,
            VenueHealth,
            StageChanged,
            PostureChanged,
            Alert,
        ),
        publishes=(Command, Alert, AuditHead),
        reads=("md.*", "ops.heartbeats"),
        owns=("gateway.*",),
        reads_all_schemas=True,
        runs_scripts=True,
        secrets=("jwt_key", "audit_key"),
    ),
    "scheduler": Reach(
        consumes=(JobDue, JobFinished),
        publishes=(JobDue, JobFinished, Alert),
        reads=("ops.heartbeats",),
        watches_redis=True,
    ),
    "paper-venue": Reach(reads=("md.*",), secrets=("venue_api_key", "venue_api_secret")),
}

OWN_SECRETS = frozenset({"audit_key"})
"""Secrets of which each service that has one has its own; one of any other name is the same for all who hold it."""


def owner_of(service: str) -> str:
    """Give the topic owner, Postgres schema, package, and login of a service: `risk_gate` for `risk-gate`."""
    return service.replace("-", "_")


def queue_of(service: str, message: type[Message]) -> str:
    """Name the queue on which a service reads a message: `order_worker.order_approved.v1`.

    The reader's name stands first, so that who owns a queue is read off its name.
    """
    kind, version = message.TOPIC.split(".")[1:]
    return f"{owner_of(service)}.{kind}.{version}"


def dead_letter_queue_of(service: str) -> str:
    """Name the one queue in which a service's rejected messages wait for a person."""
    return f"{owner_of(service)}.dead"
