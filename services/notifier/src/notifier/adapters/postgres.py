"""The alert book in Postgres."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from notifier.adapters.metrics import ALERTS, DELIVERIES, DELIVERY_DELAY_S
from notifier.adapters.tables import alerts, audit_heads, deliveries, stages
from notifier.domain.folding import Folding, KnownAlert, urgency
from notifier.domain.notices import Channel, Delivery, KnownStage, StoredAlert, visible
from sigmax.runtime.database import Database
from sigmax.runtime.ledgers import Ledger, opener
from sigmax.schemas.control import Alert, AuditHead, StageChanged
from sigmax.schemas.types import AlertLevel, Scope, Stage

log = structlog.get_logger()

_LEASE = timedelta(seconds=60)
"""Longer than a try may take: after it a delivery whose process died is due again."""


class PostgresBook(Ledger):
    """One transaction over alerts, deliveries, and known stages."""

    async def known(self, dedupe_key: str) -> KnownAlert | None:
        """Give the newest alert of the key under a lock on the key, so that replicas never open two."""
        await self._lock(f"alert:{dedupe_key}")
        row = (
            await self._session.execute(
                sa.select(alerts.c.alert_id, alerts.c.level, alerts.c.first_at)
                .where(alerts.c.dedupe_key == visible(dedupe_key))
                .order_by(alerts.c.first_at.desc())
                .limit(1)
            )
        ).first()
        return KnownAlert(row.alert_id, AlertLevel(row.level), row.first_at) if row else None

    async def enter(self, alert: Alert, now: datetime) -> KnownAlert:
        """Insert the alert."""
        await self._session.execute(
            sa.insert(alerts).values(
                alert_id=alert.message_id,
                correlation_id=alert.correlation_id,
                dedupe_key=visible(alert.dedupe_key),
                first_at=now,
                last_at=now,
                **_words(alert),
            )
        )
        ALERTS.labels(alert.level.value, Folding.NEW.value).inc()
        return KnownAlert(alert.message_id, alert.level, now)

    async def count(self, known: KnownAlert, alert: Alert, now: datetime) -> None:
        """Raise the count of the known alert."""
        await self._again(known, now, {})
        ALERTS.labels(alert.level.value, Folding.REPEAT.value).inc()

    async def escalate(self, known: KnownAlert, alert: Alert, now: datetime) -> None:
        """Raise the count, the level, and the words of the known alert; whoever acknowledged it has not seen this."""
        await self._again(known, now, _words(alert) | {"acknowledged_at": None, "acknowledged_by": None})
        ALERTS.labels(alert.level.value, Folding.ESCALATE.value).inc()

    async def deliver(self, known: KnownAlert, alert: Alert, channels: Iterable[Channel], now: datetime) -> None:
        """Insert one pending delivery per channel."""
        rows = [
            {
                "alert_id": known.alert_id,
                "channel": channel.name,
                "level": alert.level.value,
                "urgency": urgency(alert.level),
                "next_attempt_at": now,
                "created_at": now,
            }
            for channel in channels
        ]
        if rows:
            await self._session.execute(insert(deliveries).values(rows).on_conflict_do_nothing())

    async def stage(self, scope: Scope, scope_id: str) -> KnownStage | None:
        """Give the newest stage seen of the scope, under a lock on the scope."""
        await self._lock(f"stage:{scope.value}:{scope_id}")
        row = (
            await self._session.execute(
                sa.select(stages.c.stage, stages.c.version).where(
                    stages.c.scope == scope.value, stages.c.scope_id == scope_id
                )
            )
        ).first()
        return KnownStage(Stage(row.stage), row.version) if row else None

    async def remember_stage(self, change: StageChanged, now: datetime) -> None:
        """Replace what is known of the scope."""
        values = {"stage": change.to_stage.value, "version": change.version, "seen_at": now}
        await self._session.execute(
            insert(stages)
            .values(scope=change.scope.value, scope_id=change.scope_id, **values)
            .on_conflict_do_update(index_elements=[stages.c.scope, stages.c.scope_id], set_=values)
        )

    async def head_told_at(self, owner: str) -> datetime | None:
        """Give when people's channels were last given a head of the owner, under a lock on the owner."""
        await self._lock(f"audit_head:{owner}")
        newest = sa.select(sa.func.max(audit_heads.c.received_at)).where(
            audit_heads.c.owner == owner, audit_heads.c.is_told
        )
        told_at: datetime | None = (await self._session.execute(newest)).scalar()
        return told_at

    async def keep_head(self, head: AuditHead, *, is_told: bool, now: datetime) -> None:
        """Insert the head, unless it is there."""
        await self._session.execute(
            insert(audit_heads)
            .values(
                owner=head.producer,
                position=head.position,
                hash=head.hash,
                at=head.at,
                signature=head.signature,
                is_told=is_told,
                received_at=now,
            )
            .on_conflict_do_nothing()
        )

    async def claim(self, channel: str, now: datetime) -> Delivery | None:
        """Lease the most urgent due delivery of the channel; replicas skip each other's."""
        due = (
            sa.select(deliveries.c.delivery_id)
            .where(
                deliveries.c.channel == channel, deliveries.c.state == "pending", deliveries.c.next_attempt_at <= now
            )
            .order_by(deliveries.c.urgency.desc(), deliveries.c.delivery_id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        claimed = (
            await self._session.execute(
                sa.update(deliveries)
                .where(deliveries.c.delivery_id == due)
                .values(attempts=deliveries.c.attempts + 1, next_attempt_at=now + _LEASE)
                .returning(deliveries.c.delivery_id, deliveries.c.alert_id, deliveries.c.attempts)
            )
        ).first()
        if claimed is None:
            return None
        row = (await self._session.execute(sa.select(alerts).where(alerts.c.alert_id == claimed.alert_id))).one()
        return Delivery(claimed.delivery_id, channel, claimed.attempts, _stored(row))

    async def settle(self, delivery: Delivery, now: datetime) -> None:
        """Mark the delivery sent."""
        await self._mark(delivery, state="sent", sent_at=now, last_error=None)
        DELIVERIES.labels(delivery.channel, "sent").inc()
        waited_s = (now - delivery.alert.first_at).total_seconds()
        DELIVERY_DELAY_S.labels(delivery.alert.level.value).observe(max(0.0, waited_s))

    async def postpone(self, delivery: Delivery, error: str, next_attempt_at: datetime | None) -> None:
        """Note the failed try, and when the next is or that there is none."""
        if next_attempt_at is None:
            await self._mark(delivery, state="failed", last_error=error[:500])
        else:
            await self._mark(delivery, next_attempt_at=next_attempt_at, last_error=error[:500])
        log.warning("not_delivered", channel=delivery.channel, attempts=delivery.attempts, error=error[:500])
        DELIVERIES.labels(delivery.channel, "failed" if next_attempt_at is None else "retried").inc()

    async def _mark(self, delivery: Delivery, **values: Any) -> None:
        # The count of tries is the token of the lease: whoever was overtaken changes nothing.
        await self._session.execute(
            sa.update(deliveries)
            .where(
                deliveries.c.delivery_id == delivery.delivery_id,
                deliveries.c.attempts == delivery.attempts,
                deliveries.c.state == "pending",
            )
            .values(**values)
        )

    async def _again(self, known: KnownAlert, now: datetime, changes: dict[str, Any]) -> None:
        await self._session.execute(
            sa.update(alerts)
            .where(alerts.c.alert_id == known.alert_id)
            .values({alerts.c.occurrences: alerts.c.occurrences + 1, alerts.c.last_at: now} | changes)
        )

    async def _lock(self, name: str) -> None:
        await self._session.execute(
            sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(visible(name), 0)))
        )


def books(database: Database) -> Callable[[], AbstractAsyncContextManager[PostgresBook]]:
    """Give what opens one transaction after another."""
    return opener(database, PostgresBook)


def _words(alert: Alert) -> dict[str, Any]:
    return {
        "producer": alert.producer,
        "level": alert.level.value,
        "code": visible(alert.code),
        "subject": visible(alert.subject),
        "text": visible(alert.text),
        "values": {visible(name): visible(value) for name, value in alert.values.items()},
    }


def _stored(row: Any) -> StoredAlert:
    return StoredAlert(
        alert_id=row.alert_id,
        producer=row.producer,
        level=AlertLevel(row.level),
        code=row.code,
        subject=row.subject,
        text=row.text,
        values=row._mapping["values"],  # noqa: SLF001 -- a column of the name of a method
        occurrences=row.occurrences,
        first_at=row.first_at,
        last_at=row.last_at,
    )
