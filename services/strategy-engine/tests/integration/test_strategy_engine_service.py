"""The engine as a process on real servers: market data in Redis, signals on RabbitMQ, truth in Postgres."""

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from sigmax.schemas.control import CommandName
from sigmax.schemas.market import SHARDS, shard_of
from sigmax.schemas.types import Action, AlertLevel, OrderStatus, Side

pytestmark = pytest.mark.integration

BTC, ETH = "BTC/USDT@binance", "ETH/USDT@binance"
MANY = [f"C{number}/USDT@binance" for number in range(12)]
BREAKOUT = [100.0, 101, 99, 100, 101, 99, 105]
"""With a channel of 3 bars the last one breaks it."""
Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def run_engine(run_service: Any) -> Callable[..., Any]:
    """Give a function that runs the engine with short periods."""
    params = {
        "ema_cross": {"fast": 2, "slow": 4},
        "rsi_reversion": {"period": 2},
        "donchian_breakout": {"entry": 3, "exit": 2},
    }
    return lambda **settings: run_service("strategy-engine", **{"seed_params": json.dumps(params)} | settings)


async def test_bars_become_a_signal_that_is_stored_and_sent(
    world: Any, run_engine: Any, eventually: Eventually
) -> None:
    async with run_engine():
        await world.bars(BTC, BREAKOUT)
        await eventually(lambda: len(world.signals) == 2, seen=lambda: world.signals)

    assert len({shard_of(name) for name in MANY}) == SHARDS
    by_strategy = {signal.strategy_id: signal for signal in world.signals}
    signal = by_strategy["donchian-breakout"]
    assert set(by_strategy) == {"donchian-breakout", "ema-cross"}
    assert (signal.action, signal.instrument_id, signal.reference_price) == (Action.BUY, BTC, Decimal("105.0"))
    row = await world.database.fetchrow("SELECT * FROM strategy_engine.signals WHERE signal_id = $1", signal.message_id)
    assert row["strength"] == signal.strength
    assert json.loads(row["features"])["channel_high"] == "101"
    assert row["snapshot_id"] == signal.snapshot_id


async def test_ticks_become_signals_of_strategies_with_bars_below_a_minute(
    world: Any, run_engine: Any, eventually: Eventually, metric: Any
) -> None:
    async with run_engine(seed_timeframe_s="5") as engine:
        for i, price in enumerate([90.0, *BREAKOUT, 105]):
            await world.tick(BTC, i * 5 - 5, price)
        await eventually(lambda: any(s.strategy_id == "donchian-breakout" for s in world.signals))
        assert await metric(engine.url, "sigmax_strategy_engine_ticks_total") == 9


async def test_a_strategy_that_asks_for_judgement_sends_a_request_and_no_signal(
    world: Any, run_engine: Any, eventually: Eventually
) -> None:
    async with run_engine():
        await world.bars(BTC, [100, 99, 98, 97, 96, 95, 94, 99])
        await eventually(lambda: world.requests)

    request = world.requests[0]
    assert request.signal.strategy_id == "rsi-reversion"
    assert float(request.snapshot["rsi_lowest"]) == 0
    assert "rsi-reversion" not in {signal.strategy_id for signal in world.signals}


async def test_new_parameters_take_effect_on_the_next_bar_with_a_new_version(
    world: Any, run_engine: Any, eventually: Eventually, metric: Any
) -> None:
    async with run_engine() as engine:

        async def knows_version_2() -> bool:
            return bool(await metric(engine.url, "sigmax_strategy_engine_strategy_version", "donchian") == 2)

        await world.bars(BTC, [100, 110, 90, 91, 90, 91, 90, 91, 90, 89])
        await world.command(CommandName.SET_PARAMS, "donchian-breakout", entry="10")
        await eventually(knows_version_2)
        # Above the last three bars, below the last ten: only the old parameters would buy.
        await world.bar(BTC, 10, 95)
        await world.bar(BTC, 11, 111)
        await eventually(lambda: any(s.reference_price == 111 for s in world.signals))

    bought = [s for s in world.signals if s.strategy_id == "donchian-breakout" and s.strategy_version == 2]
    assert [signal.reference_price for signal in bought] == [Decimal(111)]
    assert not any(s.reference_price == 95 and s.strategy_id == "donchian-breakout" for s in world.signals)


