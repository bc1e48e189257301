"""The replay's pace, the recorder's queue, and the publisher's patience."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from collector.adapters import recorder as recorder_module
from collector.adapters.postgres import Gathering
from collector.adapters.recorder import Recorder
from collector.adapters.redis_market import RedisMarket
from collector.adapters.replay_source import ReplaySource
from collector.domain.desk import Taken
from collector.domain.feed import START, Position
from collector.ports import SavedReplay
from sigmax.runtime.clock import SystemClock
from sigmax.schemas.market import TickBatch

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def a_recording(folder: Path, seconds: list[float]) -> Path:
    path = folder / "trades.parquet"
    count = len(seconds)
    pl.DataFrame(
        {
            "ts": [T0 + int(second * SECOND) for second in seconds],
            "symbol": ["ES"] * count,
            "price": [1640.25] * count,
            "qty": [1.0] * count,
            "side": [""] * count,
            "trade_id": list(range(count)),
        }
    ).write_parquet(path)
    return path


async def schedule(path: Path, speed: float) -> list[float]:
    source = ReplaySource(path, speed=speed, loop=False, clock=SystemClock())
    await source.open()
    await source._next_block()
    return [round(due, 6) for due in source._due_s.tolist()]


async def test_a_replay_keeps_the_recorded_pace_times_its_speed(tmp_path: Path) -> None:
    path = a_recording(tmp_path, [0, 1, 3, 3, 10])

    assert await schedule(path, 1) == [0, 1, 3, 3, 10]
    assert await schedule(path, 20) == [0, 0.05, 0.15, 0.15, 0.5]


async def test_a_silence_over_five_minutes_is_skipped_to_a_second(tmp_path: Path) -> None:
    path = a_recording(tmp_path, [0, 300, 601, 4201])

    assert await schedule(path, 1) == [0, 300, 301, 302]
    assert await schedule(path, 7200) == [0, 0.041667, 0.083472, 0.583472]


async def told(source: ReplaySource) -> list[tuple[Position, int, bool]]:
    """Read to the end; give where each feed ended, how many trades it had, and whether they were told before."""
    feeds = []
    async with asyncio.timeout(20):
        while (feed := await source.read()) is not None:
            feeds.append((feed.position, sum(len(trades.lanes) for trades in feed.trades), feed.is_published))
    return feeds


async def test_a_replay_at_full_speed_is_cut_into_pieces(tmp_path: Path) -> None:
    source = ReplaySource(
        a_recording(tmp_path, [i / 100 for i in range(4500)]), speed=0, loop=False, clock=SystemClock()
    )
    await source.open()

    assert await told(source) == [
        (Position(0, 2000), 2000, False),
        (Position(0, 4000), 2000, False),
        (Position(0, 4500), 500, False),
    ]


async def test_what_was_told_before_a_restart_comes_at_once_and_marked(tmp_path: Path) -> None:
    path = a_recording(tmp_path, [float(i) for i in range(100)])
    source = ReplaySource(path, speed=10_000, loop=False, clock=SystemClock())
    await source.open()
    source.seek(Position(0, 40), Position(0, 70))

    feeds = await told(source)

    assert feeds[0] == (Position(0, 70), 30, True)
    assert sum(count for _, count, is_published in feeds if not is_published) == 30
    assert feeds[-1][0] == Position(0, 100)


async def test_a_loop_goes_on_later_in_market_time_and_its_repeated_ids_are_no_duplicates(tmp_path: Path) -> None:
    source = ReplaySource(a_recording(tmp_path, [0, 1, 2]), speed=0, loop=True, clock=SystemClock())
    await source.open()

    first, second = await source.read(), await source.read()

    assert first is not None
    assert second is not None
    assert (first.position, second.position) == (Position(0, 3), Position(1, 3))
    assert second.trades[0].ts_ns == [ts + 86_400 * SECOND for ts in first.trades[0].ts_ns]
    assert first.trades[0].trade_ids == [0, 1, 2]
    assert second.trades[0].trade_ids is None


class FakeStore:
    """Stores when it is let."""

    def __init__(self) -> None:
        self.saved: list[Gathering] = []
        self.may_save = asyncio.Event()
        self.may_save.set()
        self.faults = 0

    async def save(self, gathering: Gathering) -> None:
        await self.may_save.wait()
        if self.faults:
            self.faults -= 1
            raise ConnectionError("the database is away")
        self.saved.append(gathering)

    def lane_of(self, instrument_id: str) -> int:
        return 0


def some_ticks(count: int, first: int = 1) -> Taken:
    batch = TickBatch(
        ["ES/USD@replay"],
        [-2],
        [0],
        [0] * count,
        list(range(first, first + count)),
        [T0 + i for i in range(count)],
        [T0] * count,
        [164025] * count,
        [1] * count,
        [0] * count,
    )
    return Taken(batches=[(0, batch)], ticks=count)


def a_checkpoint(event: int) -> SavedReplay:
    return SavedReplay(Position(0, event), b"", "run", is_finished=False)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def running() -> Any:
    """Give a recorder over a fake store, and the store."""
    store: Any = FakeStore()
    recorder = Recorder(store, SystemClock())
    work = asyncio.create_task(recorder.run())
    yield recorder, store
    work.cancel()


async def test_what_lies_between_checkpoints_is_stored_together(running: Any) -> None:
    recorder, store = running
    recorder.reset(is_recording=True)
    for number in range(3):
        await recorder.put(some_ticks(10, 1 + 10 * number))
    recorder.checkpoint(a_checkpoint(30))
    await recorder.put(some_ticks(10, 31))
    await until(lambda: bool(store.saved))

    assert [(item.ticks, item.replay.position.event) for item in store.saved] == [(30, 30)]
    assert recorder.waiting == 10


async def test_a_fault_of_the_database_is_waited_out_and_told(running: Any) -> None:
    recorder, store = running
    store.faults = 2
    await recorder.put(some_ticks(10))
    recorder.checkpoint(None)
    await until(lambda: recorder.problem() is not None)
    await until(lambda: bool(store.saved))
    await until(lambda: recorder.problem() is None)

    assert [item.ticks for item in store.saved] == [10]


async def test_a_recording_waits_when_storage_cannot_keep_up(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "WAITING_MAX", 25)
    recorder, store = running
    recorder.reset(is_recording=True)
    store.may_save.clear()

    async def tell() -> None:
        for number in range(10):
            await recorder.put(some_ticks(10, 1 + 10 * number))
            recorder.checkpoint(a_checkpoint(10 * (number + 1)))

    telling = asyncio.create_task(tell())
    await until(lambda: recorder.waiting > 25)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not telling.done()
    assert recorder.waiting == 30
    store.may_save.set()
    await telling
    await until(lambda: len(store.saved) == 10)

    assert [item.replay.position.event for item in store.saved] == list(range(10, 101, 10))


async def test_a_live_feed_never_waits_and_says_what_it_gave_up(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "WAITING_MAX", 25)
    recorder, store = running
    recorder.reset(is_recording=False)
    store.may_save.clear()
    for number in range(10):
        await recorder.put(some_ticks(10, 1 + 10 * number))
        recorder.checkpoint(None)
    assert recorder.waiting <= 30
    store.may_save.set()
    await until(lambda: recorder.waiting == 0)
    await until(lambda: len(store.saved) == 10)

    stored = sum(item.ticks for item in store.saved)
    gaps = [gap for item in store.saved for gap in item.gaps]
    assert {gap.reason for gap in gaps} == {"not_stored"}
    assert stored + 10 * len(gaps) == 100
    assert [alert.code for item in store.saved for alert in item.alerts] == ["storage_overloaded"]


class FakePipeline:
    def __init__(self, redis: "FakeRedis") -> None:
        self._redis = redis
        self.command_stack: list[str] = []

    def xadd(self, name: str, *_: object, **__: object) -> None:
        self.command_stack.append(f"xadd {name}")

    def hset(self, name: str, *_: object, **__: object) -> None:
        self.command_stack.append(f"hset {name}")

    async def execute(self) -> None:
        if self._redis.faults:
            self._redis.faults -= 1
            raise RedisConnectionError("gone")
        self._redis.done.append(self.command_stack)


class FakeRedis:
    def __init__(self, faults: int) -> None:
        self.faults = faults
        self.done: list[list[str]] = []

    def pipeline(self, *, transaction: bool) -> FakePipeline:
        assert transaction
        return FakePipeline(self)


async def test_ticks_and_the_position_after_them_are_told_in_one_step_however_often_redis_is_away() -> None:
    redis: Any = FakeRedis(faults=2)
    market = RedisMarket(redis, SystemClock())

    publishing = asyncio.create_task(market.publish(some_ticks(3), "digest"))
    await until(lambda: market.trouble is not None)
    await publishing

    assert redis.done == [["xadd md.ticks.0", "hset md.replays"]]
    assert market.trouble is None


async def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    redis: Any = FakeRedis(faults=0)
    taken = some_ticks(3)
    taken.is_published = True

    await RedisMarket(redis, SystemClock()).publish(taken, "digest")

    assert redis.done == []
    assert START == (0, 0)
