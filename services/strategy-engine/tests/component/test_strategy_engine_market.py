"""The market loop over fakes: what is new makes signals, what was there warms, what breaks is done again."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from sigmax.schemas.control import Alert
from sigmax.schemas.market import BARS, TICKS, Bar, Instrument, shard_of
from sigmax.schemas.signals import JudgementRequested, Signal
from sigmax.schemas.types import Action, AlertLevel
from strategy_engine.domain.book import Holding
from strategy_engine.domain.params import Params
from strategy_engine.domain.spec import Status
from strategy_engine.domain.strategies import KINDS, Kind, Position, Wish

BTC = "BTC/USDT@binance"
QUIET, BREAK = [100.0, 101, 99, 100, 101, 99], 105.0


class Scripted:
    """Does what the price says: raises at 13, spends time at 14."""

    def __init__(self, params: Params) -> None: ...

    def on_bar(self, bar: Bar, position: Position) -> Wish | None:
        if bar.close == 13:
            raise RuntimeError("thirteen")
        return None


async def test_what_is_there_already_warms_and_what_comes_makes_signals(room: Any) -> None:
    room.strategy()
    room.bars([*QUIET, BREAK])  # history: this break was somebody else's
    await room.turn()
    assert room.sent(Signal) == []

    room.bars([104, 106], first=7)
    await room.turn()

    (signal,) = room.sent(Signal)
    assert signal.reference_price == 106
    assert room.store.tables.signals[signal.message_id].features["channel_high"] == "105"
    assert room.meter.counts["bars"] == 2


async def test_how_late_a_bar_reaches_the_strategies_is_measured_before_they_work_on_it(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.bars([104])
    room.clock.pass_s(3)

    await room.turn()

    assert room.meter.begun_s == [pytest.approx(3)]
    assert room.meter.late_s == [pytest.approx(room.clock.now_ns() / 1e9, abs=0.01)], "the entry is of 1970"


async def test_after_a_crash_the_next_engine_goes_on_from_the_cursor(room: Any, restart: Callable[[], None]) -> None:
    room.strategy()
    await room.turn()
    room.bars(QUIET)
    await room.turn()
    room.bars([BREAK], first=6)
    room.leases.stored[shard_of(BTC)] = {BARS.format(shard=shard_of(BTC)): "6"}
    restart()

    await room.turn()

    assert [signal.reference_price for signal in room.sent(Signal)] == [105]


async def test_what_was_processed_but_not_marked_makes_no_second_signal(room: Any, restart: Callable[[], None]) -> None:
    room.strategy()
    await room.turn()
    room.bars([*QUIET, BREAK])
    await room.turn()
    room.leases.stored = {shard_of(BTC): {BARS.format(shard=shard_of(BTC)): "0"}}
    room.store.tables.holdings.clear()  # even if its order was denied meanwhile
    restart()

    await room.turn()

    assert len(room.sent(Signal)) == 1
    assert room.meter.counts["dropped void"] == 1


async def test_a_passing_fault_of_the_database_loses_no_signal_and_doubles_none(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.bars([*QUIET, BREAK])
    room.store.faults = [ConnectionError("the server restarts")]

    loop = asyncio.create_task(room.engine.run())
    async with asyncio.timeout(10):
        while not room.sent(Signal):
            await asyncio.sleep(0.01)
    loop.cancel()

    assert len(room.sent(Signal)) == 1


async def test_a_fault_that_does_not_pass_ends_the_loop(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.bars([*QUIET, BREAK])
    room.store.faults = [KeyError("a bug")]

    with pytest.raises(KeyError):
        await room.engine.run()


async def test_a_strategy_that_raises_is_paused_in_the_table_and_told(
    room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "scripted", Kind(Params, Scripted))
    room.strategy("bad", kind="scripted")
    room.strategy("good")
    await room.turn()
    room.bars([10, 11, 12, 13])
    await room.turn()
    room.bars([20], first=4)
    await room.turn()

    assert room.store.tables.specs["bad"].status is Status.PAUSED
    assert room.store.tables.reasons["bad"] == "RuntimeError: thirteen"
    (alert,) = room.sent(Alert)
    assert (alert.level, alert.code, alert.subject) == (AlertLevel.DANGER, "strategy_paused", "bad")
    assert {signal.strategy_id for signal in room.sent(Signal)} == {"good"}


async def test_a_strategy_that_fails_on_its_history_is_paused_before_it_runs(
    room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "scripted", Kind(Params, Scripted))
    room.strategy("bad", kind="scripted")
    room.bars([13])

    await room.turn()
    await room.turn()

    assert room.store.tables.specs["bad"].status is Status.PAUSED
    assert len(room.sent(Alert)) == 1


@pytest.mark.parametrize("values", [{"params": {"entry": "x"}}, {"kind": "none"}, {"timeframe_s": 90}])
async def test_a_strategy_that_cannot_be_made_is_paused_before_it_runs(room: Any, values: dict[str, Any]) -> None:
    room.strategy("bad", **values)
    room.strategy("good")
    await room.turn()
    await room.turn()
    room.bars([*QUIET, BREAK])
    await room.turn()

    assert room.store.tables.specs["bad"].status is Status.PAUSED
    assert [(alert.code, alert.subject) for alert in room.sent(Alert)] == [("strategy_paused", "bad")]
    assert [signal.strategy_id for signal in room.sent(Signal)] == ["good"]


async def test_coarser_data_is_told_once_for_all_shards_and_lives(room: Any, restart: Callable[[], None]) -> None:
    room.strategy(timeframe_s=5)
    await room.turn()
    room.bars([1, 2, 3])
    await room.turn()
    restart()
    room.leases.stored.clear()
    await room.turn()

    assert {alert.code for alert in room.sent(Alert)} == {"timeframe_coarser"}
    assert len({alert.message_id for alert in room.sent(Alert)}) == 1


async def test_a_wish_found_too_late_is_no_signal(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.bars([*QUIET, BREAK])
    room.clock.pass_s(11)
    await room.turn()

    assert room.sent(Signal) == []
    assert room.meter.counts["dropped expired"] == 1


async def test_while_an_order_is_on_its_way_nothing_more_is_wished(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.bars([*QUIET, BREAK, 110, 120])
    await room.turn()
    room.bars([130], first=9)
    await room.turn()
    room.clock.pass_s(41)  # its end and the margin are over, and nothing was heard
    room.bars([140], first=10)
    await room.turn()

    assert [signal.reference_price for signal in room.sent(Signal)] == [105, 140]
    assert room.meter.counts["dropped order_on_its_way"] == 3


async def test_what_another_replica_learned_of_a_holding_is_taken_over(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.store.tables.holdings["a", BTC] = Holding("a", BTC, Decimal(2), sequence=5)
    room.bars([*QUIET, 90])
    await room.turn()

    assert [signal.action for signal in room.sent(Signal)] == [Action.CLOSE]


async def test_dust_is_not_closed_and_does_not_keep_from_buying(room: Any) -> None:
    room.strategy()
    one = Decimal(1)
    room.feed.known[BTC] = Instrument(BTC, "BTC", "USDT", "binance", one, one, one, one, "crypto")
    room.store.tables.holdings["a", BTC] = Holding("a", BTC, Decimal("0.5"), UUID(int=1), room.clock.now(), 5)
    await room.turn()
    room.bars([*QUIET, BREAK])
    await room.turn()

    assert [signal.action for signal in room.sent(Signal)] == [Action.BUY]


async def test_ticks_are_read_only_while_a_strategy_needs_them(room: Any) -> None:
    ticks = TICKS.format(shard=shard_of(BTC))
    room.strategy("slow")
    await room.turn()
    assert not any(stream.startswith("md.ticks") for stream in room.feed.positions)

    room.strategy("fast", timeframe_s=5)
    for _ in range(2):
        await room.turn()
    for i, price in enumerate([90, *map(int, QUIET), 105, 105]):
        room.feed.tick(i * 5 - 5, price)
    await room.turn()
    assert ticks in room.feed.positions
    assert [signal.strategy_id for signal in room.sent(Signal)] == ["fast"]

    room.strategy("fast", timeframe_s=5, status=Status.STOPPED)
    for _ in range(2):
        await room.turn()
    assert ticks not in room.feed.positions


async def test_a_strategy_that_asks_for_judgement_sends_its_request_alone(room: Any) -> None:
    room.strategy(asks_judgement=True)
    await room.turn()
    room.bars([*QUIET, BREAK])
    await room.turn()

    assert room.sent(Signal) == []
    assert [request.signal.strategy_id for request in room.sent(JudgementRequested)] == ["a"]


async def test_a_changed_version_is_warm_and_holds_from_the_next_bar_on(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.bars([100, 110, 90, 91, 90, 91, 90, 89])
    await room.turn()
    room.strategy(version=2, params={"entry": 8, "exit": 2})
    room.bars([95, 111], first=8)
    await room.turn()

    assert [(s.strategy_version, s.reference_price) for s in room.sent(Signal)] == [(2, 111)]


async def test_a_shard_is_left_in_good_order_when_its_lease_goes(room: Any) -> None:
    number = shard_of(BTC)
    room.strategy()
    await room.turn()
    room.bars(QUIET)
    await room.turn()
    room.leases.mine = set()
    room.leases.others = {0, 1, 2, 3}
    room.bars([BREAK], first=6)
    await room.turn()

    assert room.sent(Signal) == []
    assert await room.engine.problem() is None

    room.leases.mine, room.leases.others = {number}, {0, 1, 2, 3} - {number}
    await room.turn()
    assert len(room.sent(Signal)) == 1


async def test_the_engine_is_not_ready_while_a_shard_is_nobodys(room: Any) -> None:
    room.leases.mine = set()

    assert "no shard is held" in str(await room.engine.problem())
    room.leases.mine = {1}
    assert "being warmed" in str(await room.engine.problem())
    await room.turn()
    assert await room.engine.problem() is None


async def test_closing_stores_the_cursors_and_gives_the_leases_back(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.bars(QUIET)
    await room.turn()
    await room.engine.close()

    assert room.leases.mine == set()
    assert room.leases.stored[shard_of(BTC)] == {BARS.format(shard=shard_of(BTC)): "6"}


async def test_what_cannot_be_read_is_counted_and_skipped(room: Any) -> None:
    room.strategy()
    await room.turn()
    room.feed.put(BARS.format(shard=shard_of(BTC)), b"\xc1")
    room.feed.put(BARS.format(shard=shard_of(BTC)), b"\x80")
    room.bars([*QUIET, BREAK])
    await room.turn()

    assert room.meter.counts["unreadable"] == 2
    assert len(room.sent(Signal)) == 1
