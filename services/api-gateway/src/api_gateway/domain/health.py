"""The platform's health, judged from the newest heartbeats."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from api_gateway.domain.views.platform import ReplicaView, ServiceHealthView, SystemHealthView
from sigmax.schemas.market import Heartbeat, moment, nanoseconds
from sigmax.schemas.topology import SERVICES

_MISSED_MAX = 3
_OPTIONAL = frozenset({"paper-venue"})
"""Stands outside the platform: a platform that trades live has none."""


def newest_of(beats: Iterable[Heartbeat]) -> list[Heartbeat]:
    """Give the newest heartbeat of each replica of each service; `beats` are in the order they came."""
    newest = {(beat.service, beat.replica): beat for beat in beats}
    return [newest[who] for who in sorted(newest)]


def is_alive(beat: Heartbeat, now: datetime) -> bool:
    """Say whether a replica whose newest heartbeat this is still lives."""
    return nanoseconds(now) - beat.at_ns <= _MISSED_MAX * Heartbeat.INTERVAL_S * 1e9


def health_of(beats: Iterable[Heartbeat], now: datetime, cooldown: timedelta) -> SystemHealthView:
    """Judge every service: well when at least one replica lives, and all that live are ready."""
    by_service: dict[str, list[ReplicaView]] = {service: [] for service in SERVICES}
    for beat in newest_of(beats):
        by_service.setdefault(beat.service, []).append(_replica(beat, now))
    services = [
        ServiceHealthView(service=service, is_healthy=_is_healthy(replicas), replicas=replicas)
        for service, replicas in by_service.items()
        if replicas or service not in _OPTIONAL
    ]
    alive = [replica for replicas in by_service.values() for replica in replicas if replica.is_alive]
    versions = sorted({replica.version for replica in alive})
    return SystemHealthView(
        is_healthy=all(service.is_healthy for service in services),
        is_version_uniform=len(versions) <= 1,
        versions=versions,
        queued=sum(max((sum(r.queues.values()) for r in s.replicas if r.is_alive), default=0) for s in services),
        services=services,
        approval_cooldown_s=int(cooldown.total_seconds()),
        as_of=now,
    )


def _replica(beat: Heartbeat, now: datetime) -> ReplicaView:
    age_ns = max(0, nanoseconds(now) - beat.at_ns)
    return ReplicaView(
        replica=beat.replica,
        version=beat.version,
        ready=beat.ready,
        is_alive=is_alive(beat, now),
        heartbeat_age_s=Decimal(age_ns // 1_000_000) / 1000,
        last_handled_at=moment(beat.last_handled_ns) if beat.last_handled_ns else None,
        queues=beat.queues,
        problems=beat.problems,
    )


def _is_healthy(replicas: Sequence[ReplicaView]) -> bool:
    alive = [replica for replica in replicas if replica.is_alive]
    return bool(alive) and all(replica.ready for replica in alive)
