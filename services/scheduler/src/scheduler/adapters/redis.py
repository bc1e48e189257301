"""Heartbeats from the Redis stream that all services write."""

from datetime import datetime
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sigmax.schemas.market import FIELD, HEARTBEATS, Heartbeat, nanoseconds

log = structlog.get_logger()

_ENTRIES_MAX = 2000


class RedisHeartbeats:
    """Reads the newest part of `ops.heartbeats`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def recent(self, since: datetime) -> list[Heartbeat] | None:
        """Give the heartbeats sent after `since`, newest first; None when Redis cannot be read.

        Entries that are no heartbeats are skipped: one service's fault must not hide the others.
        """
        try:
            entries: Any = await self._redis.xrevrange(HEARTBEATS, count=_ENTRIES_MAX)
        except (RedisError, OSError) as error:
            log.warning("heartbeats_unreadable", error=str(error))
            return None
        since_ns = nanoseconds(since)
        beats = []
        for entry_id, fields in entries:
            try:
                beat = Heartbeat.decode(fields.get(FIELD, b""))
            except msgspec.DecodeError:
                log.warning("heartbeat_malformed", entry_id=entry_id.decode())
                continue
            if beat.at_ns >= since_ns:
                beats.append(beat)
        return beats
