"""The newest market data, as the collector keeps it in Redis."""

import asyncio
from collections.abc import Collection
from typing import TypeVar

import msgspec
import structlog
from redis.asyncio import Redis

from risk_gate.ports import MarketView
from sigmax.schemas.market import INSTRUMENTS, LATEST, Instrument, Quote

log = structlog.get_logger()
T = TypeVar("T", Instrument, Quote)


class RedisMarket:
    """Reads the two hashes of market data in one round trip."""

    def __init__(self, redis: Redis, timeout_s: float) -> None:
        self._redis = redis
        self._timeout_s = timeout_s

    async def look(self, instrument_id: str, held: Collection[str]) -> MarketView:
        """Read one instrument, and the quotes of it and of all that is held.

        Raises `TimeoutError` and redis-py's errors; the runtime waits such faults out with the message in hand.
        """
        names = sorted({instrument_id, *held})
        async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hget(INSTRUMENTS, instrument_id)
            pipeline.hmget(LATEST, names)
            stored, quotes = await pipeline.execute()
        read = {name: _read(Quote, body, name) for name, body in zip(names, quotes, strict=True)}
        return MarketView(
            instrument=_read(Instrument, stored, instrument_id),
            quotes={name: quote for name, quote in read.items() if quote is not None},
        )


def _read(kind: type[T], body: bytes | None, name: str) -> T | None:
    """Decode one hash field; what cannot be read is as good as absent, and absence denies."""
    if body is None:
        return None
    try:
        return kind.decode(body)
    except msgspec.MsgspecError as error:
        log.warning("market_data_unreadable", kind=kind.__name__, name=name, error=str(error))
        return None
