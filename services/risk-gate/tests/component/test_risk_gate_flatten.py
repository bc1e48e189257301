"""Flatten: cancel, close, and say what is left."""

from decimal import Decimal
from typing import Any

from risk_gate_builders import (
    BTC,
    a_command,
    a_signal,
    an_instrument,
    some_limits,
)
from risk_gate_fakes import Count
from risk_gate_trading import Trading, holding, resting

from risk_gate.handlers import commands, deciding
from risk_gate.handlers.flattening import follow_flattenings
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested, OrderApproved, OrderDenied
from sigmax.schemas.types import AlertLevel, Stage

# Flatten -----------------------------------------------------------------------------------------------------------


async def flatten(trading: Trading, **changes: Any) -> None:
    await commands.on_command(a_command("flatten", at=trading.fake.clock.now(), **changes), trading.world)


async def test_flatten_cancels_closes_and_says_that_nothing_is_left() -> None:
    trading = await resting()
    trading.fake.clock.advance(11)
    await deciding.on_signal(a_signal("open", strength="0.5", at=trading.fake.clock.now()), trading.world)
    working = trading.fake.published(OrderApproved)[-1]
    await flatten(trading)
    assert trading.fake.published(StageChanged)[-1].to_stage is Stage.REDUCING
    canceled = {each.client_order_id for each in trading.fake.published(CancelRequested)}
    assert canceled == {working.client_order_id, trading.resting[0].client_order_id}
    await trading.end(working, "canceled")
    await trading.end(trading.resting[0], "canceled")
    await trading.wait(0.5)
    await follow_flattenings(trading.world)
    (sold,) = trading.exits
    assert not trading.alerts("flatten_finished")
    await trading.fill(sold, "10", "100")
    await follow_flattenings(trading.world)
    (told,) = trading.alerts("flatten_finished")
    assert "Nothing is held" in told.text
    (flattening,) = trading.fake.state.guarded.flattenings.values()
    assert (flattening.is_flat, flattening.remaining) == (True, ())
    assert trading.fake.state.guarded.stop_outs == []


async def test_a_fill_on_the_way_out_is_closed_too() -> None:
    trading = Trading()
    await deciding.on_signal(a_signal("open", at=trading.fake.clock.now()), trading.world)
    working = trading.fake.published(OrderApproved)[-1]
    await flatten(trading)
    await trading.fill(working, "3", "100")
    await trading.end(working, "canceled", "3")
    await follow_flattenings(trading.world)
    await trading.wait(0.5)
    (sold,) = trading.exits
    assert sold.quantity == 3


async def test_flatten_sells_in_slices_where_an_order_may_be_no_larger() -> None:
    trading = await holding()
    trading.fake.state.limits["paper"] = some_limits(order_notional_max="400")
    await flatten(trading)
    for _ in range(4):
        await trading.wait(2)
        order = trading.exits[-1]
        await trading.fill(order, str(order.quantity), "100")
        await trading.end(order, "filled", str(order.quantity))
    assert sum(order.quantity for order in trading.exits) == 10
    assert all(order.quantity <= 4 for order in trading.exits)
    await follow_flattenings(trading.world)
    assert trading.alerts("flatten_finished")


async def test_an_incomplete_flatten_says_what_is_left_and_why() -> None:
    trading = await holding()
    trading.stage(Stage.HALTED)
    await flatten(trading)
    for _ in range(61):
        await trading.wait(1)
        await follow_flattenings(trading.world)
    (told,) = trading.alerts("flatten_incomplete")
    assert told.level is AlertLevel.CRITICAL
    assert "10 BTC/USDT@binance of ema" in told.text.replace("10.000", "10")
    (flattening,) = trading.fake.state.guarded.flattenings.values()
    assert flattening.is_flat is False
    assert "halted" in flattening.remaining[0]["reason"]
    assert len(trading.fake.published(OrderDenied)) < 10


async def test_dust_keeps_no_flatten_from_ending_and_is_named() -> None:
    trading = await holding()
    await flatten(trading)
    await trading.wait(0.5)
    await trading.fill(trading.exits[0], "9.9995", "100")
    await trading.end(trading.exits[0], "expired", "9.9995")
    await trading.wait(2)
    await follow_flattenings(trading.world)
    (flattening,) = trading.fake.state.guarded.flattenings.values()
    assert flattening.is_flat
    assert flattening.remaining[0]["quantity"] == "0.0005"
    assert "smaller" in flattening.remaining[0]["reason"]


async def test_what_no_strategy_bought_is_sold_only_when_everything_is_meant() -> None:
    for everything, count in (("false", 0), ("true", 1)):
        trading = Trading()
        trading.fake.state.positions[BTC] = Count(Decimal(2))
        await flatten(trading, values={"everything": everything})
        await trading.wait(0.5)
        assert len(trading.exits) == count
        await follow_flattenings(trading.world)
        assert bool(trading.alerts("flatten_finished")) is (count == 0)
        for order in trading.exits:
            await trading.fill(order, "2", "100")
        await follow_flattenings(trading.world)
        assert trading.alerts("flatten_finished")


async def test_flatten_of_one_strategy_leaves_the_others() -> None:
    trading = await holding()
    trading.fake.clock.advance(11)
    await trading.buy("3", "other entry", strategy_id="rsi", strength="0.5")
    await flatten(trading, scope="strategy", subject="rsi")
    await trading.wait(0.5)
    (sold,) = trading.exits
    assert (sold.strategy_id, sold.quantity) == ("rsi", 3)


def test_the_instrument_of_these_tests_has_the_steps_they_count_on() -> None:
    assert (an_instrument().lot_size, an_instrument().tick_size) == (Decimal("0.001"), Decimal("0.01"))
