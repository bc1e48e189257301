"""A crash loses nothing and doubles nothing, whenever it comes."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import ccxt
import pytest
import redis.asyncio

from sigmax.schemas.market import FIELD, INSTRUMENTS, Instrument, TickBatch, shard_of

pytestmark = pytest.mark.integration
ETH = "ETH/USDT@binance"
STREAM = f"md.ticks.{shard_of(ETH)}"


def a_batch(*trades: tuple[int, str, str, int], received_ns: int = 1) -> bytes:
    """Trades of ETH: sequence, price, quantity, side; a cent and a thousandth are the units."""
    sequences, prices, quantities, sides = zip(*trades, strict=True)
    return TickBatch(
        instruments=[ETH],
        price_exponents=[-2],
        quantity_exponents=[-3],
        instrument_index=[0] * len(trades),
        sequences=list(sequences),
        ts_ns=[1_700_000_000_000_000_000 + sequence * 1_000_000_000 for sequence in sequences],
        received_ns=[received_ns + sequence for sequence in sequences],
        prices=[int(Decimal(price) * 100) for price in prices],
        quantities=[int(Decimal(quantity) * 1000) for quantity in quantities],
        sides=list(sides),
    ).encode()


@pytest.fixture
async def market_data(clean: Any) -> Any:
    connection = redis.asyncio.Redis.from_url(clean.redis_url_as("collector"))
    instrument = Instrument(
        ETH, "ETH", "USDT", "binance", Decimal("0.01"), Decimal("0.001"), Decimal(0), Decimal(5), "crypto"
    )
    await connection.hset(INSTRUMENTS, ETH, instrument.encode())
    yield connection
    await connection.aclose()


async def until(condition: Any, timeout_s: float = 20) -> Any:
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                result = await condition()
            except ccxt.BaseError:
                result = None
            if result:
                return result
            await asyncio.sleep(0.05)


async def rows(clean: Any, query: str) -> list[Any]:
    connection = await asyncpg.connect(clean.admin_urls[0], server_settings={"search_path": "paper_venue"})
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def books_balance(clean: Any) -> None:
    """Check that every balance is what was deposited and traded, and that locks are what open orders hold."""
    (wrong,) = await rows(
        clean,
        """
        WITH moves AS (
            SELECT account_id, asset, amount FROM deposits
            UNION ALL SELECT account_id, split_part(instrument_id, '/', 1), CASE side WHEN 'buy' THEN qty ELSE -qty END FROM trades
            UNION ALL SELECT account_id, split_part(split_part(instrument_id, '@', 1), '/', 2),
                CASE side WHEN 'buy' THEN -price * qty ELSE price * qty END FROM trades
            UNION ALL SELECT account_id, commission_asset, -commission FROM trades
        ), sums AS (SELECT account_id, asset, sum(amount) AS amount FROM moves GROUP BY 1, 2)
        SELECT count(*) FROM sums FULL JOIN balances b USING (account_id, asset)
        WHERE coalesce(sums.amount, 0) <> coalesce(b.free + b.locked, 0)
        """,
    )
    assert wrong["count"] == 0
    (locked,) = await rows(
        clean,
        """
        SELECT (SELECT coalesce(sum(locked), 0) FROM balances WHERE asset = 'USDT')
             - (SELECT coalesce(sum(coalesce(price, stop_price) * (orig_qty - executed_qty)), 0) FROM orders
                WHERE side = 'buy' AND status IN ('new', 'partially_filled')) AS difference
        """,
    )
    assert locked["difference"] == 0


async def test_prices_come_from_the_collectors_streams(clean: Any, market_data: Any, open_venue: Any) -> None:
    async with open_venue() as venue:
        client = venue.client()
        try:
            await market_data.xadd(STREAM, {FIELD: b"no batch"})
            await market_data.xadd(STREAM, {FIELD: a_batch((1, "2000", "1", 1))})

            async def priced() -> bool:
                await client.load_markets(True)
                return bool((await client.fetch_ticker("ETH/USDT"))["last"])

            await until(priced)
            order = await client.create_order("ETH/USDT", "limit", "buy", 1, 1990)
            await market_data.xadd(STREAM, {FIELD: a_batch((2, "1989", "0.4", -1))})

            async def filled() -> bool:
                return (await client.fetch_order(order["id"], "ETH/USDT"))["filled"] == 0.4

            await until(filled)
            bars = await client.fetch_ohlcv("ETH/USDT", "1m")
            assert bars[-1] == [1699999980000, 2000, 2000, 1989, 1989, 1.4]
        finally:
            await client.close()
    await books_balance(clean)


async def test_a_killed_venue_goes_on_where_it_was(clean: Any, market_data: Any, open_venue: Any) -> None:
    async with open_venue() as venue:
        client = venue.client()
        try:
            await market_data.xadd(STREAM, {FIELD: a_batch((1, "2000", "1", 1))})
            await until(lambda: client.load_markets(True))
            market = await until(lambda: client.create_order("ETH/USDT", "market", "buy", 0.5))
            resting = await client.create_order("ETH/USDT", "limit", "buy", 1, 1990, {"clientOrderId": "rests"})
            await market_data.xadd(STREAM, {FIELD: a_batch((2, "1989", "0.25", -1))})

            async def partly() -> bool:
                return (await client.fetch_order(resting["id"], "ETH/USDT"))["filled"] == 0.25

            await until(partly)
            balance = (await client.fetch_balance())["total"]
            await venue.process.kill()
        finally:
            await client.close()
    await books_balance(clean)
    # While nobody listens the market goes on: the next process reads it from where the last one stood.
    await market_data.xadd(STREAM, {FIELD: a_batch((3, "1988", "0.25", -1))})

    async with open_venue() as venue:
        client = venue.client()
        try:
            await client.load_markets()

            async def half() -> bool:
                return (await client.fetch_order(resting["id"], "ETH/USDT"))["filled"] == 0.5

            await until(half)
            assert [order["clientOrderId"] for order in await client.fetch_open_orders("ETH/USDT")] == ["rests"]
            trades = await client.fetch_my_trades("ETH/USDT")
            assert len(trades) == len({trade["id"] for trade in trades}) == len(market["trades"]) + 2
            after = (await client.fetch_balance())["total"]
            assert after["USDT"] == pytest.approx(balance["USDT"] - 0.25 * 1990)
            with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
                await client.create_order("ETH/USDT", "limit", "buy", 1, 1980, {"clientOrderId": "rests"})
            newer = await client.create_order("ETH/USDT", "limit", "buy", 1, 1980)
            assert int(newer["id"]) > int(resting["id"])
        finally:
            await client.close()
    await books_balance(clean)


async def test_a_stop_outlives_a_killed_venue_and_hears_the_trade_that_nobody_listened_to(
    clean: Any, market_data: Any, open_venue: Any
) -> None:
    async with open_venue() as venue:
        client = venue.client()
        try:
            await market_data.xadd(STREAM, {FIELD: a_batch((1, "2000", "1", 1))})
            await until(lambda: client.load_markets(True))
            await until(lambda: client.create_order("ETH/USDT", "market", "buy", 0.5))
            stop = await client.create_order("ETH/USDT", "limit", "sell", 0.4, 1980, {"stopPrice": 1990})
            await venue.process.kill()
        finally:
            await client.close()
    await books_balance(clean)
    await market_data.xadd(STREAM, {FIELD: a_batch((2, "1990", "1", -1))})

    async with open_venue() as venue:
        client = venue.client()
        try:
            await client.load_markets()

            async def sold() -> bool:
                return (await client.fetch_order(stop["id"], "ETH/USDT"))["status"] == "closed"

            await until(sold)
            assert (await client.fetch_balance())["ETH"]["used"] == 0
        finally:
            await client.close()
    await books_balance(clean)


async def test_an_entry_that_was_doubled_counts_once(clean: Any, market_data: Any, open_venue: Any) -> None:
    async with open_venue() as venue:
        client = venue.client()
        try:
            await market_data.xadd(STREAM, {FIELD: a_batch((1, "2000", "1", 1))})
            await until(lambda: client.load_markets(True))
            order = await until(lambda: client.create_order("ETH/USDT", "limit", "buy", 1, 1990))
            body = a_batch((2, "1989", "0.25", -1))
            for _ in range(2):
                await market_data.xadd(STREAM, {FIELD: body})
            await market_data.xadd(STREAM, {FIELD: a_batch((3, "1995", "1", 1))})

            async def moved() -> bool:
                return (await client.fetch_ticker("ETH/USDT"))["last"] == 1995

            await until(moved)
            assert (await client.fetch_order(order["id"], "ETH/USDT"))["filled"] == 0.25
        finally:
            await client.close()


async def test_a_kill_amid_a_storm_of_orders_leaves_books_that_balance(clean: Any, open_venue: Any) -> None:
    answered: list[str] = []
    async with open_venue() as venue:
        symbol = await venue.market(quantity="1000")
        client = venue.client(timeout=3000)
        await client.load_markets()

        async def one(number: int) -> None:
            side = "buy" if number % 3 else "sell"
            try:
                order = await client.create_order(
                    symbol, "market", side, 0.1, None, {"clientOrderId": f"storm-{number}"}
                )
            except ccxt.BaseError:
                return
            answered.append(order["id"])

        storm = [asyncio.create_task(one(number)) for number in range(200)]
        while len(answered) < 40:
            await asyncio.sleep(0.005)
        await venue.process.kill()
        await asyncio.gather(*storm)
        await client.close()
    await books_balance(clean)
    stored = {str(row["order_id"]) for row in await rows(clean, "SELECT order_id FROM orders WHERE status = 'filled'")}
    assert set(answered) <= stored
    (doubled,) = await rows(clean, "SELECT count(*) - count(DISTINCT client_order_id) AS n FROM orders")
    assert doubled["n"] == 0


async def test_a_second_process_waits_and_takes_over_when_the_first_dies(clean: Any, open_venue: Any) -> None:
    async with open_venue() as first:
        symbol = await first.market()
        second = open_venue(replica="1")
        starting = asyncio.create_task(second.__aenter__())
        client = first.client()
        order = await client.create_order(symbol, "limit", "buy", 1, 90)
        await asyncio.sleep(3)
        assert not starting.done()
        await first.process.kill()
        await client.close()
    venue = await asyncio.wait_for(starting, 20)
    try:
        client = venue.client()
        assert [open_order["id"] for open_order in await client.fetch_open_orders(symbol)] == [order["id"]]
        await client.close()
    finally:
        await second.__aexit__(None, None, None)
