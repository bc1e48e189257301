"""Protective exits over the world in memory: nobody asks for them, and each happens once."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import (
    BTC,
    ETH,
    KEY,
    a_command,
    a_fill_of,
    a_signal,
    an_account,
    an_event_of,
    an_instrument,
    some_limits,
)
from risk_gate_exit_builders import some_ticks
from risk_gate_fakes import Count, FakeWorld

from risk_gate.domain.exits import ExitPolicy, ExitRules
from risk_gate.domain.protection import Protection, ProtectionState
from risk_gate.domain.stages import CurrentStage
from risk_gate.handlers import booking, commands, deciding, exit_votes
from risk_gate.handlers.exit_sweep import sweep
from risk_gate.handlers.exits import on_hit
from risk_gate.handlers.flattening import follow_flattenings
from risk_gate.ports.exits import ExitDesk
from sigmax.domain.approval import verify
from sigmax.schemas.control import Alert, StageChanged
from sigmax.schemas.orders import CancelRequested, OrderApproved, OrderDenied
from sigmax.schemas.signals import Decision, ExitJudgementRequested
from sigmax.schemas.types import AlertLevel, DenialCode, ExitKind, OrderType, Scope, Side, Stage, TimeInForce


class Trading:
    """A world with a position: 10 BTC bought at 100, the stop at 98, the target at 110."""

    def __init__(self, **rules: Any) -> None:
        self.fake = FakeWorld()
        self.fake.world = replace(self.fake.world, exits=ExitDesk(rules=ExitRules(**rules)))
        self.fake.market.prices[ETH] = "100"
        self._reconcile()
        self.fake.clock.advance(1)
        self.ticks = 0
        self.fills = 0

    @property
    def world(self) -> Any:
        return self.fake.world

    @property
    def protection(self) -> Protection:
        (known,) = [each for each in self.fake.state.guarded.protections.values() if each.instrument_id == BTC]
        return known

    @property
    def sales(self) -> list[OrderApproved]:
        return [each for each in self.fake.published(OrderApproved) if each.side is Side.SELL]

    @property
    def exits(self) -> list[OrderApproved]:
        return [each for each in self.sales if each.order_type is not OrderType.STOP_LIMIT]

    @property
    def resting(self) -> list[OrderApproved]:
        return [each for each in self.sales if each.order_type is OrderType.STOP_LIMIT]

    def alerts(self, code: str) -> list[Alert]:
        return [each for each in self.fake.published(Alert) if each.code == code]

    async def buy(self, quantity: str = "10", name: str = "entry", price: str = "100", **changes: Any) -> OrderApproved:
        signal = a_signal(name, at=self.fake.clock.now(), stop_pct="2", target_pct="10", **changes)
        await deciding.on_signal(signal, self.world)
        approved = self.fake.published(OrderApproved)[-1]
        assert approved.signal_id == signal.message_id
        await self.fill(approved, quantity, price)
        await self.end(approved, "expired", quantity)
        return approved

    async def fill(self, order: OrderApproved, quantity: str, price: str) -> None:
        self.fills += 1
        fill = a_fill_of(order, f"fill {self.fills}", quantity, price=price, at=self.fake.clock.now())
        await booking.on_fill(fill, self.world)

    async def end(self, order: OrderApproved, status: str, filled: str = "0", sequence: int = 5) -> None:
        await booking.on_order_event(an_event_of(order, sequence, status, filled), self.world)

    async def accept(self, order: OrderApproved) -> None:
        await booking.on_order_event(an_event_of(order, 2, "new"), self.world)

    async def tick(self, price: str) -> None:
        """Trade at a price, in the stream and in the newest quote."""
        self.ticks += 1
        self.fake.market.prices[BTC] = price
        batch = some_ticks(price, at=self.fake.clock.now(), first=self.ticks)
        for hit in self.world.exits.watch.hold(batch, self.fake.clock.now_ns()):
            await on_hit(hit, self.world)

    async def wait(self, seconds: float) -> None:
        """Let time pass, with a turn of the sweep at its end."""
        self._reconcile()
        self.fake.clock.advance(seconds)
        await sweep(self.world)

    def _reconcile(self) -> None:
        """Have the books found right up to now."""
        self.fake.state.accounts["paper"] = an_account(reconciled_at=self.fake.clock.now())

    def stage(self, stage: Stage) -> None:
        key = (Scope.ACCOUNT, "paper")
        self.fake.state.stages[key] = CurrentStage(*key, stage, 2, "ada", "test")


async def holding(**rules: Any) -> Trading:
    trading = Trading(**rules)
    await trading.buy()
    return trading


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
    assert len(trading.exits) == 1
    assert len(trading.fake.state.guarded.stop_outs) == 1


# Escalation --------------------------------------------------------------------------------------------------------


async def test_an_exit_that_does_not_fill_tries_harder_each_time_and_people_are_told() -> None:
    trading = await holding()
    await trading.tick("97")
    shares = []
    for attempt in range(4):
        order = trading.exits[-1]
        assert len(trading.exits) == attempt + 1
        shares.append((order.order_type, order.limit_price))
        await trading.end(order, "expired")
        await trading.wait(1.9)
        assert len(trading.exits) == attempt + 1
        await trading.wait(0.1)
    limit = OrderType.LIMIT
    assert shares == [
        (limit, Decimal("96.52")),  # 0.5 %
        (limit, Decimal("95.79")),  # half way to the collar
        (limit, Decimal("95.06")),  # 2 %, the collar
        (OrderType.MARKET, None),
    ]
    levels = [alert.level for alert in trading.alerts("exit_not_filled")]
    assert levels == [AlertLevel.DANGER] * 2 + [AlertLevel.CRITICAL] * 2
    assert len({order.client_order_id for order in trading.exits}) == len(trading.exits)


async def test_a_market_order_stays_within_the_slippage_that_is_allowed() -> None:
    trading = await holding()
    await trading.tick("97")
    for _ in range(3):
        await trading.end(trading.exits[-1], "expired")
        await trading.wait(2)
    bids = trading.fake.market
    market_order = trading.exits[-1]
    assert market_order.order_type is OrderType.MARKET
    await trading.end(market_order, "expired")

    quotes = bids.quotes

    async def wide(names: Any) -> Any:
        return {name: _with_bid(quote, "92") for name, quote in (await quotes(names)).items()}

    bids.quotes = wide  # type: ignore[method-assign]
    await trading.wait(30)
    assert trading.fake.published(OrderDenied)[-1].code is DenialCode.PRICE_OUTSIDE_COLLAR


def _with_bid(quote: Any, bid: str) -> Any:
    return type(quote)(**{**{name: getattr(quote, name) for name in quote.__struct_fields__}, "bid": Decimal(bid)})


async def test_what_a_partial_fill_leaves_is_sold_and_never_more() -> None:
    trading = await holding()
    await trading.tick("97")
    await trading.end(trading.exits[0], "expired", "4")
    await trading.wait(2)
    assert len(trading.exits) == 1  # the venue counts four that are not in our book yet
    await trading.fill(trading.exits[0], "4", "97")
    await trading.wait(2)
    assert [order.quantity for order in trading.exits] == [10, 6]


async def test_while_an_exits_order_is_unknown_nothing_more_is_sold_and_people_are_told() -> None:
    trading = await holding()
    await trading.tick("97")
    for _ in range(5):
        await trading.wait(2)
    assert len(trading.exits) == 1
    (alert,) = trading.alerts("exit_not_filled")
    assert "have not ended" in alert.text


async def test_a_profit_that_is_gone_is_no_longer_taken() -> None:
    trading = await holding()
    await trading.tick("110")
    await trading.end(trading.exits[0], "expired")
    trading.fake.market.prices[BTC] = "108"
    await trading.wait(2)
    assert len(trading.exits) == 1
    assert trading.protection.state is ProtectionState.OPEN
    await trading.tick("110")
    assert len({order.client_order_id for order in trading.exits}) == 2


# Resting stops -----------------------------------------------------------------------------------------------------


async def resting() -> Trading:
    trading = await holding(rests_stops=True)
    await trading.wait(0.5)
    await trading.accept(trading.resting[0])
    return trading


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


# The vote ----------------------------------------------------------------------------------------------------------


async def voting() -> tuple[Trading, ExitJudgementRequested]:
    trading = await holding(policy=ExitPolicy.VOTE)
    await trading.tick("97.9")
    (asked,) = trading.fake.published(ExitJudgementRequested)
    assert trading.exits == []
    return trading, asked


async def answer(trading: Trading, asked: ExitJudgementRequested, verdict: str, **changes: Any) -> None:
    fields: dict[str, Any] = {
        **Decision.after(asked, trading.fake.clock.now()),
        "request_id": asked.message_id,
        "signal_id": asked.exit_id,
        "strategy_id": asked.strategy_id,
        "instrument_id": asked.instrument_id,
        "policy": "local",
        "verdict": verdict,
        "answers": (),
        "confidence": "1",
        "reasons": ("test",),
    }
    await exit_votes.on_decision(Decision(**(fields | changes)), trading.world)


async def test_an_approved_exit_goes_at_once() -> None:
    trading, asked = await voting()
    await answer(trading, asked, "approve")
    assert len(trading.exits) == 1


@pytest.mark.parametrize("verdict", [None, "hold"])
async def test_no_answer_by_the_deadline_means_go(verdict: str | None) -> None:
    trading, asked = await voting()
    if verdict:
        await answer(trading, asked, verdict)
    await trading.wait(1.9)
    assert trading.exits == []
    await trading.wait(0.1)
    assert len(trading.exits) == 1


async def test_a_clear_no_postpones_it_by_one_step_where_nobody_is_asked() -> None:
    trading, asked = await voting()
    await answer(trading, asked, "reject")
    await trading.wait(5)
    await trading.tick("97.01")
    assert trading.exits == []
    await trading.tick("97")
    assert len(trading.exits) == 1
    assert len(trading.fake.published(ExitJudgementRequested)) == 1


async def test_a_no_that_is_late_or_about_something_else_changes_nothing() -> None:
    trading, asked = await voting()
    await answer(trading, asked, "reject", strategy_id="other")
    trading.fake.clock.advance(2)
    late = asked.model_copy(update={"message_id": asked.exit_id})
    await answer(trading, late, "reject")
    assert len(trading.exits) == 1


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
