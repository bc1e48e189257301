"""When an alert is news, and when it is one that people have already been told.

Alerts with one dedupe key are one alert for the length of the window, counted from its first. After that the same key
is news again: a fault that lasts is told once per window and not once for ever. An alert more urgent than the one
that stands is told at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sigmax.schemas.control import Alert
from sigmax.schemas.types import AlertLevel


@dataclass(frozen=True)
class KnownAlert:
    """The newest stored alert of a dedupe key."""

    alert_id: UUID
    level: AlertLevel
    first_at: datetime


class Folding(StrEnum):
    """What to do with an alert that came in."""

    NEW = "new"
    REPEAT = "repeat"
    ESCALATE = "escalate"


def fold(alert: Alert, known: KnownAlert | None, window: timedelta, now: datetime) -> Folding:
    """Decide whether the alert opens a new one, counts up the known one, or raises its level."""
    if known is None or now - known.first_at >= window:
        return Folding.NEW
    if urgency(alert.level) > urgency(known.level):
        return Folding.ESCALATE
    return Folding.REPEAT


def urgency(level: AlertLevel) -> int:
    """Rank a level: 0 for info, 3 for critical."""
    return list(AlertLevel).index(level)
