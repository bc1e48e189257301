"""A live feed through the real service: a local exchange in, Redis and Postgres out, and a crash in between."""

import asyncio
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from sigmax.schemas.market import FIELD, INSTRUMENTS, TICKS, TickBatch, shard_of

pytestmark = pytest.mark.integration

BTC = "BTC/USDT@binance"


async def sequences(redis: Any) -> list[int]:
    entries = await redis.xrange(TICKS.format(shard=shard_of(BTC)))
    return [sequence for _, fields in entries for sequence in TickBatch.decode(fields[FIELD]).sequences]


async def test_a_killed_collector_goes_on_with_its_numbers_and_marks_the_gap(
    run_service: Any, clean: Any, binance: Any
) -> None:
    redis = Redis.from_url(clean.redis_url_as("sigmax_admin"))
    database = await asyncpg.connect(clean.database_url_as("postgres"))
    settings = {"source": "ccxt", "symbols": "BTC/USDT", "ccxt_url": binance.url}

    async def told(count: int) -> None:
        async with asyncio.timeout(30):
            while len(await sequences(redis)) < count:
                await asyncio.sleep(0.02)

    async def run(first_id: int, *, kills: bool) -> None:
        started = asyncio.create_task(trade_until_heard(first_id))
        async with run_service("collector", **settings) as collector:
            await started
            await told(first_id + 2)
            async with asyncio.timeout(20):
                while await database.fetchval("SELECT count(*) FROM collector.ticks") < first_id + 2:
                    await asyncio.sleep(0.05)
            if kills:
                await collector.kill()

    async def trade_until_heard(first_id: int) -> None:
        async with asyncio.timeout(60):
            while not any("btcusdt@trade" in streams for streams in binance.sockets.values()):
                await asyncio.sleep(0.02)
        for number in range(3):
            await binance.trade("BTCUSDT", first_id + number, "61800.31", "0.006")

    await run(0, kills=True)
    await binance.cut()
    await run(3, kills=False)

    assert await sequences(redis) == [1, 2, 3, 4, 5, 6]
    assert await redis.hexists(INSTRUMENTS, BTC)
    gaps = await database.fetch("SELECT instrument_id, reason FROM collector.data_gaps")
    assert [tuple(row) for row in gaps] == [(BTC, "restart")]
    stored = await database.fetch("SELECT price, quantity FROM collector.ticks ORDER BY sequence")
    assert [(str(row["price"]), str(row["quantity"])) for row in stored] == [("61800.3100", "0.0060000")] * 6
    await database.close()
    await redis.aclose()
