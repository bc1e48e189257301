"""Where the stop at the venue belongs, and when it is placed, left, or replaced."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_gate_builders import NOW, an_instrument, some_limits
from risk_gate_exit_builders import A_SECOND, a_protection, a_resting_stop, an_open_sale

from risk_gate.domain import protection as protections
from risk_gate.domain import resting
from risk_gate.domain.exits import ExitPolicy, OpenOrder, Step, exit_kind
from risk_gate.domain.protection import Protection
from risk_gate.domain.resting import RestingWish, resting_level, resting_retry, resting_step, resting_wish
from sigmax.schemas.types import ExitKind, Side

APART = timedelta(seconds=10)
STEP = Decimal("0.245")
WISH = RestingWish(Decimal(1), Decimal(98), STEP, APART)
OLD = NOW + APART
PRICES = st.decimals("50", "200", places=2)


def step_of(
    wish: RestingWish = WISH,
    orders: Sequence[OpenOrder] = (),
    last: str | None = "100",
    now: object = OLD,
    known: Protection | None = None,
) -> Step:
    price = None if last is None else Decimal(last)
    return resting_step(known or a_protection(), wish, orders, price, now)  # type: ignore[arg-type]


def an_own_buy(**changes: object) -> OpenOrder:
    return an_open_sale(side=Side.BUY, **changes)


# Placing -----------------------------------------------------------------------------------------------------------


def test_a_position_without_a_resting_stop_gets_one() -> None:
    assert step_of() is Step.REST


def test_the_first_stop_waits_for_the_fills_of_its_buy_and_no_longer() -> None:
    assert step_of(orders=[an_own_buy()], now=NOW + A_SECOND * 0.999) is Step.WAIT
    assert step_of(orders=[an_own_buy()], now=NOW + A_SECOND) is Step.REST
    assert step_of(orders=[an_own_buy(is_own=False)], now=NOW) is Step.REST


def test_nothing_is_placed_at_or_above_the_market_or_without_a_price() -> None:
    assert step_of(last="98.01") is Step.REST
    assert step_of(last="98") is Step.WAIT
    assert step_of(last=None) is Step.WAIT


def test_nothing_is_placed_that_is_smaller_than_the_smallest_order() -> None:
    assert step_of(replace(WISH, quantity=Decimal(0))) is Step.WAIT


def test_nothing_is_placed_while_the_position_is_closed_or_the_last_one_was_refused() -> None:
    leaving = protections.exiting(a_protection(), ExitKind.STOP_LOSS, Decimal(97))
    assert step_of(known=leaving) is Step.WAIT
    refused = resting.resting_refused(a_protection(), OLD)
    assert step_of(known=refused, now=OLD - A_SECOND) is Step.WAIT
    assert step_of(known=refused, now=OLD) is Step.REST


@pytest.mark.parametrize(("refusals", "seconds"), [(0, 5), (1, 5), (2, 10), (3, 20), (4, 30), (1000, 30)])
def test_refusals_in_a_row_are_bounded(refusals: int, seconds: int) -> None:
    assert resting_retry(refusals) == timedelta(seconds=seconds)


# Replacing ---------------------------------------------------------------------------------------------------------


def test_a_resting_stop_that_fits_stays() -> None:
    assert step_of(orders=[a_resting_stop()]) is Step.WAIT


def test_a_resting_stop_is_taken_off_once() -> None:
    larger = replace(WISH, quantity=Decimal(2))
    assert step_of(larger, [a_resting_stop()]) is Step.CANCEL
    assert step_of(larger, [a_resting_stop(cancel_asked_at=NOW)]) is Step.WAIT


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("moved", "step"), [("0.244", Step.WAIT), ("0.245", Step.WAIT), ("0.246", Step.CANCEL)])
def test_it_follows_a_level_that_has_moved_by_more_than_a_step(moved: str, step: Step, sign: int) -> None:
    wish = replace(WISH, trigger_price=98 + sign * Decimal(moved))
    assert step_of(wish, [a_resting_stop()]) is step


def test_it_follows_the_price_only_so_often() -> None:
    wish = replace(WISH, trigger_price=Decimal(99))
    assert step_of(wish, [a_resting_stop()], now=NOW + APART - A_SECOND * 0.001) is Step.WAIT
    assert step_of(wish, [a_resting_stop()], now=NOW + APART) is Step.CANCEL


def test_it_stays_where_its_successor_could_not_be_placed() -> None:
    wish = replace(WISH, trigger_price=Decimal(99))
    assert step_of(wish, [a_resting_stop()], last="99") is Step.WAIT
    assert step_of(wish, [a_resting_stop()], last=None) is Step.WAIT
    assert step_of(wish, [a_resting_stop()], last="99.01") is Step.CANCEL


def test_one_that_would_sell_too_much_goes_at_once_whatever_the_price() -> None:
    smaller = replace(WISH, quantity=Decimal("0.999"))
    assert step_of(smaller, [a_resting_stop()], last="98", now=NOW) is Step.CANCEL
    assert resting.is_too_large([a_resting_stop()], smaller)
    assert not resting.is_too_large([a_resting_stop()], WISH)


def test_what_was_added_is_taken_in_at_once_and_of_a_buy_under_way_only_so_often() -> None:
    larger = replace(WISH, quantity=Decimal("1.001"))
    assert step_of(larger, [a_resting_stop()], now=NOW) is Step.CANCEL
    growing = [a_resting_stop(), an_own_buy()]
    assert step_of(larger, growing, now=NOW + APART - A_SECOND) is Step.WAIT
    assert step_of(larger, growing, now=NOW + APART) is Step.CANCEL


# Where it belongs --------------------------------------------------------------------------------------------------


def test_it_rests_where_the_gate_sells_on_the_tick_that_risks_less() -> None:
    known = a_protection(stop_price=Decimal("97.991"))
    wish = resting_wish(known, [], an_instrument(), some_limits(), ExitPolicy.IMMEDIATE)
    assert (wish.trigger_price, wish.quantity) == (98, 1)
    assert wish.step == Decimal("0.245")  # 0.25 % of 98
    assert wish.apart == APART


def test_it_is_for_what_no_other_sale_may_still_fill() -> None:
    orders = [an_open_sale(leaves_quantity=Decimal("0.4")), a_resting_stop(), an_own_buy()]
    wish = resting_wish(a_protection(), orders, an_instrument(), some_limits(), ExitPolicy.IMMEDIATE)
    assert wish.quantity == Decimal("0.6")


def test_less_than_the_smallest_order_rests_nowhere() -> None:
    known = a_protection(quantity=Decimal("0.0005"))
    assert resting_wish(known, [], an_instrument(), some_limits(), ExitPolicy.IMMEDIATE).quantity == 0


@pytest.mark.parametrize(
    ("best", "level"), [("100", "98"), ("101.03", "98"), ("104", "100.8800")], ids=["below", "just below", "above"]
)
def test_it_follows_the_trailing_stop_once_that_is_above_the_stop(best: str, level: str) -> None:
    known = a_protection(best_price=Decimal(best), trailing_pct=Decimal(3))
    assert resting_level(known, ExitPolicy.IMMEDIATE) == Decimal(level)


def test_under_a_vote_it_rests_where_nobody_is_asked() -> None:
    known = a_protection()
    assert resting_level(known, ExitPolicy.VOTE) == 97  # half the distance to the entry below the stop at 98
    asked = protections.asking(known, ExitKind.STOP_LOSS, Decimal("97.9"), NOW, NOW + A_SECOND)
    assert resting_level(protections.spared(asked), ExitPolicy.VOTE) == 97


@settings(deadline=None)
@given(PRICES, PRICES, st.one_of(st.none(), st.decimals("0.1", "40", places=1)), st.sampled_from(ExitPolicy))
def test_at_its_level_the_gate_would_sell_unasked_and_above_it_nothing_is_sold_unasked(
    stop: Decimal, best: Decimal, trailing: Decimal | None, policy: ExitPolicy
) -> None:
    known = a_protection(stop_price=stop, best_price=best, trailing_pct=trailing, target_price=Decimal(1000))
    level = resting_level(known, policy)
    asks = policy is ExitPolicy.VOTE
    if asks:
        for kind in (ExitKind.STOP_LOSS, ExitKind.TRAILING_STOP):
            if kind is ExitKind.STOP_LOSS or trailing is not None:
                known = protections.spared(protections.asking(known, kind, level, NOW, NOW))
                assert known.spared_price is not None
                assert known.spared_price <= level
    else:
        assert exit_kind(known, level, NOW) in {ExitKind.STOP_LOSS, ExitKind.TRAILING_STOP}
        assert exit_kind(known, level + Decimal("0.0001"), NOW) is None
