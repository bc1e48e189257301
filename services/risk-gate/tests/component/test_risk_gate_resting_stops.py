"""Stops that rest at the venue, in step with the gate's own."""

from dataclasses import replace
from decimal import Decimal

import pytest
from risk_gate_builders import (
    BTC,
    KEY,
    a_signal,
    some_limits,
)
from risk_gate_trading import holding, resting

from risk_gate.domain.protection import ProtectionState
from risk_gate.handlers import deciding
from sigmax.domain.approval import verify
from sigmax.schemas.orders import CancelRequested, OrderApproved, OrderDenied
from sigmax.schemas.types import DenialCode, ExitKind, Posture, Side, Stage, TimeInForce

# Resting stops -----------------------------------------------------------------------------------------------------


async def test_a_stop_rests_at_the_venue_for_each_position() -> None:
    trading = await resting()
    (stop,) = trading.resting
    assert verify(stop, KEY)
    assert (stop.trigger_price, stop.limit_price, stop.quantity) == (98, Decimal("97.51"), 10)
    assert (stop.time_in_force, stop.reduce_only) == (TimeInForce.GTC, True)
    for _ in range(3):
        await trading.wait(5)
    assert len(trading.resting) == 1


async def test_the_gate_sells_only_after_the_resting_stop_was_seen_canceled() -> None:
    trading = await resting()
    await trading.tick("97.9")
    assert trading.exits == []
    (cancel,) = trading.fake.published(CancelRequested)
    assert cancel.client_order_id == trading.resting[0].client_order_id
    await trading.tick("97.8")
    await trading.wait(1)
    assert trading.exits == []
    assert len(trading.fake.published(CancelRequested)) == 1
    await trading.end(trading.resting[0], "canceled")
    (sold,) = trading.exits
    assert sold.quantity == 10


async def test_a_resting_stop_that_triggers_first_leaves_nothing_to_sell() -> None:
    trading = await resting()
    await trading.tick("97.9")
    await trading.fill(trading.resting[0], "10", "97.9")
    await trading.end(trading.resting[0], "filled", "10")
    await trading.wait(2)
    assert trading.exits == []
    assert trading.protection.state is ProtectionState.CLOSED
    (stopped,) = trading.fake.state.guarded.stop_outs
    assert stopped.exit_kind is ExitKind.STOP_LOSS


async def test_what_a_triggered_resting_stop_leaves_is_sold_by_the_gate() -> None:
    trading = await resting()
    await trading.fill(trading.resting[0], "4", "97.9")
    assert len(trading.fake.published(CancelRequested)) == 1
    await trading.end(trading.resting[0], "canceled", "4")
    (sold,) = trading.exits
    assert sold.quantity == 6


async def test_a_canceled_stop_whose_fills_are_late_is_not_sold_twice() -> None:
    trading = await resting()
    await trading.tick("97.9")
    await trading.end(trading.resting[0], "canceled", "4")
    assert trading.exits == []
    await trading.fill(trading.resting[0], "4", "97.9")
    (sold,) = trading.exits
    assert sold.quantity == 6


async def test_an_add_takes_the_resting_stop_off_and_places_the_new_one() -> None:
    trading = await resting()
    trading.fake.clock.advance(11)
    trading.fake.market.prices[BTC] = "99"
    await trading.buy("5", "dca", "99", action="dca", reference_price="99")
    await trading.wait(0.5)
    assert len(trading.fake.published(CancelRequested)) == 1
    assert len(trading.resting) == 1
    await trading.end(trading.resting[0], "canceled")
    await trading.wait(0.5)
    assert [stop.quantity for stop in trading.resting] == [10, 15]
    assert trading.resting[1].trigger_price == Decimal("97.68")  # 97.673…, on the tick that risks less


async def test_how_long_a_position_is_naked_is_measured_and_told() -> None:
    trading = await resting()
    measured: list[float] = []
    trading.world.exits.meter.naked = measured.append
    await trading.end(trading.resting[0], "canceled")  # by a person
    trading.fake.market.prices[BTC] = "98"  # at the trigger: a stop cannot be placed, and the price is stale
    trading.fake.state.guarded.protections[trading.protection.protection_id] = replace(
        trading.protection, stop_price=Decimal(97)
    )
    trading.stage(Stage.HALTED)
    await trading.wait(4.9)
    assert trading.alerts("stop_not_resting") == []
    await trading.wait(0.2)
    assert len(trading.alerts("stop_not_resting")) == 1
    trading.stage(Stage.NORMAL)
    await trading.wait(60)
    await trading.accept(trading.resting[-1])
    assert measured == [pytest.approx(65.1)]


async def test_a_strategys_sale_waits_for_the_resting_stop_to_leave() -> None:
    trading = await resting()
    await deciding.on_signal(a_signal("out", action="close", at=trading.fake.clock.now()), trading.world)
    assert trading.exits == []
    assert not trading.fake.published(OrderDenied)
    await trading.wait(0.5)
    assert len(trading.resting) == 1
    await trading.end(trading.resting[0], "canceled")
    (sold,) = trading.exits
    assert sold.quantity == 10
    assert trading.fake.state.guarded.waiting == {}


async def test_a_strategys_sale_waits_for_an_own_entry_to_leave_the_book() -> None:
    trading = await holding()
    limits = some_limits(posture_limit_share_pct=dict.fromkeys(Posture, 100))
    trading.fake.state.limits["paper"] = limits
    await trading.wait(11)
    bid = a_signal("more", action="dca", at=trading.fake.clock.now(), strength="0.5")
    trading.fake.market.prices[BTC] = "98.5"
    await deciding.on_signal(bid, trading.world)
    entry = trading.fake.published(OrderApproved)[-1]
    assert (entry.side, entry.time_in_force) == (Side.BUY, TimeInForce.GTC)
    await deciding.on_signal(a_signal("out", action="close", at=trading.fake.clock.now()), trading.world)
    (cancel,) = trading.fake.published(CancelRequested)
    assert cancel.client_order_id == entry.client_order_id
    assert trading.exits == []
    await trading.end(entry, "canceled")
    await trading.wait(0.5)
    (sold,) = trading.exits
    assert sold.quantity == 10


async def test_a_hung_cancel_does_not_hold_a_strategys_sale_for_ever() -> None:
    trading = await resting()
    await deciding.on_signal(a_signal("out", action="close", at=trading.fake.clock.now()), trading.world)
    await trading.wait(5)
    (denied,) = trading.fake.published(OrderDenied)
    assert denied.code in {DenialCode.NOTHING_TO_CLOSE, DenialCode.QUANTITY_BELOW_MIN, DenialCode.SHORT_NOT_ALLOWED}


async def test_a_refused_resting_stop_is_not_asked_for_without_end() -> None:
    trading = await holding(rests_stops=True)
    await trading.wait(0.5)
    for _ in range(20):
        await trading.end(trading.resting[-1], "rejected")
        await trading.wait(1)
    assert len(trading.resting) <= 4
