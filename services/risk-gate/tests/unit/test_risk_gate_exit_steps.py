"""What an exit does next, and what judgement may spare."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_gate_builders import NOW
from risk_gate_exit_builders import (
    A_SECOND,
    a_protection,
    a_resting_stop,
    an_open_sale,
)

from risk_gate.domain import protection as protections
from risk_gate.domain.exits import (
    ExitPolicy,
    ExitRules,
    Step,
    asks_first,
    exit_kind,
    gives_up,
    next_step,
)
from sigmax.schemas.market import nanoseconds
from sigmax.schemas.types import ExitKind, Side

RULES = ExitRules()
NOW_NS = nanoseconds(NOW)
PRICES = st.decimals(min_value="0.01", max_value="100000", places=2)


# What comes next ---------------------------------------------------------------------------------------------------


def exiting(**changes: object) -> protections.Protection:
    return replace(protections.exiting(a_protection(), ExitKind.STOP_LOSS, Decimal(97)), **changes)  # type: ignore[arg-type]


def test_with_nothing_in_its_way_an_exit_sells() -> None:
    assert next_step(exiting(), [], NOW, RULES) is Step.SELL


def test_an_exit_waits_between_attempts() -> None:
    known = protections.attempted(exiting(), NOW, refusal="", retry=RULES.retry)
    assert next_step(known, [], NOW + timedelta(seconds=1.999), RULES) is Step.WAIT
    assert next_step(known, [], NOW + timedelta(seconds=2), RULES) is Step.SELL


def test_a_resting_stop_and_buys_leave_the_venue_before_an_exit_sells() -> None:
    for order in (a_resting_stop(), an_open_sale(side=Side.BUY)):
        assert next_step(exiting(), [order], NOW, RULES) is Step.CANCEL
        asked = replace(order, cancel_asked_at=NOW)
        assert next_step(exiting(), [asked], NOW + timedelta(seconds=4.999), RULES) is Step.WAIT


def test_a_hung_cancel_blocks_only_what_it_may_still_sell() -> None:
    hung = a_resting_stop(cancel_asked_at=NOW, leaves_quantity=Decimal("0.4"))
    late = NOW + RULES.cancel_bound
    assert next_step(exiting(), [hung], late, RULES) is Step.SELL
    assert next_step(exiting(), [replace(hung, leaves_quantity=Decimal(1))], late, RULES) is Step.STUCK


def test_an_exit_waits_for_another_sale_of_the_position() -> None:
    assert next_step(exiting(), [an_open_sale()], NOW + A_SECOND, RULES) is Step.WAIT
    assert next_step(exiting(), [an_open_sale()], NOW + RULES.cancel_bound, RULES) is Step.STUCK


def test_only_a_profit_that_is_gone_is_given_up() -> None:
    profit = protections.exiting(a_protection(), ExitKind.TAKE_PROFIT, Decimal(104))
    assert gives_up(profit, Decimal("103.99"))
    assert not gives_up(profit, Decimal(104))
    assert not gives_up(exiting(), Decimal(101))


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=60), st.decimals("0.5", 30, places=1))
def test_attempts_are_bounded_whatever_happens(denials: int, retry_s: Decimal) -> None:
    retry = timedelta(seconds=float(retry_s))
    wait = protections.retry_after(denials, retry)
    assert retry <= wait <= max(timedelta(seconds=30), retry)
    assert wait >= protections.retry_after(max(denials - 1, 0), retry)
    # From the fifth on each waits twice as long as the one before: a minute holds few.
    assert denials < 9 or wait >= min(timedelta(seconds=16) * float(retry_s), timedelta(seconds=30))


# The vote ----------------------------------------------------------------------------------------------------------


def test_only_the_policy_vote_asks_and_never_twice_about_one_kind() -> None:
    known = a_protection()
    assert not asks_first(known, ExitKind.STOP_LOSS, ExitPolicy.IMMEDIATE)
    assert asks_first(known, ExitKind.STOP_LOSS, ExitPolicy.VOTE)
    assert not asks_first(replace(known, spared=ExitKind.STOP_LOSS), ExitKind.STOP_LOSS, ExitPolicy.VOTE)


@pytest.mark.parametrize(
    ("kind", "changes", "step"),
    [
        (ExitKind.STOP_LOSS, {}, "97"),  # 98 less half of 2
        (ExitKind.TAKE_PROFIT, {}, "102"),  # 104 less half of 4
        (ExitKind.TRAILING_STOP, {"best_price": Decimal(103), "trailing_pct": Decimal(2)}, "99.91"),
        (ExitKind.TIME_STOP, {"closes_at": NOW}, "100"),  # 101, the price then, less half of 2
    ],
)
def test_a_spared_exit_goes_one_step_lower(kind: ExitKind, changes: dict[str, object], step: str) -> None:
    known = a_protection(**changes)
    after = protections.spared(protections.asking(known, kind, Decimal(101), NOW, NOW + A_SECOND))
    assert after.spared_price == Decimal(step)
    assert exit_kind(after, Decimal(step), NOW) is kind or Decimal(step) <= after.stop_price
    above = exit_kind(after, Decimal(step) + Decimal("0.01"), NOW)
    assert above is not kind
    assert after.exit_id(kind) != known.exit_id(kind)
