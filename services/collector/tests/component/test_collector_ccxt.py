"""Unmodified ccxt.pro against a local server that speaks enough of Binance's spot API."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from collector.adapters.ccxt_source import CcxtSource, SourceError
from collector.domain.desk import Desk, Taken
from collector.domain.feed import Feed, Gap, Reason
from sigmax.runtime.clock import SystemClock
from sigmax.schemas.market import symbol_of


@pytest.fixture
async def source(binance: Any) -> AsyncIterator[CcxtSource]:
    source = CcxtSource("binance", ["BTC/USDT", "ETH/USDT"], SystemClock(), url=binance.url, silence_max_s=30)
    yield source
    await source.close()


async def a_desk(source: CcxtSource) -> Desk:
    return Desk(await source.open(), source.rules)


async def collected(source: CcxtSource, desk: Desk, *, ticks: int = 0, anomalies: int = 0) -> list[Taken]:
    """Take feeds until so many ticks were accepted and so many refused."""
    taken: list[Taken] = []
    async with asyncio.timeout(30):
        while sum(t.ticks for t in taken) < ticks or sum(len(t.anomalies) for t in taken) < anomalies:
            feed = await source.read()
            assert isinstance(feed, Feed)
            taken.append(desk.take(feed, SystemClock().now_ns()))
    return taken


async def test_trades_flow_with_the_steps_of_the_market(binance: Any, source: CcxtSource) -> None:
    listings = await source.open()
    desk = Desk(listings, source.rules)
    await binance.watched("btcusdt@trade")
    await binance.watched("ethusdt@trade")
    await binance.trade("BTCUSDT", 1, "61800.31000000", "0.00600000")
    await binance.trade("ETHUSDT", 2, "2650.10000000", "1.50000000")
    await binance.trade("BTCUSDT", 3, "61800.32000000", "0.00001000")

    taken = await collected(source, desk, ticks=3)

    instrument = listings[0].instrument
    assert instrument.instrument_id == "BTC/USDT@binance"
    assert (instrument.tick_size, instrument.lot_size) == (Decimal("0.01"), Decimal("0.00001"))
    assert (instrument.quantity_min, instrument.notional_min) == (Decimal("0.00001"), 5)
    ticks = [
        (symbol_of(batch.instruments[batch.instrument_index[i]]), batch.price(i), batch.quantity(i), batch.sides[i])
        for t in taken
        for _, batch in t.batches
        for i in range(len(batch))
    ]
    assert sorted(ticks) == [
        ("BTC/USDT", Decimal("61800.31"), Decimal("0.006"), 1),
        ("BTC/USDT", Decimal("61800.32"), Decimal("0.00001"), 1),
        ("ETH/USDT", Decimal("2650.1"), Decimal("1.5"), -1),
    ]
    assert source.problem() is None


async def test_a_cut_connection_comes_back_and_the_gap_is_marked(binance: Any, source: CcxtSource) -> None:
    desk = await a_desk(source)
    await binance.watched("btcusdt@trade")
    await binance.watched("ethusdt@trade")
    await binance.trade("BTCUSDT", 1, "61800.31", "0.006")
    await collected(source, desk, ticks=1)

    binance.is_refusing = True
    await binance.cut()
    async with asyncio.timeout(20):
        while source.problem() is None:
            await asyncio.sleep(0.01)
    binance.is_refusing = False
    await binance.watched("btcusdt@trade")
    await binance.trade("BTCUSDT", 9, "61900.00", "0.001")
    taken = await collected(source, desk, ticks=1)

    gaps = [gap for t in taken for gap in t.gaps]
    assert gaps == [Gap(0, "reconnect", (binance.now_ms + 1) * 1_000_000, (binance.now_ms + 9) * 1_000_000)]
    assert binance.connections >= 2


async def test_a_trade_told_again_after_a_reconnect_is_dropped(binance: Any, source: CcxtSource) -> None:
    desk = await a_desk(source)
    await binance.watched("btcusdt@trade")
    await binance.trade("BTCUSDT", 1, "61800.31", "0.006")
    await collected(source, desk, ticks=1)
    await binance.cut()
    await binance.watched("btcusdt@trade")
    await binance.trade("BTCUSDT", 1, "61800.31", "0.006")
    await binance.trade("BTCUSDT", 2, "61800.30", "0.006")

    taken = await collected(source, desk, ticks=1, anomalies=1)

    assert [anomaly.reason for t in taken for anomaly in t.anomalies] == [Reason.DUPLICATE]
    assert [sequence for t in taken for _, batch in t.batches for sequence in batch.sequences] == [2]


async def test_a_trade_from_the_future_and_one_of_nothing_are_no_prices(binance: Any, source: CcxtSource) -> None:
    desk = await a_desk(source)
    await binance.watched("btcusdt@trade")
    await binance.trade("BTCUSDT", 1, "61800.31", "0.006", at_ms=binance.now_ms + 3_600_000)
    await binance.trade("BTCUSDT", 2, "0.00", "0.006")
    await binance.trade("BTCUSDT", 3, "61800.31", "0.006")

    taken = await collected(source, desk, ticks=1, anomalies=2)

    assert [anomaly.reason for t in taken for anomaly in t.anomalies] == [Reason.FROM_FUTURE, Reason.ZERO]


async def test_a_mute_connection_is_taken_for_dead(binance: Any) -> None:
    source = CcxtSource("binance", ["BTC/USDT"], SystemClock(), url=binance.url, silence_max_s=1)
    try:
        desk = await a_desk(source)
        await binance.watched("btcusdt@trade")
        await binance.trade("BTCUSDT", 1, "61800.31", "0.006")
        await collected(source, desk, ticks=1)
        async with asyncio.timeout(30):
            while binance.connections < 2:
                await asyncio.sleep(0.02)
        await binance.watched("btcusdt@trade")
        async with asyncio.timeout(30):
            while sum(t.ticks for t in await _drain(source, desk)) == 0:
                await binance.trade("BTCUSDT", 2 + binance.connections, "61800.32", "0.006")
                await asyncio.sleep(0.05)
    finally:
        await source.close()


async def _drain(source: CcxtSource, desk: Desk) -> list[Taken]:
    try:
        async with asyncio.timeout(0.05):
            feed = await source.read()
            return [desk.take(feed, SystemClock().now_ns())] if feed else []
    except TimeoutError:
        return []


async def test_markets_are_asked_for_until_the_exchange_answers(binance: Any, source: CcxtSource) -> None:
    binance.fails_markets = 2

    listings = await source.open()

    assert [listing.symbol for listing in listings] == ["BTC/USDT", "ETH/USDT"]


async def test_a_market_that_does_not_exist_is_named(binance: Any) -> None:
    source = CcxtSource("binance", ["BTC/EUR"], SystemClock(), url=binance.url)
    with pytest.raises(SourceError, match="no 'BTC/EUR'; set SIGMAX_SYMBOLS"):
        await source.open()
    await source.close()
    with pytest.raises(SourceError, match="no exchange 'nonesuch'"):
        await CcxtSource("nonesuch", ["BTC/EUR"], SystemClock()).open()
