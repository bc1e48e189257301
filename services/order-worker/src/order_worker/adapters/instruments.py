"""What is traded, from the hash that collector keeps in Redis."""

import msgspec
import structlog
from redis.asyncio import Redis

from sigmax.schemas.market import INSTRUMENTS, Instrument

log = structlog.get_logger()


class RedisInstruments:
    """Reads `md.instruments`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def all(self) -> dict[str, Instrument]:
        """Give the instruments that the collector knows, by id; an entry that cannot be read is left out."""
        found = {}
        entries: dict[bytes, bytes] = await self._redis.hgetall(INSTRUMENTS)  # type: ignore[assignment]
        for name, body in entries.items():
            try:
                instrument = Instrument.decode(body)
            except msgspec.MsgspecError:
                log.warning("instrument_unreadable", instrument_id=repr(name))
            else:
                found[instrument.instrument_id] = instrument
        return found
