"""Stores what was published in its own time, so that a slow database never delays a price."""

import asyncio
from collections import deque

import structlog

from collector.adapters import metrics
from collector.adapters.postgres import Gathering, PostgresStore
from collector.domain.desk import Taken
from collector.domain.feed import Gap
from collector.ports import SavedReplay
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.control import Alert
from sigmax.schemas.market import TickBatch
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()

GATHERED_MAX = 5_000
"""Ticks and bars that make a transaction of their own."""
GATHERED_S = 1.0
"""Fewer are stored after so long."""
WAITING_MAX = 100_000
"""Ticks and bars in memory: a recording waits then, and of a live feed the oldest are given up."""
_BACKOFF_MAX_S = 5.0
_LATE_S = 10.0


class Recorder:
    """A bounded queue before the store; what lies between two checkpoints is stored in one transaction."""

    def __init__(self, store: PostgresStore, clock: ClockPort) -> None:
        self._store = store
        self._clock = clock
        self._is_recording = False
        self._open = Gathering()
        self._opened_ns = 0
        self._sealed: deque[Gathering] = deque()
        self._waiting = 0
        self._has_work = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._saving = asyncio.Lock()
        self._trouble: str | None = None
        self._is_dropping = False

    @property
    def waiting(self) -> int:
        """Give how many ticks and bars are published and not stored yet."""
        return self._waiting

    def reset(self, *, is_recording: bool) -> None:
        """Forget what is not stored: another turn of leading begins. A recording waits for storage, a feed cannot."""
        self._is_recording = is_recording
        self._open = Gathering()
        self._sealed.clear()
        self._count(-self._waiting)

    async def put(self, taken: Taken) -> None:
        """Take what was published; a recording waits here when storage cannot keep up."""
        if not self._open:
            self._opened_ns = self._clock.now_ns()
        self._count(self._open.add(taken))
        if self._waiting <= WAITING_MAX:
            return
        if self._is_recording:
            if self._sealed:
                await self._has_room.wait()
        else:
            self._give_up_oldest()

    def put_alert(self, alert: Alert) -> None:
        """Take what people should know, to be told with what is stored."""
        self._open.alerts.append(alert)

    def wants_checkpoint(self) -> bool:
        """Say whether enough has gathered to be stored."""
        if not self._open:
            return False
        return self._open.ticks >= GATHERED_MAX or self._clock.now_ns() - self._opened_ns >= GATHERED_S * 1_000_000_000

    def checkpoint(self, replay: SavedReplay | None) -> None:
        """Mark that all put so far belongs together, and for a recording up to where it goes."""
        self._open.replay = replay
        if self._open:
            self._sealed.append(self._open)
            self._open = Gathering()
            self._has_work.set()

    async def flush(self) -> None:
        """Store all that was marked, in one attempt: the process is about to end."""
        try:
            while self._sealed:
                await self._save_oldest()
        except Exception:  # a recording tells it again, a live feed marks the gap when it starts anew
            log.exception("flush_failed", rows=self._waiting)

    async def run(self) -> None:
        """Store what is marked, for ever; a fault of the database is waited out."""
        attempt = 0
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            while self._sealed:
                try:
                    with metrics.store_seconds.time():
                        await self._save_oldest()
                except Exception as error:  # whatever it is, the data stays here until the database takes it
                    attempt += 1
                    if self._trouble is None:
                        log.exception("store_failed")
                    self._trouble = f"storing fails: {type(error).__name__}: {error}"
                    await asyncio.sleep(min(_BACKOFF_MAX_S, 0.1 * 2**attempt))
                else:
                    attempt, self._trouble = 0, None

    def problem(self) -> str | None:
        """Say what keeps data from being stored, if anything does."""
        if self._trouble:
            return self._trouble
        late_s = (self._clock.now_ns() - self._opened_ns) / 1e9
        if self._open and late_s > _LATE_S:
            return f"nothing stored for {late_s:.0f} s"
        return None

    async def _save_oldest(self) -> None:
        async with self._saving:
            if not self._sealed:
                return
            gathering = self._sealed[0]
            await self._store.save(gathering)
            self._settle(gathering)

    def _settle(self, gathering: Gathering) -> None:
        # A reset may have emptied the queue while the store was busy.
        if self._sealed and self._sealed[0] is gathering:
            self._sealed.popleft()
            self._count(-gathering.rows)
        self._is_dropping = False

    def _count(self, rows: int) -> None:
        self._waiting += rows
        metrics.rows_waiting.set(self._waiting)
        if self._waiting > WAITING_MAX:
            self._has_room.clear()
        else:
            self._has_room.set()

    def _give_up_oldest(self) -> None:
        """Make room by giving up ticks of the oldest gathering; what is missing is marked and told."""
        # The first one may be in a transaction just now.
        victim = next((item for item in list(self._sealed)[1:] if item.ticks), None)
        if victim is None:
            return
        dropped = victim.ticks
        victim.gaps.extend(gap for batch in victim.batches for gap in self._unstored(batch))
        victim.batches, victim.ticks = [], 0
        self._count(-dropped)
        metrics.rows_dropped.inc(dropped)
        log.error("ticks_not_stored", ticks=dropped)
        if not self._is_dropping:
            self._is_dropping = True
            now = self._clock.now()
            self._open.alerts.append(
                Alert(
                    **Alert.first(f"collector.storage_overloaded:{now.isoformat()}", now),
                    producer="collector",
                    level=AlertLevel.DANGER,
                    code="storage_overloaded",
                    subject="Ticks are published but not stored",
                    text="The database does not keep up with the feed. Prices still flow; the stored history has holes,"
                    " marked in data_gaps as not_stored.",
                    values={"ticks": str(dropped)},
                    dedupe_key="collector.storage_overloaded",
                )
            )

    def _unstored(self, batch: TickBatch) -> list[Gap]:
        lanes = (self._store.lane_of(instrument_id) for instrument_id in batch.instruments)
        return [Gap(lane, "not_stored", batch.ts_ns[0], batch.ts_ns[-1]) for lane in lanes]
