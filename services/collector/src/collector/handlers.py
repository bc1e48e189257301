"""What the collector does with the news of its source, and with the passing of time."""

import asyncio
from datetime import timedelta

import structlog

from collector.domain.desk import Desk, Taken
from collector.domain.feed import START, Feed, Gap, Listing, Position
from collector.ports import MarketPort, RecorderPort, SavedReplay, SourcePort, StorePort
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.control import Alert
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()

_MINUTE_NS = 60_000_000_000


class Collector:
    """One source, told to everybody and stored."""

    def __init__(
        self,
        source: SourcePort,
        market: MarketPort,
        store: StorePort,
        recorder: RecorderPort,
        clock: ClockPort,
        *,
        run: str = "default",
    ) -> None:
        """`run` names this start of the platform: a recording finished under another name begins again."""
        self._source = source
        self._market = market
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._run = run
        self._listings: list[Listing] = []
        self._desk: Desk | None = None
        self._turn = asyncio.Lock()
        self._is_between_turns = True
        self.is_finished = False

    async def collect(self) -> None:
        """Tell everything the source has, in order, from where the last process stopped."""
        await self._begin()
        if not self.is_finished:
            while (feed := await self._source.read()) is not None:
                await self.on_feed(feed)
            await self._finish()
        # A recording that is over stays over: the service lives on, so that it is not taken for failed.
        await asyncio.Event().wait()

    async def on_feed(self, feed: Feed) -> None:
        """Judge, publish, and hand over for storing what the source told."""
        async with self._turn:
            desk = self._need_desk()
            self._is_between_turns = False
            taken = desk.take(feed, self._clock.now_ns())
            await self._market.publish(taken, self._source.recording)
            await self._recorder.put(taken)
            self._is_between_turns = True
            for gap in taken.gaps:
                if gap.reason == "reconnect":
                    self._recorder.put_alert(self._interrupted(gap))
            if self._recorder.wants_checkpoint():
                self._checkpoint(desk)

    async def on_timer(self) -> None:
        """Close the minutes that are over by the wall clock, and store what waits."""
        if self._desk is None:
            return
        async with self._turn:
            desk = self._desk
            bars = desk.close_due(self._clock.now_ns()) if self._source.recording is None else []
            if bars:
                taken = Taken(bars=bars)
                await self._market.publish(taken, None)
                await self._recorder.put(taken)
            if self._recorder.wants_checkpoint():
                self._checkpoint(desk)

    async def relist(self) -> None:
        """Tell again what is traded: a Redis that was started anew knows nothing."""
        if self._listings:
            await self._market.list_instruments(self._listings)

    async def drop_old_days(self, keep_days: int) -> None:
        """Forget the ticks of days that were written long ago."""
        dropped = await self._store.drop_old_days(keep_days)
        if dropped:
            log.info("tick_days_dropped", days=dropped)

    async def stop(self) -> None:
        """Store what was published, as far as it is whole."""
        if self._desk is not None and self._is_between_turns and not self.is_finished:
            self._checkpoint(self._desk)
        await self._recorder.flush()
        await self._source.close()

    async def _begin(self) -> None:
        self._desk, self._is_between_turns, self.is_finished = None, True, False
        self._listings = await self._source.open()
        recording = self._source.recording
        self._recorder.reset(is_recording=recording is not None)
        await self._store.save_listings(self._listings)
        now_ns = self._clock.now_ns()
        # The minute in which a live feed starts is seen in part; a recording begins where it begins.
        first_whole_ns = 0 if recording is not None else now_ns - now_ns % _MINUTE_NS + _MINUTE_NS
        desk = Desk(self._listings, self._source.rules, bars_from_ns=first_whole_ns)
        published, stored = await self._market.sequences(), await self._store.sequences()
        if recording is None:
            desk.continue_from(published)
            desk.continue_from(stored)
            await self._mark_restart(now_ns)
        else:
            await self._resume(desk, recording, published, stored)
        await self.relist()
        self._desk = desk
        log.info("collecting", instruments=len(self._listings), position=desk.position, recording=recording)

    async def _resume(self, desk: Desk, recording: str, published: dict[str, int], stored: dict[str, int]) -> None:
        saved = await self._store.replay(recording)
        start = told = START
        if saved is not None:
            desk.restore(saved.state, saved.position)
            start = saved.position
            told = max(start, await self._market.position(recording) or START)
            self.is_finished = saved.is_finished and saved.run == self._run
            if saved.is_finished and not self.is_finished:
                start = told = Position(saved.position.pass_number + 1, 0)
        is_overtaken = any(stored.get(name, 0) > sequence for name, sequence in desk.sequences.items())
        if saved is None or is_overtaken:
            # Another source has told these instruments meanwhile: its numbers are taken.
            desk.continue_from(published)
            desk.continue_from(stored)
        if saved is None or start != saved.position or saved.run != self._run:
            desk.position = start
            await self._store.save_replay(recording, SavedReplay(start, desk.state(), self._run, self.is_finished))
        self._source.seek(start, told)

    async def _mark_restart(self, now_ns: int) -> None:
        """Mark that trades between the newest stored one and now were missed."""
        names = [listing.instrument.instrument_id for listing in self._listings]
        seen = await self._store.last_seen_ns(names)
        gaps = [Gap(lane, "restart", seen[name], now_ns) for lane, name in enumerate(names) if name in seen]
        if gaps:
            await self._recorder.put(Taken(gaps=gaps))

    async def _finish(self) -> None:
        async with self._turn:
            desk = self._need_desk()
            self.is_finished = True
            self._recorder.put_alert(self._finished(desk))
            self._checkpoint(desk)
        log.info("replay_finished", position=desk.position)

    def _checkpoint(self, desk: Desk) -> None:
        is_recording = self._source.recording is not None
        self._recorder.checkpoint(
            SavedReplay(desk.position, desk.state(), self._run, self.is_finished) if is_recording else None
        )

    def _need_desk(self) -> Desk:
        if self._desk is None:
            raise RuntimeError("the collector has not begun")
        return self._desk

    def _finished(self, desk: Desk) -> Alert:
        key = f"replay_finished:{self._source.recording}:{desk.position.pass_number}"
        return Alert(
            **Alert.first(f"collector.{key}", self._clock.now()),
            producer="collector",
            level=AlertLevel.INFO,
            code="replay_finished",
            subject="The recording is over",
            text="All of the recording was replayed; no further prices come.",
            values={"events": str(desk.position.event), "pass": str(desk.position.pass_number + 1)},
            dedupe_key=f"collector.{key}"[:200],
        )

    def _interrupted(self, gap: Gap) -> Alert:
        now = self._clock.now()
        instrument_id = self._listings[gap.lane].instrument.instrument_id
        silence = timedelta(microseconds=(gap.to_ns - gap.from_ns) // 1000)
        return Alert(
            **Alert.first(f"collector.feed_interrupted:{instrument_id}:{gap.from_ns}", now),
            producer="collector",
            level=AlertLevel.WARNING,
            code="feed_interrupted",
            subject=instrument_id,
            text=f"The connection to the venue was lost and is back; trades of {silence} may be missing.",
            values={"from_ns": str(gap.from_ns), "to_ns": str(gap.to_ns)},
            dedupe_key=f"collector.feed_interrupted:{instrument_id}",
        )