async def test_bad_parameters_change_nothing_and_are_told_by_name(
    world: Any, run_engine: Any, eventually: Eventually
) -> None:
    async with run_engine():
        await world.command(CommandName.SET_PARAMS, "ema-cross", fast="900")
        await eventually(lambda: world.alerts)

    alert = world.alerts[0]
    assert (alert.level, alert.code, alert.subject) == (AlertLevel.WARNING, "command_refused", "ema-cross")
    assert "fast" in alert.text
    row = await world.database.fetchrow("SELECT * FROM strategy_engine.strategies WHERE strategy_id = 'ema-cross'")
    assert (row["version"], json.loads(row["params"])["fast"]) == (1, 2)


async def test_a_stopped_strategy_is_silent_until_it_is_started(
    world: Any, run_engine: Any, eventually: Eventually, metric: Any
) -> None:
    async with run_engine() as engine:

        async def knows_active(count: int) -> bool:
            return bool(await metric(engine.url, "sigmax_strategy_engine_strategies", "active") == count)

        await world.command(CommandName.STOP_STRATEGY, "global")
        await eventually(lambda: knows_active(0))
        await world.bars(BTC, BREAKOUT)
        await world.bars(ETH, BREAKOUT[:-1])
        await world.command(CommandName.ACTIVATE_STRATEGY, "donchian-breakout")
        await eventually(lambda: knows_active(1))
        # Warmed with what was there meanwhile: the very next bar can break the channel.
        await world.bar(ETH, 6, 105)
        await eventually(lambda: world.signals)

    assert [(s.strategy_id, s.instrument_id) for s in world.signals] == [("donchian-breakout", ETH)]


async def test_a_strategy_that_cannot_be_made_is_paused_and_told_while_the_others_go_on(
    world: Any, run_engine: Any, eventually: Eventually
) -> None:
    async with run_engine():
        await world.database.execute(
            "UPDATE strategy_engine.strategies SET params = '{\"fast\": \"x\"}' WHERE strategy_id = 'ema-cross'"
        )
        await eventually(lambda: world.alerts)
        await world.bars(BTC, BREAKOUT)
        await eventually(lambda: world.signals)

    assert (world.alerts[0].level, world.alerts[0].code, world.alerts[0].subject) == (
        AlertLevel.DANGER, "strategy_paused", "ema-cross",
    )  # fmt: skip
    row = await world.database.fetchrow("SELECT * FROM strategy_engine.strategies WHERE strategy_id = 'ema-cross'")
    assert row["status"] == "paused"
    assert "fast" in row["paused_reason"]
    assert [signal.strategy_id for signal in world.signals] == ["donchian-breakout"]


async def test_a_strategy_waits_for_its_order_and_closes_what_was_filled(
    world: Any, run_engine: Any, eventually: Eventually
) -> None:
    async with run_engine():
        await world.stop("ema-cross")
        await world.bars(BTC, BREAKOUT)
        await eventually(lambda: world.signals)
        buy = world.signals[0]
        await world.order_event(buy, OrderStatus.NEW, "0")
        await world.bars(BTC, [120, 140], first=7)  # breaks the channel again, but the order is on its way
        await world.order_event(buy, OrderStatus.FILLED, "1", sequence=2)
        await world.fill(buy, Side.BUY, "1", "e1", fee="0.001")
        await world.fill(buy, Side.BUY, "1", "e1", fee="0.001")
        await eventually(lambda: world.settled(buy.message_id))
        await world.bar(BTC, 9, 50)
        await eventually(lambda: len(world.signals) == 2, seen=lambda: world.signals)
        held = await world.database.fetchval(
            "SELECT quantity FROM strategy_engine.holdings WHERE strategy_id = 'donchian-breakout'"
        )

    assert [signal.action for signal in world.signals] == [Action.BUY, Action.CLOSE]
    assert held == Decimal("0.999")


async def test_after_a_denial_the_strategy_may_try_again_at_the_next_event_only(
    world: Any, run_engine: Any, eventually: Eventually
) -> None:
    async with run_engine():
        await world.stop("ema-cross")
        await world.bars(BTC, BREAKOUT)
        await eventually(lambda: world.signals)
        await world.deny(world.signals[0])
        await eventually(lambda: world.settled(world.signals[0].message_id))
        await world.bars(BTC, [104, 106], first=7)
        await eventually(lambda: len(world.signals) == 2, seen=lambda: world.signals)

    assert [signal.reference_price for signal in world.signals] == [105, 106]


