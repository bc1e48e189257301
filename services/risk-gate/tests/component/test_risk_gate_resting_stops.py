"""Stops that rest at the venue, in step with the gate's own."""

from dataclasses import replace
from decimal import Decimal

import pytest
from risk_gate_builders import (
    BTC,
    KEY,
    a_signal,
    an_account,
    an_event_of,
    some_limits,
)
from risk_gate_trading import Trading, holding, resting

from risk_gate.domain.exits import ExitPolicy
from risk_gate.domain.protection import ProtectionState
from risk_gate.handlers import booking, deciding
from risk_gate.handlers.exit_sweep import sweep
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


async def test_how_long_a_new_position_is_naked_counts_from_its_fill() -> None:
    trading = await holding(rests_stops=True)
    measured: list[float] = []
    trading.world.exits.meter.naked = measured.append
    await trading.wait(0.5)
    trading.fake.clock.advance(0.25)
    await trading.accept(trading.resting[0])
    assert measured == [pytest.approx(0.75)]
    assert trading.protection.naked_since is None


async def test_people_hear_of_a_naked_position_however_late_the_gate_looks_and_once() -> None:
    trading = await holding(rests_stops=True)
    trading.stage(Stage.HALTED)
    await trading.wait(60)
    await trading.wait(1)
    assert len(trading.alerts("stop_not_resting")) == 1


async def test_the_next_stop_is_placed_with_the_word_that_the_last_one_has_left() -> None:
    trading = await resting()
    await trading.end(trading.resting[0], "canceled")
    assert len(trading.resting) == 2


async def test_a_late_word_of_a_stop_that_has_left_covers_nothing() -> None:
    trading = await resting()
    trading.stage(Stage.HALTED)
    await trading.end(trading.resting[0], "canceled")
    late = an_event_of(trading.resting[0], 3, "partially_filled", "0", occurred_at=trading.fake.clock.now())
    await booking.on_order_event(late, trading.world)
    assert trading.protection.naked_since is not None


async def test_a_denied_stop_is_asked_for_again_soon_after_its_cause_is_gone() -> None:
    trading = await resting()
    for _ in range(6):  # many stops have rested before: that makes no denial wait longer
        await trading.end(trading.resting[-1], "canceled")
        await trading.accept(trading.resting[-1])
    trading.stage(Stage.HALTED)
    await trading.end(trading.resting[-1], "canceled")
    trading.stage(Stage.NORMAL)
    count = len(trading.resting)
    await trading.wait(4.9)
    assert len(trading.resting) == count
    await trading.wait(0.1)
    assert len(trading.resting) == count + 1


async def test_a_resting_stop_follows_the_trailing_one_by_steps() -> None:
    trading = Trading(rests_stops=True)
    await trading.buy(trailing_pct="2")
    await trading.wait(0.5)
    await trading.accept(trading.resting[0])
    await trading.wait(10)
    await trading.tick("100.24")  # the level is 98.24, and a quarter of a percent a little more than what it rose
    await trading.wait(0.5)
    assert not trading.fake.published(CancelRequested)
    await trading.tick("100.25")  # 98.245, on the tick 98.25
    await trading.wait(0.5)
    (cancel,) = trading.fake.published(CancelRequested)
    assert cancel.client_order_id == trading.resting[0].client_order_id
    assert len(trading.resting) == 1
    await trading.end(trading.resting[0], "canceled")
    assert [stop.trigger_price for stop in trading.resting] == [98, Decimal("98.25")]


async def test_a_resting_stop_stays_while_its_successor_would_be_denied() -> None:
    trading = Trading(rests_stops=True)
    await trading.buy(trailing_pct="2")
    await trading.wait(0.5)
    await trading.accept(trading.resting[0])
    await trading.wait(10)
    trading.fake.state.accounts["paper"] = an_account(reconciliation_passed=False)
    await trading.tick("104")
    trading.fake.clock.advance(0.5)
    await sweep(trading.world)
    assert not trading.fake.published(CancelRequested)
    await trading.wait(0.5)
    assert len(trading.fake.published(CancelRequested)) == 1


async def test_under_a_vote_the_venue_does_not_sell_what_judgement_may_still_spare() -> None:
    trading = await holding(rests_stops=True, policy=ExitPolicy.VOTE)
    await trading.wait(0.5)
    assert [stop.trigger_price for stop in trading.resting] == [97]  # the stop is at 98, the entry at 100


async def test_the_first_part_of_an_entry_that_waits_in_the_book_has_a_stop_too() -> None:
    trading = Trading(rests_stops=True)
    trading.fake.state.limits["paper"] = some_limits(posture_limit_share_pct=dict.fromkeys(Posture, 100))
    await deciding.on_signal(a_signal("bid", at=trading.fake.clock.now(), stop_pct="2"), trading.world)
    (entry,) = trading.fake.published(OrderApproved)
    await trading.fill(entry, "4", "100")
    await trading.wait(0.9)
    assert trading.resting == []
    await trading.wait(0.1)
    assert [stop.quantity for stop in trading.resting] == [4]


async def test_a_sale_that_would_be_denied_all_the_same_leaves_the_stop_at_rest() -> None:
    trading = await resting()
    late = a_signal("out", action="close", at=trading.fake.clock.now())
    trading.fake.clock.advance(31)
    await deciding.on_signal(late, trading.world)
    assert trading.fake.published(OrderDenied)
    assert not trading.fake.published(CancelRequested)


async def test_a_sale_that_comes_again_after_it_was_decided_leaves_the_stop_at_rest() -> None:
    trading = await resting()
    await trading.wait(2)
    sale = a_signal("part", action="sell", strength="0", at=trading.fake.clock.now())
    await deciding.on_signal(sale, trading.world)
    await trading.end(trading.resting[0], "canceled")
    (sold,) = trading.exits
    await trading.fill(sold, str(sold.quantity), "100")
    await trading.end(sold, "filled", str(sold.quantity))
    await trading.wait(0.5)
    asked = len(trading.fake.published(CancelRequested))
    await deciding.on_signal(sale, trading.world)
    assert len(trading.fake.published(CancelRequested)) == asked
    assert trading.fake.state.guarded.waiting == {}


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
