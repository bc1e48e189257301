"""The live state that others keep in Redis."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from sigmax.schemas.market import FIELD, HEARTBEATS, LATEST, Heartbeat, Quote

_BEATS_READ = 600
"""About two minutes of heartbeats of a platform with a few replicas."""

_PATIENCE_S = 3.0
"""Redis's own client would try on for half a minute: a person rather hears at once that it is away."""


class RedisMarket:
    """Reads the newest quotes and heartbeats."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def latest(self) -> dict[str, Quote]:
        """Give the newest quote of each instrument; empty when nothing trades."""
        async with asyncio.timeout(_PATIENCE_S):
            found: dict[bytes, bytes] = await self._redis.hgetall(LATEST)  # type: ignore[assignment]
        return {quote.instrument_id: quote for quote in (Quote.decode(body) for body in found.values())}

    async def heartbeats(self) -> list[Heartbeat]:
        """Give the heartbeats of the last minute or more, in the order they came."""
        async with asyncio.timeout(_PATIENCE_S):
            entries: Any = await self._redis.xrevrange(HEARTBEATS, count=_BEATS_READ)
        return [Heartbeat.decode(fields[FIELD]) for _, fields in reversed(entries)]