async def test_after_a_crash_indicators_are_warm_and_no_signal_is_made_twice(
    world: Any, run_engine: Any, eventually: Eventually
) -> None:
    async with run_engine(signal_valid_s="60") as engine:
        await world.stop("ema-cross")
        for name in MANY:
            await world.bars(name, BREAKOUT[:-1])
        for name in MANY[:6]:
            await world.bar(name, 6, 105)
        await eventually(lambda: len(world.signals) == 6)
        await engine.kill()
    for name in MANY[6:9]:
        await world.bar(name, 6, 105)  # while nobody is there
    async with run_engine(signal_valid_s="60"):
        for name in MANY[9:]:
            await world.bar(name, 6, 105)
        await eventually(lambda: len(world.signals) == 12, seen=lambda: [s.instrument_id for s in world.signals])

    assert sorted(signal.instrument_id for signal in world.signals) == sorted(MANY)
    assert len({signal.message_id for signal in world.signals}) == 12
    highs = await world.database.fetch(
        "SELECT DISTINCT features->>'channel_high' FROM strategy_engine.signals WHERE strategy_id = 'donchian-breakout'"
    )
    assert [row[0] for row in highs] == ["101"]


async def test_a_cursor_that_was_lost_makes_no_signal_twice(
    world: Any, run_engine: Any, eventually: Eventually
) -> None:
    async with run_engine() as engine:
        for name in MANY[:4]:
            await world.bars(name, BREAKOUT)
        await eventually(lambda: len(world.signals) == 8)
        await engine.kill()
    for shard in range(SHARDS):
        await world.redis.hset(f"cursor.strategy_engine.{shard}", f"md.bars.{shard}", "0-0")
    async with run_engine():
        await world.bars(MANY[5], BREAKOUT)
        await eventually(lambda: len(world.signals) == 10)

    assert len({signal.message_id for signal in world.signals}) == 10


async def test_replicas_share_the_shards_and_one_takes_over_from_another(
    world: Any, run_engine: Any, eventually: Eventually, metric: Any
) -> None:
    async def holds(engine: Any, shards: int) -> bool:
        return bool(await metric(engine.url, "sigmax_strategy_engine_shards_held") == shards)

    async with run_engine(replica="a", signal_valid_s="60") as first:
        await eventually(lambda: holds(first, 4))
        async with run_engine(replica="b", signal_valid_s="60") as second:
            await world.stop("ema-cross")
            await eventually(lambda: holds(first, 2))
            await eventually(lambda: holds(second, 2))
            for name in MANY:
                await world.bars(name, BREAKOUT[:-1])
            for name in MANY[:6]:
                await world.bar(name, 6, 105)
            await eventually(lambda: len(world.signals) == 6)
            await first.kill()
            for name in MANY[6:]:
                await world.bar(name, 6, 105)
            await eventually(lambda: holds(second, 4), within_s=10)
            await eventually(lambda: len(world.signals) == 12, within_s=10)

    assert len({signal.message_id for signal in world.signals}) == 12
    assert sorted(signal.instrument_id for signal in world.signals) == sorted(MANY)


async def test_a_graceful_stop_gives_the_shards_back_at_once(world: Any, run_engine: Any) -> None:
    async with run_engine():
        assert await world.redis.exists(*(f"lease.strategy_engine.{shard}" for shard in range(SHARDS))) == SHARDS

    assert await world.redis.exists(*(f"lease.strategy_engine.{shard}" for shard in range(SHARDS))) == 0
    assert await world.redis.zcard("lease.strategy_engine.replicas") == 0


async def test_an_entry_that_cannot_be_read_is_skipped(world: Any, run_engine: Any, eventually: Eventually) -> None:
    async with run_engine():
        await world.redis.xadd(f"md.bars.{shard_of(BTC)}", {b"d": b"\xc1 no msgpack"})
        await world.redis.xadd(f"md.bars.{shard_of(BTC)}", {b"x": b"no field"})
        await world.bars(BTC, BREAKOUT)
        await eventually(lambda: len(world.signals) == 2)
