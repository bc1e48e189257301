"""What the controls keep and lock, over the world in memory."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import (
    BTC,
    ETH,
    NOW,
    a_decision,
    a_fill_of,
    a_quote,
    a_request,
    a_signal,
    an_account,
    an_envelope,
    an_event_of,
    an_id,
    an_instrument,
    some_limits,
)
from risk_gate_fakes import Count, FakeWorld

from risk_gate.domain.facts import Facts, Opposing
from risk_gate.handlers import booking, deciding, keeping
from sigmax.schemas.control import Alert
from sigmax.schemas.orders import CancelRequested, OrderApproved, OrderDenied, VenueHealth
from sigmax.schemas.types import AlertLevel, DenialCode, Scope, TimeInForce

PASSIVE = {"offensive": 100, "guerrilla": 100, "defensive": 100}


async def code_of(fake: FakeWorld, name: str, **changes: Any) -> DenialCode | None:
    before = len(fake.published(OrderDenied))
    await deciding.on_signal(a_signal(name, at=fake.clock.now(), **changes), fake.world)
    denied = fake.published(OrderDenied)
    return denied[-1].code if len(denied) > before else None


async def approved(fake: FakeWorld, name: str, **changes: Any) -> OrderApproved:
    assert await code_of(fake, name, **changes) is None
    found: OrderApproved = fake.published(OrderApproved)[-1]
    return found


async def test_equity_is_marked_once_a_minute_and_only_with_a_fresh_price_of_everything() -> None:
    fake = FakeWorld()
    fake.state.positions[BTC] = Count(Decimal(10))
    for seconds in (0, 30, 30):
        fake.clock.advance(seconds)
        await keeping.mark_equity(fake.world)
    assert [equity for _, equity, _ in fake.state.past.marks] == [Decimal(101_000)] * 2
    fake.clock.advance(60)
    fake.state.positions[ETH] = Count(Decimal(1))
    await keeping.mark_equity(fake.world)
    assert len(fake.state.past.marks) == 2


async def test_an_account_that_was_never_reconciled_has_no_equity_to_mark() -> None:
    fake = FakeWorld()
    fake.state.accounts["paper"] = an_account(reconciliation_passed=False)
    await keeping.mark_equity(fake.world)
    assert fake.state.past.marks == []


async def test_a_resting_entry_is_taken_back_when_its_time_is_over() -> None:
    fake = FakeWorld()
    fake.state.limits["paper"] = some_limits(posture_limit_share_pct=PASSIVE)
    order = await approved(fake, "resting")
    assert (order.time_in_force, order.limit_price) == (TimeInForce.GTC, Decimal(100))
    fake.clock.advance(10)
    await keeping.end_waiting_entries(fake.world)
    assert fake.published(CancelRequested) == []
    fake.clock.advance(0.001)
    await keeping.end_waiting_entries(fake.world)
    (cancel,) = fake.published(CancelRequested)
    assert cancel.client_order_id == order.client_order_id


async def test_an_entry_that_goes_through_the_market_is_never_taken_back() -> None:
    fake = FakeWorld()
    await approved(fake, "marketable")
    fake.clock.advance(3600)
    await keeping.end_waiting_entries(fake.world)
    assert fake.published(CancelRequested) == []


@pytest.mark.parametrize("changes", [{"price": "100.51"}, {"side": "sell"}, {"client_order_id": "nobodys"}])
async def test_a_fill_that_nobody_approved_tells_people_once_and_stops_entries(changes: dict[str, Any]) -> None:
    fake = FakeWorld()
    order = await approved(fake, "order")
    fill = a_fill_of(order, "1", "1", at=NOW + timedelta(seconds=1), **changes)
    for _ in range(2):
        await booking.on_fill(fill, fake.world)
    (alert,) = [each for each in fake.published(Alert) if each.code == "fill_unexplained"]
    assert (alert.level, alert.subject) == (AlertLevel.CRITICAL, "paper")
    fake.clock.advance(11)
    assert await code_of(fake, "more") is DenialCode.FILL_UNEXPLAINED


async def test_a_fill_within_its_approval_says_nothing() -> None:
    fake = FakeWorld()
    order = await approved(fake, "order")
    for index in range(2):
        await booking.on_fill(a_fill_of(order, str(index), "9.95", at=NOW + timedelta(seconds=1)), fake.world)
    assert fake.published(Alert) == []
    assert fake.state.past.latches == []


async def test_one_order_too_many_locks_the_strategy_and_a_release_lets_it_go_on() -> None:
    fake = FakeWorld()
    fake.state.limits["paper"] = some_limits(strategy_orders_per_run_max=1)
    await approved(fake, "first")
    fake.clock.advance(11)
    assert await code_of(fake, "second") is DenialCode.ORDER_COUNT_EXCEEDED
    fake.state.limits["paper"] = some_limits(strategy_orders_per_run_max=1000)
    assert await code_of(fake, "still") is DenialCode.ORDER_COUNT_EXCEEDED
    assert await code_of(fake, "another", strategy_id="rsi", strength="0.5") is None
    async with fake.open_ledger() as ledger:
        await ledger.release(Scope.STRATEGY, "ema", "ada, grace", fake.clock.now())
    fake.clock.advance(11)
    assert await code_of(fake, "released") is None


async def test_an_own_bid_in_the_way_of_an_exit_is_canceled_for_the_next_try() -> None:
    fake = FakeWorld()
    bought = await approved(fake, "bought")
    await booking.on_fill(a_fill_of(bought, "1", "5", at=NOW + timedelta(seconds=1)), fake.world)
    await booking.on_order_event(an_event_of(bought, 1, "canceled", "5"), fake.world)
    fake.state.past.facts = Facts(opposing=(Opposing("own", Decimal(100)),))
    fake.clock.advance(11)
    assert await code_of(fake, "out", action="close") is DenialCode.SELF_TRADE
    (cancel,) = fake.published(CancelRequested)
    assert cancel.client_order_id == "own"


async def test_the_venues_newest_word_counts() -> None:
    fake = FakeWorld()

    def health(name: str, seconds: float, gap_ms: str) -> VenueHealth:
        fields = {"account_id": "paper", "venue": "paper", "is_answering": True, "clock_gap_ms": gap_ms}
        return VenueHealth(**an_envelope(name), **fields, as_of=NOW + timedelta(seconds=seconds))

    await booking.on_venue_health(health("off", 2, "501"), fake.world)
    await booking.on_venue_health(health("older", 1, "0"), fake.world)
    assert await code_of(fake, "off") is DenialCode.CLOCK_OFF
    await booking.on_venue_health(health("on", 3, "-500"), fake.world)
    assert await code_of(fake, "on") is None


async def test_a_decision_hears_of_the_fleet_the_rival_and_the_volatility() -> None:
    fake = FakeWorld()
    fake.state.limits["paper"] = some_limits(alerting_required=True)
    assert await code_of(fake, "nobody to tell") is DenialCode.ALERTING_DOWN
    fake.fleet.hear("notifier", NOW)
    fake.sources.rivals[BTC] = a_quote("BTC/USDT@kraken", "110")
    assert await code_of(fake, "another price") is DenialCode.PRICE_ANOMALOUS
    fake.sources.rivals.clear()
    fake.sources.volatility[BTC] = Decimal(10)
    assert (await approved(fake, "wild")).quantity == Decimal("9.950")


async def test_what_a_model_let_pass_is_counted_and_a_stray_judgement_too() -> None:
    fake = FakeWorld()
    fake.state.limits["paper"] = some_limits(judged_shadow=False, judged_orders_per_day_max=1)
    for name in ("first", "second"):
        request = a_request(a_signal(name, at=fake.clock.now()))
        await deciding.on_judgement_requested(request, fake.world)
        await deciding.on_decision(a_decision(request, policy="council", tape_id=an_id("tape")), fake.world)
        fake.clock.advance(61)
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.JUDGEMENT_BUDGET_EXCEEDED
    await deciding.on_decision(a_decision(a_request(a_signal("stray"))), fake.world)
    await keeping.settle_unasked(fake.world)
    assert fake.meter.strays == 1
    assert fake.state.proposals[a_signal("stray").message_id][0].is_settled


async def test_a_close_of_the_market_holds_up_entries_and_exits() -> None:
    fake = FakeWorld()
    fake.market.instrument = an_instrument(is_tradable=False)
    for action in ("buy", "close"):
        assert await code_of(fake, action, action=action) is DenialCode.MARKET_CLOSED


def who(name: str, seconds: float, **changes: Any) -> VenueHealth:
    fields = {"account_id": "paper", "venue": "paper", "is_answering": True, "mode": "paper"}
    fields |= {"hosts": ("127.0.0.1",), "key_fingerprint": "0" * 16, "as_of": NOW + timedelta(seconds=seconds)}
    return VenueHealth(**an_envelope(name), **(fields | changes))


async def test_a_paper_account_is_given_the_first_host_and_key_it_is_told_and_denies_every_other_until_people_name_it() -> (
    None
):
    fake = FakeWorld()
    await booking.on_venue_health(who("first", 0), fake.world)
    limits = fake.state.limits["paper"]
    assert limits is not None
    assert (limits.version, limits.venue_hosts, limits.venue_keys) == (2, ("127.0.0.1",), ("0" * 16,))
    assert await code_of(fake, "as named") is None

    fake.clock.advance(2)
    for seconds in (1, 2):
        await booking.on_venue_health(who(f"other {seconds}", seconds, key_fingerprint="f" * 16), fake.world)
    assert fake.state.limits["paper"] == limits
    (alert,) = fake.published(Alert)
    assert (alert.code, alert.level) == ("venue_identity_changed", AlertLevel.CRITICAL)
    fake.clock.advance(10)
    assert await code_of(fake, "another key") is DenialCode.MODE_MISMATCH

    fake.state.limits["paper"] = limits.model_copy(update={"version": 3, "venue_keys": ("f" * 16,)})
    assert await code_of(fake, "named by people") is None


async def test_nobody_but_people_names_the_host_and_key_of_a_live_account() -> None:
    fake = FakeWorld()
    fake.state.accounts["paper"] = an_account(mode="live")
    limits = fake.state.limits["paper"]
    await booking.on_venue_health(who("first", 0, mode="live"), fake.world)
    assert fake.state.limits["paper"] == limits
    assert [alert.code for alert in fake.published(Alert)] == ["venue_identity_changed"]


async def test_an_order_worker_that_does_not_say_as_whom_it_trades_names_nothing() -> None:
    fake = FakeWorld()
    limits = fake.state.limits["paper"]
    await booking.on_venue_health(who("silent", 0, mode=None, hosts=(), key_fingerprint=None), fake.world)
    assert fake.state.limits["paper"] == limits
    assert fake.published(Alert) == []


@pytest.mark.parametrize(
    ("told", "counted", "code"),
    [
        (None, None, DenialCode.PRICE_OUTSIDE_COLLAR),
        ("100", None, None),
        (None, "100", None),
        ("100", "60", None),
        ("60", "100", DenialCode.PRICE_OUTSIDE_COLLAR),
    ],
)
async def test_daily_limits_are_measured_from_the_markets_own_word_or_else_from_the_last_close_of_a_day_before(
    told: str | None, counted: str | None, code: DenialCode | None
) -> None:
    fake = FakeWorld()
    fake.state.limits["paper"] = some_limits(price_limit_pct={"binance": "30"})
    close = None if told is None else Decimal(told)
    fake.market.instrument = an_instrument(close_previous=close)
    if counted is not None:
        fake.sources.closes[BTC] = Decimal(counted)
    assert await code_of(fake, "limited") is code
