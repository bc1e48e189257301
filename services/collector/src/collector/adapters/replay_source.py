"""Replays a recording at a chosen speed."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collector.adapters.recording import Block, blocks
from collector.adapters.recording_survey import Survey, survey
from collector.domain.cleaning import CleaningLimits
from collector.domain.desk import DeskRules
from collector.domain.feed import START, Anomaly, Feed, Gap, Listing, Position, RawBar, Trades
from sigmax.runtime.clock import ClockPort

_EVENTS_MAX = 2000
"""Events told at once: four shards of a full batch each."""
_GAP_S = 300
"""A longer silence of the recording is skipped ..."""
_SKIPPED_S = 1.0
"""... to this, in wall time."""
_BEHIND_MAX_S = 2.0
"""A replay that fell behind by more goes on from where it is: it never hurries to catch up."""
_SECOND_NS = 1_000_000_000


class ReplaySource:
    """A recording as a source. Market time is the recording's, `received_ns` is now."""

    def __init__(self, path: Path, *, speed: float, loop: bool, clock: ClockPort) -> None:
        """`speed` 0 tells everything as fast as it is taken; `loop` begins again at the end, later in market time."""
        self.recording: str | None = None
        self.rules = DeskRules()
        self._path = path
        self._speed = speed
        self._is_looping = loop
        self._clock = clock
        self._survey: Survey | None = None
        self._start = START
        self._published = START
        self._parts: Iterator[Block] = iter(())
        self._block: Block | None = None
        self._due_s: NDArray[np.float64] = np.empty(0)
        self._cursor = 0
        self._last_ts: int | None = None
        self._last_due_s = 0.0
        self._anchor_s: float | None = None
        self._is_over = False

    async def open(self) -> list[Listing]:
        """Look at the whole file. Raises `RecordingError` that names what is wrong with it."""
        if self._survey is None:
            self._survey = await asyncio.to_thread(survey, self._path)
            self.recording = await asyncio.to_thread(_digest, self._path)
        if self._survey.file.kind == "bars":
            self.rules = DeskRules(limits=None, builds_bars=False)
        else:
            self.rules = DeskRules(limits=CleaningLimits(), silence_ns=_GAP_S * _SECOND_NS)
        self.seek(START, START)
        return self._survey.listings(self._speed)

    def seek(self, start: Position, published: Position) -> None:
        """Begin at `start`; events before `published` are told at once and marked as told already."""
        self._start, self._published = start, published
        self._begin_pass(start)

    async def read(self) -> Feed | None:
        """Give all events that are due, at most `_EVENTS_MAX`; None when the recording is over."""
        while not self._is_over:
            block = self._block
            if block is None or self._cursor >= len(block):
                await self._next_block()
                continue
            now = Position(self._start.pass_number, block.first + self._cursor)
            if now < self._published:
                return self._told_already(block)
            end = min(self._cursor + _EVENTS_MAX, len(block))
            if self._speed > 0:
                end = min(end, await self._due())
            if end > self._cursor:
                return self._feed(block, end, is_published=False)
        return None

    def problem(self) -> str | None:
        """A recording is never disconnected."""
        return None

    async def close(self) -> None:
        """Forget the block in memory."""
        self._block = None
        self._parts = iter(())

    def _begin_pass(self, position: Position) -> None:
        if self._survey is None:
            raise RuntimeError("open() comes first")
        self._start = position
        self._parts = blocks(self._survey, position.pass_number, position.event)
        self._block = None
        self._is_over = False

    async def _next_block(self) -> None:
        self._block = await asyncio.to_thread(next, self._parts, None)
        self._cursor = 0
        if self._block is not None:
            self._due_s = self._schedule(self._block.ts_ns)
        elif self._is_looping:
            self._begin_pass(Position(self._start.pass_number + 1, 0))
        else:
            self._is_over = True

    def _schedule(self, ts_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the wall second of each event, from the first one of this process on."""
        if self._speed <= 0 or not len(ts_ns):
            return np.zeros(len(ts_ns))
        bar_s = self._survey.bar_seconds if self._survey else None
        gap_s = max(_GAP_S, 2 * (bar_s or 0))
        first = int(ts_ns[0]) if self._last_ts is None else self._last_ts
        silence_s = np.diff(ts_ns, prepend=first) / _SECOND_NS
        steps = silence_s / self._speed
        skipped = silence_s > gap_s
        steps[skipped] = np.minimum(steps[skipped], _SKIPPED_S)
        due = self._last_due_s + np.cumsum(steps)
        self._last_ts, self._last_due_s = int(ts_ns[-1]), float(due[-1])
        return due

    async def _due(self) -> int:
        """Wait until the next event is due; give the index after the last one that is."""
        loop = asyncio.get_running_loop()
        next_s = float(self._due_s[self._cursor])
        if self._anchor_s is None or loop.time() - self._anchor_s - next_s > _BEHIND_MAX_S:
            self._anchor_s = loop.time() - next_s
        wait_s = self._anchor_s + next_s - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        return int(np.searchsorted(self._due_s, loop.time() - self._anchor_s + 1e-9, side="right"))

    def _told_already(self, block: Block) -> Feed:
        end = min(self._cursor + _EVENTS_MAX, len(block))
        if self._published.pass_number == self._start.pass_number:
            end = min(end, self._published.event - block.first)
        return self._feed(block, end, is_published=True)

    def _feed(self, block: Block, end: int, *, is_published: bool) -> Feed:
        start, self._cursor = self._cursor, end
        now_ns = self._clock.now_ns()
        feed = Feed(position=Position(self._start.pass_number, block.first + end), is_published=is_published)
        trades = Trades(now_ns)
        if block.extras:
            self._sort_out(block, start, end, feed, trades)
        else:
            trades.lanes = block.lanes[start:end].tolist()
            trades.ts_ns = block.ts_ns[start:end].tolist()
            trades.prices = block.prices[start:end].tolist()
            trades.quantities = block.quantities[start:end].tolist()
            trades.sides = block.sides[start:end].tolist()
            trades.trade_ids = block.trade_ids[start:end] if block.trade_ids is not None else None
        if trades.lanes:
            feed.trades.append(trades)
        return feed

    def _sort_out(self, block: Block, start: int, end: int, feed: Feed, trades: Trades) -> None:
        for index in range(start, end):
            extra = block.extras.get(index)
            if isinstance(extra, RawBar):
                feed.bars.append(extra)
            elif isinstance(extra, Gap):
                feed.gaps.append(extra)
            elif isinstance(extra, Anomaly):
                feed.anomalies.append(extra)
            else:
                trades.lanes.append(int(block.lanes[index]))
                trades.ts_ns.append(int(block.ts_ns[index]))
                trades.prices.append(int(block.prices[index]))
                trades.quantities.append(int(block.quantities[index]))
                trades.sides.append(int(block.sides[index]))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
