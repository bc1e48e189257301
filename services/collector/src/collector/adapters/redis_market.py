"""The market data streams in Redis."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from collector.adapters import metrics
from collector.domain.desk import Taken
from collector.domain.feed import Listing, Position
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.market import BARS, FIELD, INSTRUMENTS, LATEST, TICKS, Instrument, shard_of

log = structlog.get_logger()

SEQUENCES = "md.sequences"
"""Hash: the newest published sequence of each instrument."""
POSITIONS = "md.replays"
"""Hash: how far each recording is published, by its digest."""
TICKS_MAXLEN = 200_000
"""Entries per shard. A quiet market puts one tick in each: hours of it; a busy one up to 500."""
BARS_MAXLEN = 100_000
_BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class RedisMarket:
    """Publishes ticks, bars, and quotes, and with them where the collector is, in one step."""

    def __init__(self, redis: Redis, clock: ClockPort) -> None:
        self._redis = redis
        self._clock = clock
        self.trouble: str | None = None
        self.ticks = 0
        """Published since the start."""
        self._newest_ns = clock.now_ns()
        metrics.seconds_since_last_tick.set_function(lambda: (clock.now_ns() - self._newest_ns) / 1e9)

    async def publish(self, taken: Taken, recording: str | None) -> None:
        """Tell it all in one MULTI; repeats until Redis has it.

        A repeat after a lost answer doubles entries: readers drop sequences and bars that they know.
        """
        if not taken.is_published:
            await self._repeat(taken, recording)
            self._measure(taken)
        for anomaly in taken.anomalies:
            metrics.rejected.labels(anomaly.reason).inc()
        for gap in taken.gaps:
            metrics.gaps_marked.labels(gap.reason).inc()

    async def list_instruments(self, listings: Sequence[Listing]) -> None:
        """Write the hash of instruments; those of an earlier source stay known and are tradable no more."""
        current = {listing.instrument.instrument_id: listing.instrument.encode() for listing in listings}
        for name, body in (await self._hash(INSTRUMENTS)).items():
            instrument = Instrument.decode(body)
            if name not in current and instrument.is_tradable:
                current[name] = msgspec.structs.replace(instrument, is_tradable=False).encode()
        await self._redis.hset(INSTRUMENTS, mapping=current)  # type: ignore[arg-type]

    async def sequences(self) -> dict[str, int]:
        """Give the newest published sequence of each instrument."""
        return {name: int(value) for name, value in (await self._hash(SEQUENCES)).items()}

    async def position(self, recording: str) -> Position | None:
        """Give how far a recording is published; None where Redis knows nothing of it."""
        value = await self._redis.hget(POSITIONS, recording)
        if not isinstance(value, bytes):
            return None
        pass_number, event = value.decode().split(":")
        return Position(int(pass_number), int(event))

    async def _hash(self, name: str) -> dict[str, bytes]:
        fields: dict[bytes, bytes] = await self._redis.hgetall(name)  # type: ignore[assignment]
        return {key.decode(): value for key, value in fields.items()}

    async def _repeat(self, taken: Taken, recording: str | None) -> None:
        attempt = 0
        while True:
            try:
                await self._send(taken, recording)
            except (RedisError, RedisConnectionError, OSError) as error:
                metrics.publish_failures.inc()
                if self.trouble is None:
                    log.warning("publish_failed", error=str(error))
                self.trouble = f"publishing fails: {error}"
                await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
                attempt += 1
            else:
                self.trouble = None
                return

    async def _send(self, taken: Taken, recording: str | None) -> None:
        pipe = self._redis.pipeline(transaction=True)
        for shard, batch in taken.batches:
            pipe.xadd(TICKS.format(shard=shard), {FIELD: batch.encode()}, maxlen=TICKS_MAXLEN)
        if taken.quotes:
            pipe.hset(LATEST, mapping={quote.instrument_id: quote.encode() for quote in taken.quotes})
        if taken.sequences:
            pipe.hset(SEQUENCES, mapping=taken.sequences)  # type: ignore[arg-type]
        # After the ticks: whoever acts on a bar finds the newest price already there.
        for bar in taken.bars:
            stream = BARS.format(shard=shard_of(bar.instrument_id))
            pipe.xadd(stream, {FIELD: bar.encode()}, maxlen=BARS_MAXLEN)
        if recording is not None:
            pipe.hset(POSITIONS, recording, f"{taken.position.pass_number}:{taken.position.event}")
        if pipe.command_stack:
            await pipe.execute()

    def _measure(self, taken: Taken) -> None:
        now_ns = self._clock.now_ns()
        for _, batch in taken.batches:
            metrics.batch_ticks.observe(len(batch))
            metrics.publish_seconds.observe((now_ns - batch.received_ns[0]) / 1e9)
        for bar in taken.bars:
            metrics.bars_published.labels(str(bar.timeframe_s)).inc()
        if taken.ticks:
            metrics.ticks_accepted.inc(taken.ticks)
            self.ticks += taken.ticks
            self._newest_ns = now_ns
