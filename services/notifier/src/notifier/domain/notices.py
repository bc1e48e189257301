"""What people are told, about which facts, and in which words."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.domain.folding import urgency
from sigmax.schemas.control import Alert, AuditHead, StageChanged
from sigmax.schemas.orders import OrderEvent
from sigmax.schemas.types import AlertLevel, OrderStatus, Stage, Submission

OWNER = "notifier"
DELIVERY_FAILED = "delivery_failed"
_BODY_MAX = 3500
"""Most channels cut or refuse more."""
_TITLE_MAX = 200

_STAGE_LEVELS = {
    Stage.NORMAL: AlertLevel.INFO,
    Stage.CAUTION: AlertLevel.WARNING,
    Stage.REDUCING: AlertLevel.DANGER,
    Stage.HALTED: AlertLevel.CRITICAL,
    Stage.LOCKED: AlertLevel.CRITICAL,
}


@dataclass(frozen=True)
class Channel:
    """A way to people. The name tells channels apart and holds no secret."""

    name: str
    level_min: AlertLevel = AlertLevel.INFO


@dataclass(frozen=True)
class StoredAlert:
    """An alert as it stands in the book."""

    alert_id: UUID
    producer: str
    level: AlertLevel
    code: str
    subject: str
    text: str
    values: Mapping[str, str]
    occurrences: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class Delivery:
    """One alert on its way through one channel."""

    delivery_id: int
    channel: str
    attempts: int
    """Tries so far, the present one included."""
    alert: StoredAlert


@dataclass(frozen=True)
class Notice:
    """What one channel shows."""

    title: str
    body: str
    level: AlertLevel


@dataclass(frozen=True)
class KnownStage:
    """The newest stage of one scope that was seen."""

    stage: Stage
    version: int


def stage_alert(change: StageChanged, known: KnownStage | None, now: datetime) -> Alert | None:
    """Give the alert for a stage that changed; None when it is told again, older than what is known, or simply normal.

    risk-gate repeats the stage of every scope: only a version that was not seen is a change.
    """
    if known is not None and (change.version <= known.version or change.to_stage is known.stage):
        return None
    if known is None and change.to_stage is Stage.NORMAL:
        return None
    scope = change.scope.value if change.scope_id == change.scope.value else f"{change.scope.value} {change.scope_id}"
    before = known.stage if known else change.from_stage
    return Alert(
        **Alert.after(change, now),
        producer=OWNER,
        level=_STAGE_LEVELS[change.to_stage],
        code="stage_changed",
        subject=scope,
        text=f"Trading is {change.to_stage.value} for {scope} (was {before.value}), by {change.changed_by}:"
        f" {change.reason}"[:2000],
        values={"from": before.value, "to": change.to_stage.value, "version": str(change.version)},
        dedupe_key=f"stage:{change.scope.value}:{change.scope_id}:{change.version}",
    )


def order_alert(event: OrderEvent, now: datetime) -> Alert | None:
    """Give the alert for an order that the venue refused or whose fate is unknown; None for the everyday."""
    if event.submission is Submission.UNKNOWN:
        level, code = AlertLevel.WARNING, "order_unknown"
        text = "may or may not have reached the venue, which is being asked."
    elif event.status is OrderStatus.REJECTED:
        level, code = AlertLevel.WARNING, "order_rejected"
        text = f"was rejected by {event.venue}: {event.reason or 'no reason given'}"
    else:
        return None
    order = f"{event.side.value} {event.quantity} {event.instrument_id} ({event.client_order_id})"
    return Alert(
        **Alert.after(event, now),
        producer=OWNER,
        level=level,
        code=code,
        subject=event.instrument_id,
        text=f"Order {order} {text}"[:2000],
        values={"client_order_id": event.client_order_id, "account_id": event.account_id},
        # A venue that rejects one order after the other is one alert with a count.
        dedupe_key=f"{code}:{event.account_id}:{event.instrument_id}",
    )


def head_alert(head: AuditHead, now: datetime) -> Alert:
    """Give the notice that holds the newest hash of a service's audit chain, for people to keep."""
    return Alert(
        **Alert.after(head, now),
        producer=OWNER,
        level=AlertLevel.INFO,
        code="audit_head",
        subject=head.producer,
        text=f"The audit chain of {head.producer} stands at row {head.position}. Keep this: it shows whether the past"
        " was changed.",
        values={
            "position": str(head.position),
            "hash": head.hash,
            "at": head.at.isoformat(),
            "signature": head.signature,
        },
        dedupe_key=f"audit_head:{head.producer}:{head.position}",
    )


def delivery_alert(delivery: Delivery, now: datetime) -> Alert | None:
    """Give the alert for a channel that took none of the tries; the other channels bring it.

    None when the lost alert was itself about a channel: two dead channels must not report each other for ever.
    """
    alert = delivery.alert
    if alert.code == DELIVERY_FAILED:
        return None
    return Alert(
        **Alert.first(f"{DELIVERY_FAILED}:{delivery.delivery_id}", now),
        producer=OWNER,
        level=AlertLevel.WARNING,
        code=DELIVERY_FAILED,
        subject=delivery.channel,
        text=f"Channel {delivery.channel} took an alert in none of {delivery.attempts} tries: {alert.text}"[:2000],
        values={"attempts": str(delivery.attempts), "alert_id": str(alert.alert_id)},
        dedupe_key=f"{DELIVERY_FAILED}:{delivery.channel}",
    )


def channels_for(alert: Alert, channels: Iterable[Channel]) -> list[Channel]:
    """Choose the channels that bring an alert; that a channel fails is not told through that channel."""
    is_about_channel = alert.code == DELIVERY_FAILED and alert.producer == OWNER
    return [
        channel
        for channel in channels
        if urgency(alert.level) >= urgency(channel.level_min)
        and not (is_about_channel and channel.name == alert.subject)
    ]


def notice_of(alert: StoredAlert) -> Notice:
    """Put an alert into plain words."""
    title = f"[{alert.level.value.upper()}] {alert.subject}: {alert.code}"
    lines = [alert.text, *(f"{name}: {value}" for name, value in alert.values.items())]
    if alert.occurrences > 1:
        lines.append(f"{alert.occurrences} times since {alert.first_at:%Y-%m-%d %H:%M:%S} UTC")
    lines.append(f"{alert.producer}, {alert.last_at:%Y-%m-%d %H:%M:%S} UTC")
    return Notice(title[:_TITLE_MAX], "\n".join(lines)[:_BODY_MAX], alert.level)


def visible(text: str) -> str:
    """Replace control, bidi, and other invisible characters by spaces: texts may come from a venue or a model."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn"}
    return "".join(" " if unicodedata.category(character) in hidden else character for character in text)
