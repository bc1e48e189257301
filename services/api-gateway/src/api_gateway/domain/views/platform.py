"""Market data, alerts, jobs, and the platform's own health."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from api_gateway.domain.views.base import Json, View
from sigmax.schemas.types import AlertLevel


class QuoteView(View):
    """The newest price of one instrument."""

    instrument_id: str
    last: Decimal
    bid: Decimal | None
    ask: Decimal | None
    market_time: datetime
    received_at: datetime
    age_s: Decimal
    minute_volume: Decimal


class BarView(View):
    """One closed bar."""

    instrument_id: str
    timeframe_s: int
    open_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


class AlertView(View):
    """Something a person should know."""

    alert_id: UUID
    producer: str
    level: AlertLevel
    code: str
    subject: str
    text: str
    values: dict[str, Json]
    occurrences: int
    first_at: datetime
    last_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class JobView(View):
    """One job of the scheduler and its last run."""

    job: str
    schedule: str
    is_enabled: bool
    last_due_at: datetime | None
    last_finished_at: datetime | None
    last_succeeded: bool | None
    last_text: str | None


class ReplicaView(View):
    """One process, as its last heartbeat has it."""

    replica: str
    version: str
    ready: bool
    is_alive: bool
    """False when the heartbeat is older than three intervals."""
    heartbeat_age_s: Decimal
    last_handled_at: datetime | None
    queues: dict[str, int]
    problems: list[str]


class ServiceHealthView(View):
    """One service and its replicas."""

    service: str
    is_healthy: bool
    replicas: list[ReplicaView]


class SystemHealthView(View):
    """The platform at a glance."""

    is_healthy: bool
    is_version_uniform: bool
    """A mixed fleet does not trade live."""
    versions: list[str]
    queued: int
    """Messages waiting, over all services."""
    services: list[ServiceHealthView]
    approval_cooldown_s: int
    """How long a login counts as held by who set its password or its rights as well."""
    as_of: datetime
