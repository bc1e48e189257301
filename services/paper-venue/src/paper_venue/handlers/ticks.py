"""Prices and instruments coming in."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import structlog
from msgspec import DecodeError

from paper_venue.domain.errors import DialectError
from paper_venue.handlers.desk import Desk
from paper_venue.handlers.market_streams import MarketPublisher
from paper_venue.ports import FeedPort
from sigmax.domain.trading_rules import TradingRules
from sigmax.schemas.market import SHARDS, TICKS

TICK_STREAMS = tuple(TICKS.format(shard=shard) for shard in range(SHARDS))
log = structlog.get_logger()

_RETRY_S = 1.0
_LOOK_NS = 500_000_000
Count = Callable[[str], None]


class TickFollower:
    """Opens the desk and lets the outside market's trades in, for as long as this process is the venue."""

    def __init__(
        self,
        desk: Desk,
        feed: FeedPort,
        publisher: MarketPublisher,
        *,
        account_id: str,
        opening: dict[str, Decimal],
        count: Count,
    ) -> None:
        self._desk = desk
        self._feed = feed
        self._publisher = publisher
        self._account_id = account_id
        self._opening = opening
        self._count = count
        self._looked_ns = 0

    async def run(self) -> None:
        """Follow the streams; after a fault read the state anew and go on from what is stored."""
        try:
            while True:
                try:
                    await self._follow()
                except Exception as error:
                    # Postgres or Redis is away: a venue without them is closed, and opens when they are back.
                    log.warning("feed_interrupted", error=repr(error))
                    await asyncio.sleep(_RETRY_S)
        finally:
            self._desk.close()

    async def _follow(self) -> None:
        positions = await self._desk.open(self._account_id, self._opening)
        new = [stream for stream in TICK_STREAMS if stream not in positions]
        if new:
            newest = await self._feed.newest(new)
            await self._desk.start_from(newest)
            positions |= newest
        await self.refresh_instruments()
        tail = self._feed.follow(positions)
        while self._desk.is_open:
            entries = await tail.read()
            watched = self._publisher.watched() if entries and self._desk.is_open else set()
            for number, (stream, entry_id, body) in enumerate(entries, 1):
                await self._apply(stream, entry_id, body, watched)
                if number % 20 == 0:
                    await asyncio.sleep(0)  # requests come between entries, however many wait

    async def _apply(self, stream: str, entry_id: str, body: bytes, watched: set[str]) -> None:
        try:
            trades = await self._desk.on_entry(stream, entry_id, body, watched)
            if await self._has_listed_new():
                # Markets that have the entry skip it; those that were just listed take their first price from it.
                trades += await self._desk.on_entry(stream, entry_id, body, watched)
        except DecodeError as error:
            self._count("unreadable")
            log.warning("entry_unreadable", stream=stream, entry_id=entry_id, error=str(error))
            return
        self._count("applied")
        if trades:
            self._publisher.on_trades(trades)

    async def _has_listed_new(self) -> bool:
        """Look for the instruments that traded without being known; at most once in a while."""
        floor = self._desk.floor
        now_ns = self._desk.clock.now_ns()
        if not floor.unlisted or now_ns < self._looked_ns + _LOOK_NS:
            return False
        self._looked_ns = now_ns
        before = len(floor.names)
        await self.refresh_instruments()
        floor.unlisted.clear()
        return len(floor.names) > before

    async def refresh_instruments(self) -> None:
        """List what the collector knows."""
        if not self._desk.is_open:
            return
        try:
            await self._desk.list_instruments([TradingRules.of(each) for each in await self._feed.instruments()])
        except DialectError:
            return  # the desk closed meanwhile
