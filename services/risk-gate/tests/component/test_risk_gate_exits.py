"""Protective exits over the world in memory: nobody asks for them, and each happens once."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from risk_gate_builders import (
    BTC,
    KEY,
    a_fill_of,
    a_signal,
    some_limits,
)
from risk_gate_exit_builders import some_ticks
from risk_gate_trading import Trading, holding

from risk_gate.domain.protection import ProtectionState
from risk_gate.handlers import booking, deciding
from risk_gate.handlers.exit_sweep import sweep
from risk_gate.handlers.exits import on_hit
from risk_gate.ports.exits import ExitDesk
from sigmax.domain.approval import verify
from sigmax.schemas.orders import OrderDenied
from sigmax.schemas.types import AlertLevel, DenialCode, ExitKind, Stage, TimeInForce

# Making ------------------------------------------------------------------------------------------------------------


async def test_an_entry_is_guarded_with_its_first_fill_by_the_levels_of_its_approval() -> None:
    trading = Trading()
    approved = await trading.buy("4", trailing_pct="3", holding_s_max=60)
    known = trading.protection
    assert (known.stop_price, known.target_price) == (approved.stop_price, approved.target_price) == (98, 110)
    assert (known.quantity, known.entry_price, known.trailing_pct) == (4, 100, 3)
    assert known.closes_at == trading.fake.clock.now() + timedelta(seconds=60)
    assert trading.world.exits.watch.protections == [known]


async def test_a_fill_that_comes_twice_moves_no_level_and_no_quantity() -> None:
    trading = Trading()
    approved = await trading.buy("4")
    before = trading.protection
    again = a_fill_of(approved, "fill 1", "4", price="100", at=trading.fake.clock.now())
    await booking.on_fill(again, trading.world)
    await booking.on_fill(again.model_copy(update={"message_id": approved.message_id}), trading.world)
    assert trading.protection == before


async def test_what_is_held_since_before_protections_is_guarded_by_the_posture() -> None:
    trading = await holding()
    trading.fake.state.guarded.protections.clear()
    await trading.wait(1)
    assert trading.protection.stop_price == Decimal("98.800")  # 1.2 % of guerrilla
    await trading.wait(1)
    assert len(trading.fake.state.guarded.protections) == 1


async def test_a_restarted_replica_guards_what_it_finds() -> None:
    trading = await holding()
    trading.fake.world = replace(trading.world, exits=ExitDesk())
    await trading.tick("97")
    assert trading.exits == []
    trading.fake.market.prices[BTC] = "100"
    await sweep(trading.world)
    await trading.tick("97")
    assert len(trading.exits) == 1


# Firing ------------------------------------------------------------------------------------------------------------


async def test_a_stop_sells_all_that_is_held_by_one_signed_order() -> None:
    trading = await holding()
    await trading.tick("98.01")
    assert trading.exits == []
    await trading.tick("97.5")
    (sold,) = trading.exits
    assert verify(sold, KEY)
    assert (sold.quantity, sold.reduce_only, sold.time_in_force) == (10, True, TimeInForce.IOC)
    assert sold.limit_price == Decimal("97.02")  # 0.5 % through the market, rounded to what gives away less
    assert sold.tick_received_at == trading.fake.clock.now()
    assert trading.protection.exit_kind is ExitKind.STOP_LOSS


@pytest.mark.parametrize(
    ("prices", "kind"), [(["110"], ExitKind.TAKE_PROFIT), (["106", "103.3"], ExitKind.TRAILING_STOP)]
)
async def test_a_profit_is_taken_at_its_target_or_trailed(prices: list[str], kind: ExitKind) -> None:
    trading = Trading()
    await trading.buy(trailing_pct="2.5")
    for price in prices:
        await trading.tick(price)
        trading.fake.clock.advance(0.1)
    assert trading.protection.exit_kind is kind
    assert len(trading.exits) == 1


async def test_a_time_stop_needs_no_tick() -> None:
    trading = Trading()
    await trading.buy(holding_s_max=60)
    await trading.wait(59)
    assert trading.exits == []
    await trading.wait(1)
    assert len(trading.exits) == 1
    assert trading.protection.exit_kind is ExitKind.TIME_STOP


async def test_every_replica_sees_the_tick_and_one_order_is_made() -> None:
    trading = await holding()
    watch = trading.world.exits.watch
    hits = watch.hold(some_ticks("97"), trading.fake.clock.now_ns())
    trading.fake.market.prices[BTC] = "97"
    for _ in range(3):
        await on_hit(hits[0], trading.world)
    await trading.tick("96")
    await sweep(trading.world)
    assert len(trading.exits) == 1


async def test_a_tick_that_a_fill_has_overtaken_fires_nothing() -> None:
    trading = await holding()
    (hit,) = trading.world.exits.watch.hold(some_ticks("97.5"), trading.fake.clock.now_ns())
    trading.fake.market.prices[BTC] = "97.5"
    trading.fake.clock.advance(11)
    await trading.buy("10", "dca", "90", action="dca", reference_price="97.5")
    assert trading.protection.stop_price < Decimal("97.5")
    await on_hit(hit, trading.world)
    assert trading.exits == []


async def test_no_limit_on_entries_holds_up_an_exit() -> None:
    trading = await holding()
    trading.fake.state.limits["paper"] = some_limits(
        order_notional_max="5000", position_notional_max="1", concentration_max_pct="0.01", volume_share_max_pct="0.01"
    )
    trading.stage(Stage.REDUCING)
    await trading.tick("97")
    assert len(trading.exits) == 1  # within the second of the entry, as large as the same order again


async def test_a_stop_in_a_halt_is_denied_and_told_and_goes_when_trading_may_reduce() -> None:
    trading = await holding()
    trading.stage(Stage.HALTED)
    await trading.tick("97")
    (denied,) = trading.fake.published(OrderDenied)
    assert denied.code is DenialCode.TRADING_HALTED
    (alert,) = trading.alerts("exit_not_filled")
    assert alert.level is AlertLevel.DANGER
    assert "halted" in alert.text
    trading.stage(Stage.REDUCING)
    await trading.wait(1.9)
    assert trading.exits == []
    await trading.wait(0.1)
    assert len(trading.exits) == 1


async def test_what_the_exit_sold_is_put_on_record_once_with_its_loss() -> None:
    trading = await holding()
    await trading.tick("97")
    (sold,) = trading.exits
    await trading.fill(sold, "4", "97")
    assert trading.fake.state.guarded.stop_outs == []
    await trading.fill(sold, "6", "96")
    (stopped,) = trading.fake.state.guarded.stop_outs
    assert (stopped.exit_kind, stopped.exit_pnl) == (ExitKind.STOP_LOSS, -36)
    assert trading.protection.state is ProtectionState.CLOSED
    assert trading.world.exits.watch.protections == []


async def test_a_strategys_own_sale_is_no_stop_out() -> None:
    trading = await holding()
    await deciding.on_signal(a_signal("out", action="close", at=trading.fake.clock.now()), trading.world)
    await trading.fill(trading.exits[0], "10", "97")
    assert trading.protection.state is ProtectionState.CLOSED
    assert trading.fake.state.guarded.stop_outs == []


async def test_dust_that_no_order_can_sell_is_guarded_no_longer() -> None:
    trading = await holding()
    await trading.tick("97")
    await trading.fill(trading.exits[0], "9.9995", "97")
    await trading.end(trading.exits[0], "expired", "9.9995")
    await trading.wait(2)
    assert trading.protection.state is ProtectionState.CLOSED
    assert trading.protection.quantity == Decimal("0.0005")
    assert not trading.fake.published(OrderDenied)
    assert len(trading.exits) == 1
    assert len(trading.fake.state.guarded.stop_outs) == 1
