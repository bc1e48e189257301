"""A recording through the real service into Redis and Postgres, and through its death."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl
import pytest
from redis.asyncio import Redis

from sigmax.schemas.market import (
    BARS,
    FIELD,
    HEARTBEATS,
    INSTRUMENTS,
    LATEST,
    SHARDS,
    TICKS,
    TICKS_ACCEPTED,
    Bar,
    Heartbeat,
    Instrument,
    Quote,
    TickBatch,
)

pytestmark = pytest.mark.integration

SECOND = 1_000_000_000
START = 1_378_072_800 * SECOND  # 2013-09-01 22:00 UTC
DATA = Path(__file__).parents[5] / "shared" / "data"


def a_trade_file(folder: Path, rows: int, *, step_ms: int = 250, symbols: tuple[str, ...] = ("ES", "BTCUSDT")) -> Path:
    """Write trades of the symbols in turn, prices wandering by quarters around 1640."""
    path = folder / "trades.parquet"
    pl.DataFrame(
        {
            "ts": [START + i * step_ms * 1_000_000 for i in range(rows)],
            "symbol": [symbols[i % len(symbols)] for i in range(rows)],
            "price": [1640 + ((i // len(symbols) * 7) % 40) * 0.25 for i in range(rows)],
            "qty": [float(1 + i // len(symbols) % 5) for i in range(rows)],
            "side": ["buy" if i % 2 else "sell" for i in range(rows)],
        }
    ).write_parquet(path)
    return path


@pytest.fixture
async def redis(clean: Any) -> Any:
    client = Redis.from_url(clean.redis_url_as("sigmax_admin"))
    yield client
    await client.aclose()


@pytest.fixture
async def database(clean: Any) -> Any:
    connection = await asyncpg.connect(clean.database_url_as("postgres"))
    await connection.execute("SET search_path TO collector")
    yield connection
    await connection.close()


async def batches_of(redis: Any) -> list[TickBatch]:
    return [
        TickBatch.decode(fields[FIELD])
        for shard in range(SHARDS)
        for _, fields in await redis.xrange(TICKS.format(shard=shard))
    ]


async def ticks_of(redis: Any) -> dict[str, list[tuple[int, int, Decimal, Decimal]]]:
    ticks: dict[str, list[tuple[int, int, Decimal, Decimal]]] = {}
    for batch in await batches_of(redis):
        for i in range(len(batch)):
            row = (batch.sequences[i], batch.ts_ns[i], batch.price(i), batch.quantity(i))
            ticks.setdefault(batch.instruments[batch.instrument_index[i]], []).append(row)
    return ticks


async def bars_of(redis: Any) -> list[Bar]:
    return [
        Bar.decode(fields[FIELD])
        for shard in range(SHARDS)
        for _, fields in await redis.xrange(BARS.format(shard=shard))
    ]


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.05)


def finished(database: Any) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool(await database.fetchval("SELECT bool_and(is_finished) FROM replays"))

    return look


async def _is(look: Awaitable[Any], wanted: Any) -> bool:
    return bool(await look == wanted)


async def counted(redis: Any) -> int | None:
    """Give how many ticks the newest heartbeat tells of."""
    newest = await redis.xrevrange(HEARTBEATS, count=1)
    return Heartbeat.decode(newest[0][1][FIELD]).counts.get(TICKS_ACCEPTED) if newest else None


async def test_a_recording_is_published_counted_stored_and_told_to_be_over(
    run_service: Any, redis: Any, database: Any, tmp_path: Path
) -> None:
    path = a_trade_file(tmp_path, 1200)
    async with run_service("collector", source="replay", replay_file=str(path), replay_speed="0"):
        await until(finished(database))
        await until(lambda: _is(counted(redis), 1200))

    ticks = await ticks_of(redis)
    assert set(ticks) == {"ES/USD@replay", "BTC/USDT@replay"}
    for rows in ticks.values():
        assert [sequence for sequence, *_ in rows] == list(range(1, 601))
    assert ticks["ES/USD@replay"][0][1:] == (START, Decimal(1640), Decimal(1))
    stored = await database.fetch("SELECT * FROM ticks WHERE instrument_id = 'ES/USD@replay' ORDER BY sequence")
    assert [(row["sequence"], row["ts_ns"], row["price"], row["quantity"]) for row in stored] == ticks["ES/USD@replay"]
    assert await database.fetchval("SELECT count(*) FROM tick_days") == 1

    instrument = Instrument.decode(await redis.hget(INSTRUMENTS, "ES/USD@replay"))
    assert (instrument.tick_size, instrument.lot_size, instrument.asset_class) == (Decimal("0.25"), 1, "future")
    quote = Quote.decode(await redis.hget(LATEST, "ES/USD@replay"))
    assert (quote.last, quote.ts_ns) == (ticks["ES/USD@replay"][-1][2], ticks["ES/USD@replay"][-1][1])

    bars = sorted(await bars_of(redis), key=lambda bar: (bar.instrument_id, bar.open_ns))
    assert {bar.timeframe_s for bar in bars} == {60}
    assert len(bars) == 2 * 4  # the fifth minute has just ended with the file, and is not closed by a later trade
    es = [bar for bar in bars if bar.instrument_id == "ES/USD@replay"]
    minute = [row for row in ticks["ES/USD@replay"] if row[1] < START + 60 * SECOND]
    assert (es[0].open, es[0].close) == (minute[0][2], minute[-1][2])
    assert (es[0].high, es[0].low) == (max(row[2] for row in minute), min(row[2] for row in minute))
    assert (es[0].volume, es[0].trades) == (sum(row[3] for row in minute), len(minute))
    assert await database.fetchval("SELECT count(*) FROM bars") == len(bars)
    assert await database.fetchval("SELECT count(*) FROM outbox WHERE topic = 'collector.alert.v1'") in (0, 1)


async def test_recorded_bars_come_out_as_they_are(run_service: Any, redis: Any, database: Any, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = [
        f"{START + i * 60 * SECOND},ADA/USDT,{1.2 + i * 0.01:.4f},{1.25 + i * 0.01:.4f},{1.19 + i * 0.01:.4f},"
        f"{1.21 + i * 0.01:.4f},{1000.5 + i}"
        for i in range(30)
    ]
    path.write_text("ts,symbol,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    async with run_service("collector", source="replay", replay_file=str(path), replay_speed="600"):
        await until(finished(database))

    bars = await bars_of(redis)
    assert [
        f"{bar.open_ns},ADA/USDT,{bar.open:.4f},{bar.high:.4f},{bar.low:.4f},{bar.close:.4f},{bar.volume:.1f}"
        for bar in bars
    ] == rows
    ticks = (await ticks_of(redis))["ADA/USDT@replay"]
    assert len(ticks) == 4 * 30
    assert sum(row[3] for row in ticks) == sum(bar.volume for bar in bars)
    assert await database.fetchval("SELECT count(*) FROM bars WHERE timeframe_s = 60") == 30
    assert await database.fetchval("SELECT count(*) FROM ticks") == 0
    assert await database.fetchval("SELECT last_sequence FROM instruments") == 4 * 30


async def test_a_killed_replay_goes_on_and_nothing_is_told_twice(
    run_service: Any, redis: Any, database: Any, tmp_path: Path
) -> None:
    path = a_trade_file(tmp_path, 6000, step_ms=100)
    settings = {"source": "replay", "replay_file": str(path), "replay_speed": "100"}  # 6 s of wall time
    for ticks_min in (500, 2500):
        async with run_service("collector", **settings) as collector:

            async def has_published(ticks_min: int = ticks_min) -> bool:
                return sum(len(batch) for batch in await batches_of(redis)) >= ticks_min

            await until(has_published)
            await collector.kill()
    async with run_service("collector", **settings):
        await until(finished(database))

    ticks = await ticks_of(redis)
    expected = pl.read_parquet(path)
    for instrument_id, symbol in (("ES/USD@replay", "ES"), ("BTC/USDT@replay", "BTCUSDT")):
        times = expected.filter(pl.col("symbol") == symbol)["ts"].to_list()
        assert [row[:2] for row in ticks[instrument_id]] == list(enumerate(times, start=1))
        stored = await database.fetch(
            "SELECT sequence, ts_ns FROM ticks WHERE instrument_id = $1 ORDER BY sequence", instrument_id
        )
        assert [tuple(row) for row in stored] == list(enumerate(times, start=1))
    bars = [(bar.instrument_id, bar.open_ns) for bar in await bars_of(redis)]
    assert len(bars) == len(set(bars)) == 2 * 9


async def test_a_finished_recording_stays_finished_until_the_platform_is_started_under_another_name(
    run_service: Any, redis: Any, database: Any, tmp_path: Path
) -> None:
    path = a_trade_file(tmp_path, 100)
    settings = {"source": "replay", "replay_file": str(path), "replay_speed": "0"}
    async with run_service("collector", **settings, replay_run="monday"):
        await until(finished(database))
    async with run_service("collector", **settings, replay_run="monday"):
        await asyncio.sleep(1)
    assert len((await ticks_of(redis))["ES/USD@replay"]) == 50

    async with run_service("collector", **settings, replay_run="tuesday"):
        await until(finished(database))

    ticks = (await ticks_of(redis))["ES/USD@replay"]
    assert [row[0] for row in ticks] == list(range(1, 101))
    assert [row[1] for row in ticks] == sorted(row[1] for row in ticks)


async def test_a_bad_file_ends_the_start_and_says_why(run_service: Any, clean: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"ts,symbol,price,qty,side\n{START},ES,1640,1,\n{START + 1},ES,zero,1,\n")

    with pytest.raises(AssertionError, match="column price, row 2"):
        async with run_service("collector", source="replay", replay_file=str(path)):
            pass


async def test_storage_holds_up_when_the_database_goes_away(
    run_service: Any, redis: Any, database: Any, tmp_path: Path
) -> None:
    """Prices flow while nothing can be stored, and all of them are stored afterwards."""
    path = a_trade_file(tmp_path, 3000, step_ms=100)
    async with run_service("collector", source="replay", replay_file=str(path), replay_speed="60"):

        async def is_storing() -> bool:
            return bool(await database.fetchval("SELECT count(*) FROM ticks"))

        await until(is_storing)
        async with database.transaction():
            await database.execute("LOCK TABLE ticks IN ACCESS EXCLUSIVE MODE")
            before = sum(len(batch) for batch in await batches_of(redis))

            async def has_gone_on() -> bool:
                return sum(len(batch) for batch in await batches_of(redis)) > before + 600

            await until(has_gone_on)
        await until(finished(database))

    assert await database.fetchval("SELECT count(*) FROM ticks") == 3000


async def test_days_written_long_ago_are_dropped_whatever_year_they_are_from(clean: Any, database: Any) -> None:
    first, second = (date(2013, 9, day) for day in (1, 2))
    service = await asyncpg.connect(clean.database_url_as("collector"))
    try:
        await service.execute("SELECT ensure_tick_partition($1), ensure_tick_partition($2)", first, second)
        day_ns = 86_400 * SECOND
        ends = [START - START % day_ns, START - START % day_ns + day_ns - 1, START - START % day_ns + day_ns]
        rows = [("BTC/USDT@x", n, ts_ns, ts_ns, 1, 1, 0) for n, ts_ns in enumerate(ends)]
        await service.copy_records_to_table("ticks", records=rows)
        await service.execute("UPDATE tick_days SET written_at = now() - interval '8 days' WHERE day = $1", first)
        assert await service.fetchval("SELECT drop_tick_days(7)") == 1
        assert [row["ts_ns"] for row in await service.fetch("SELECT ts_ns FROM ticks")] == ends[2:]
        assert [row["day"] for row in await service.fetch("SELECT day FROM tick_days")] == [second]
        with pytest.raises(asyncpg.PostgresError, match="keep at least one day"):
            await service.execute("SELECT drop_tick_days(0)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("DROP TABLE ticks")
    finally:
        await service.close()


@pytest.mark.parametrize("reader", ["api_gateway", "risk_gate"])
async def test_no_other_service_may_drop_days(clean: Any, reader: str) -> None:
    other = await asyncpg.connect(clean.database_url_as(reader))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await other.execute("SELECT collector.drop_tick_days(1)")
    finally:
        await other.close()
