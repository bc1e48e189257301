"""What operators see of all services and of the servers: read every few seconds, on every replica alike."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from redis.asyncio import Redis
from sqlalchemy import text

from scheduler.adapters.metrics import (
    HEARTBEAT_AGE_S,
    POSTGRES_BYTES,
    POSTGRES_CONNECTIONS,
    POSTGRES_CONNECTIONS_MAX,
    REDIS_BYTES,
    REDIS_BYTES_MAX,
    REPLICAS,
)
from scheduler.ports import HeartbeatsPort
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database
from sigmax.schemas.market import Heartbeat, nanoseconds

_WINDOW = timedelta(seconds=60)
_NS_PER_S = 1_000_000_000

_POSTGRES = text(
    "SELECT pg_database_size(current_database()) AS size,"
    " (SELECT sum(numbackends) FROM pg_stat_database) AS connections,"
    " current_setting('max_connections')::integer AS connections_max"
)


class HeartbeatWatch:
    """Shows how long each expected service has been silent, and how many replicas of it live."""

    def __init__(
        self, heartbeats: HeartbeatsPort, clock: ClockPort, expected: Iterable[str], age_max: timedelta
    ) -> None:
        self._heartbeats = heartbeats
        self._clock = clock
        self._age_max = age_max
        # Who was never heard has been silent since we began to listen.
        self._heard_ns = dict.fromkeys(expected, clock.now_ns())
        for service in self._heard_ns:
            HEARTBEAT_AGE_S.labels(service).set_function(partial(self._age_s, service))

    async def look(self) -> None:
        """Read the newest heartbeats; while they cannot be read every service grows older."""
        now = self._clock.now()
        beats = await self._heartbeats.recent(now - _WINDOW)
        for beat in beats or ():
            if beat.service in self._heard_ns:
                self._heard_ns[beat.service] = max(self._heard_ns[beat.service], beat.at_ns)
        for service, count in self._living(beats or (), now).items():
            REPLICAS.labels(service).set(count)

    def _living(self, beats: Sequence[Heartbeat], now: datetime) -> dict[str, int]:
        since_ns = nanoseconds(now - self._age_max)
        replicas = {(beat.service, beat.replica) for beat in beats if beat.at_ns >= since_ns}
        return {service: sum(name == service for name, _ in replicas) for service in self._heard_ns}

    def _age_s(self, service: str) -> float:
        return max(0.0, (self._clock.now_ns() - self._heard_ns[service]) / _NS_PER_S)


async def look_at_postgres(database: Database) -> None:
    """Show how large the database is, and how many connections are taken."""
    async with database.reading() as session:
        row = (await session.execute(_POSTGRES)).one()
    POSTGRES_BYTES.set(row.size)
    POSTGRES_CONNECTIONS.set(row.connections)
    POSTGRES_CONNECTIONS_MAX.set(row.connections_max)


async def look_at_redis(redis: Redis) -> None:
    """Show how much memory Redis holds."""
    memory = await redis.info("memory")
    REDIS_BYTES.set(memory["used_memory"])
    REDIS_BYTES_MAX.set(memory["maxmemory"])
