"""One source told to everybody and stored, over fakes of the world."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from collector.domain.desk import Desk, DeskRules, Taken
from collector.domain.feed import START, Feed, Gap, Listing, Position, Trades
from collector.handlers import Collector
from collector.ports import SavedReplay
from sigmax.schemas.control import Alert
from sigmax.schemas.market import Instrument, moment

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
T0 = 1_700_000_000 * SECOND // MINUTE * MINUTE


def a_listing(name: str = "BTC/USDT@replay") -> Listing:
    base, quote = name.split("@", maxsplit=1)[0].split("/")
    instrument = Instrument(
        instrument_id=name,
        base=base,
        quote=quote,
        market=name.split("@")[1],
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.001"),
        quantity_min=Decimal("0.001"),
        notional_min=Decimal(5),
        asset_class="crypto",
    )
    return Listing(base + quote, instrument, -2, -3)


def a_feed(first: int, count: int, *, is_published: bool = False) -> Feed:
    """Give trades number `first` on, one a second."""
    numbers = range(first, first + count)
    trades = Trades(
        T0,
        lanes=[0] * count,
        ts_ns=[T0 + i * SECOND for i in numbers],
        prices=[5_000_000 + i for i in numbers],
        quantities=[1000] * count,
        sides=[1] * count,
    )
    return Feed(trades=[trades], position=Position(0, first + count), is_published=is_published)


class FakeClock:
    def __init__(self) -> None:
        self.ns = T0

    def now(self) -> datetime:
        return moment(self.ns).astimezone(UTC)

    def now_ns(self) -> int:
        return self.ns


class FakeSource:
    def __init__(self, feeds: Sequence[Feed], *, recording: str | None = "digest") -> None:
        self.rules = DeskRules()
        self.recording = recording
        self.feeds = list(feeds)
        self.sought: tuple[Position, Position] | None = None
        self.is_closed = False

    async def open(self) -> list[Listing]:
        return [a_listing()]

    def seek(self, start: Position, published: Position) -> None:
        self.sought = (start, published)

    async def read(self) -> Feed | None:
        return self.feeds.pop(0) if self.feeds else None

    def problem(self) -> str | None:
        return None

    async def close(self) -> None:
        self.is_closed = True


class FakeMarket:
    def __init__(self) -> None:
        self.told: list[Taken] = []
        self.listed: list[str] = []
        self.known: dict[str, int] = {}
        self.at: Position | None = None

    async def publish(self, taken: Taken, recording: str | None) -> None:
        if not taken.is_published:
            self.told.append(taken)
            self.known |= taken.sequences
            if recording is not None:
                self.at = taken.position

    async def list_instruments(self, listings: Sequence[Listing]) -> None:
        self.listed = [listing.instrument.instrument_id for listing in listings]

    async def sequences(self) -> dict[str, int]:
        return dict(self.known)

    async def position(self, recording: str) -> Position | None:
        return self.at

    @property
    def sequences_told(self) -> list[int]:
        return [sequence for taken in self.told for _, batch in taken.batches for sequence in batch.sequences]


class FakeStore:
    """The tables and the recorder before them, in one: what is marked is stored at once."""

    def __init__(self) -> None:
        self.saved: SavedReplay | None = None
        self.stored: list[Taken] = []
        self.known: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        self.alerts: list[Alert] = []
        self.is_wanting = True
        self._open: list[Taken] = []

    async def save_listings(self, listings: Sequence[Listing]) -> None:
        self.listings = listings

    async def sequences(self) -> dict[str, int]:
        return dict(self.known)

    async def replay(self, recording: str) -> SavedReplay | None:
        return self.saved

    async def save_replay(self, recording: str, replay: SavedReplay) -> None:
        self.saved = replay

    async def last_seen_ns(self, instrument_ids: Sequence[str]) -> dict[str, int]:
        return self.seen

    async def drop_old_days(self, keep_days: int) -> int:
        return 0

    async def put(self, taken: Taken) -> None:
        self._open.append(taken)

    def put_alert(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def reset(self, *, is_recording: bool) -> None:
        self._open = []

    async def flush(self) -> None:
        pass

    def wants_checkpoint(self) -> bool:
        return self.is_wanting

    def checkpoint(self, replay: SavedReplay | None) -> None:
        self.stored += self._open
        for taken in self._open:
            self.known |= taken.sequences
        self._open = []
        self.saved = replay or self.saved

    def problem(self) -> str | None:
        return None

    @property
    def sequences_stored(self) -> list[int]:
        return [sequence for taken in self.stored for _, batch in taken.batches for sequence in batch.sequences]


class World:
    def __init__(self) -> None:
        self.market, self.store, self.clock = FakeMarket(), FakeStore(), FakeClock()

    def collector(self, source: FakeSource, *, run: str = "monday") -> Collector:
        return Collector(source, self.market, self.store, self.store, self.clock, run=run)

    async def run(self, source: FakeSource, *, run: str = "monday") -> Collector:
        """Collect until the source has nothing more to tell."""
        collector = self.collector(source, run=run)
        work = asyncio.create_task(collector.collect())
        async with asyncio.timeout(5):
            while source.feeds or not collector.is_finished:
                assert not work.done(), work.exception()
                await asyncio.sleep(0)
        work.cancel()
        return collector


async def test_a_recording_is_told_stored_and_over() -> None:
    world = World()

    await world.run(FakeSource([a_feed(0, 10), a_feed(10, 5)]))

    assert world.market.sequences_told == world.store.sequences_stored == list(range(1, 16))
    assert world.market.listed == ["BTC/USDT@replay"]
    assert world.store.saved is not None
    assert (world.store.saved.position, world.store.saved.is_finished) == (Position(0, 15), True)
    assert [alert.code for alert in world.store.alerts] == ["replay_finished"]


async def test_where_a_recording_begins_is_stored_before_anything_is_told() -> None:
    world, source = World(), FakeSource([])
    collector = world.collector(source)
    work = asyncio.create_task(collector.collect())
    await asyncio.sleep(0.01)
    work.cancel()

    assert world.store.saved is not None
    assert source.sought == (START, START)


async def test_after_a_crash_what_was_told_is_stored_and_not_told_again() -> None:
    world = World()
    world.store.is_wanting = False
    first = world.collector(FakeSource([]))
    await first._begin()
    await first.on_feed(a_feed(0, 10))  # told, and lost from storage by the crash
    world.store.is_wanting = True

    source = FakeSource([a_feed(0, 10, is_published=True), a_feed(10, 5)])
    await world.run(source)

    assert source.sought == (START, Position(0, 10))
    assert world.market.sequences_told == list(range(1, 16))
    assert world.store.sequences_stored == list(range(1, 16))


async def test_a_finished_recording_is_not_read_again_in_the_same_run() -> None:
    world = World()
    await world.run(FakeSource([a_feed(0, 3)]))
    source = FakeSource([a_feed(0, 3)])
    collector = world.collector(source)
    work = asyncio.create_task(collector.collect())
    await asyncio.sleep(0.01)
    work.cancel()

    assert collector.is_finished
    assert len(source.feeds) == 1


async def test_a_finished_recording_begins_again_in_another_run_with_sequences_going_on() -> None:
    world = World()
    await world.run(FakeSource([a_feed(0, 3)]))
    source = FakeSource([a_feed(100, 3)])

    await world.run(source, run="tuesday")

    assert source.sought == (Position(1, 0), Position(1, 0))
    assert world.market.sequences_told == [1, 2, 3, 4, 5, 6]


async def test_numbers_that_another_source_used_meanwhile_are_not_used_again() -> None:
    world = World()
    await world.run(FakeSource([a_feed(0, 3)]))
    world.market.known = {"BTC/USDT@replay": 500}
    world.store.known = {"BTC/USDT@replay": 490}

    await world.run(FakeSource([a_feed(100, 1)]), run="tuesday")

    assert world.market.sequences_told[-1] == 501


async def test_a_live_feed_goes_on_with_its_numbers_and_marks_the_time_it_missed() -> None:
    world = World()
    world.market.known = {"BTC/USDT@replay": 7}
    world.store.seen = {"BTC/USDT@replay": T0 - MINUTE}
    collector = world.collector(FakeSource([], recording=None))
    await collector._begin()
    await collector.on_feed(a_feed(0, 1))

    assert world.market.sequences_told == [8]
    assert [gap for taken in world.store.stored for gap in taken.gaps] == [Gap(0, "restart", T0 - MINUTE, T0)]


async def test_the_wall_clock_closes_the_bars_of_a_live_feed_after_a_grace() -> None:
    world = World()
    collector = world.collector(FakeSource([], recording=None))
    await collector._begin()
    await collector.on_feed(a_feed(0, 1))  # in the minute the feed started: seen in part
    await collector.on_feed(a_feed(60, 5))
    for second in (121, 122):
        world.clock.ns = T0 + second * SECOND
        await collector.on_timer()

    bars = [bar for taken in world.market.told for bar in taken.bars]
    assert [(bar.open_ns, bar.trades) for bar in bars] == [(T0 + MINUTE, 5)]
    assert bars[0].received_ns == T0 + 122 * SECOND


async def test_people_are_told_of_an_interrupted_feed() -> None:
    world = World()
    collector = world.collector(FakeSource([], recording=None))
    await collector._begin()
    feed = a_feed(0, 1)
    feed.gaps.append(Gap(0, "reconnect", T0 - 5 * SECOND, T0))

    await collector.on_feed(feed)

    assert [(alert.code, alert.subject) for alert in world.store.alerts] == [("feed_interrupted", "BTC/USDT@replay")]


async def test_a_stop_stores_what_was_told() -> None:
    world, source = World(), FakeSource([])
    world.store.is_wanting = False
    collector = world.collector(source)
    await collector._begin()
    await collector.on_feed(a_feed(0, 10))

    await collector.stop()

    assert world.store.sequences_stored == list(range(1, 11))
    assert world.store.saved is not None
    assert world.store.saved.position == Position(0, 10)
    assert source.is_closed


@pytest.mark.parametrize("cut", [1, 59, 60, 61, 150])
def test_a_restored_desk_makes_what_the_first_one_would_have(cut: int) -> None:
    whole, first = Desk([a_listing()], DeskRules()), Desk([a_listing()], DeskRules())
    expected = [whole.take(a_feed(0, cut), T0), whole.take(a_feed(cut, 200 - cut), T0)]
    begun = first.take(a_feed(0, cut), T0)
    second = Desk([a_listing()], DeskRules())
    second.restore(first.state(), first.position)

    rest = second.take(a_feed(cut, 200 - cut), T0)

    assert [begun.batches, rest.batches] == [taken.batches for taken in expected]
    assert begun.bars + rest.bars == [bar for taken in expected for bar in taken.bars]


def test_a_batch_holds_no_more_than_500_ticks() -> None:
    taken = Desk([a_listing()], DeskRules()).take(a_feed(0, 1300), T0)

    assert [len(batch) for _, batch in taken.batches] == [500, 500, 300]
    assert taken.ticks == 1300
