"""How many orders, how fast, and how much in all: just under, at, and just over each limit."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import BTC, ETH, NOW, a_quote, a_signal, a_situation
from risk_gate_deciding import code_of, decide, failed, order_check

from risk_gate.domain.exit_wish import ExitWish, Resting
from risk_gate.domain.facts import Adds, Counts, Facts, Latch, Opposing, Turnover
from risk_gate.domain.latching import latches_of
from risk_gate.domain.situation import Book, Holding, PacedOrder, Reserved, SimilarOrder
from sigmax.schemas.types import DenialCode, ExitKind, Scope, Side

HELD = Book(cash=Decimal(99_500), holdings={BTC: Holding(Decimal(5))}, own={BTC: Decimal(5)})
QUOTES = {BTC: a_quote(), ETH: a_quote(ETH, "1")}


def exit_with(book: Book = HELD, **facts: Any) -> Any:
    return decide(a_signal(action="close"), book=book, facts=Facts(**facts))


# Control 11 --------------------------------------------------------------------------------------------------------


def open_orders(instrument_id: str, orders: int) -> Book:
    reserved = (Reserved("other", instrument_id, Side.BUY, Decimal(1), Decimal(1), orders),)
    return Book(cash=Decimal(100_000), reserved=reserved)


@pytest.mark.parametrize(("orders", "code"), [(3, None), (4, None), (5, DenialCode.OPEN_ORDERS_EXCEEDED)])
def test_an_instrument_has_five_open_orders(orders: int, code: DenialCode | None) -> None:
    assert code_of(decide(book=open_orders(BTC, orders))) is code
    assert code_of(decide(book=open_orders(ETH, orders), quotes=QUOTES)) is None


@pytest.mark.parametrize(("orders", "code"), [(48, None), (49, None), (50, DenialCode.OPEN_ORDERS_EXCEEDED)])
def test_an_account_has_fifty_open_orders(orders: int, code: DenialCode | None) -> None:
    assert code_of(decide(book=open_orders(ETH, orders), quotes=QUOTES)) is code


def test_what_has_ended_and_waits_for_a_fill_is_no_open_order() -> None:
    assert open_orders(BTC, 0).open_orders(BTC) == 0


# Control 13 --------------------------------------------------------------------------------------------------------

BREACHES = [
    (Counts(strategy_day=199), None, None),
    (Counts(strategy_day=200), DenialCode.ORDER_COUNT_EXCEEDED, (Scope.STRATEGY, "ema")),
    (Counts(strategy_run=999), None, None),
    (Counts(strategy_run=1000), DenialCode.ORDER_COUNT_EXCEEDED, (Scope.STRATEGY, "ema")),
    (Counts(account_day=499), None, None),
    (Counts(account_day=500), DenialCode.ORDER_COUNT_EXCEEDED, (Scope.ACCOUNT, "paper")),
]


@pytest.mark.parametrize(("counts", "code", "locked"), BREACHES)
def test_orders_of_a_day_and_of_a_run_are_counted_and_latch(
    counts: Counts, code: DenialCode | None, locked: tuple[Scope, str] | None
) -> None:
    situation = a_situation(facts=Facts(counts=counts))
    verdict = decide(facts=situation.facts)
    assert code_of(verdict) is code
    if locked is not None:
        (latch,) = latches_of(a_signal(), verdict, situation, NOW)
        assert ((latch.scope, latch.scope_id), latch.expires_at) == (locked, None)
        still = decide(facts=Facts(latches=(latch,)))
        assert code_of(still) is DenialCode.ORDER_COUNT_EXCEEDED
        assert "until a person releases it" in failed(still).seen


def test_a_latch_of_another_strategy_locks_nobody_else() -> None:
    latch = Latch(Scope.STRATEGY, "rsi", DenialCode.ORDER_COUNT_EXCEEDED, "too many")
    assert code_of(decide(facts=Facts(latches=(latch,)))) is None


# Control 14 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turnover", "code"),
    [
        (Turnover(minute=Decimal("18000.04")), None),
        (Turnover(minute=Decimal("18000.05")), None),
        (Turnover(minute=Decimal("18000.06")), DenialCode.TURNOVER_EXCEEDED),
        (Turnover(hour=Decimal("98000.05")), None),
        (Turnover(hour=Decimal("98000.06")), DenialCode.TURNOVER_EXCEEDED),
        (Turnover(day=Decimal("498000.05")), None),
        (Turnover(day=Decimal("498000.06")), DenialCode.TURNOVER_EXCEEDED),
    ],
)
def test_what_is_entered_in_a_minute_an_hour_and_a_day_is_bounded(turnover: Turnover, code: DenialCode | None) -> None:
    """The plain order is worth 1 999.95."""
    assert code_of(decide(facts=Facts(turnover=turnover))) is code


# Control 16 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "code"), [("100.51", None), ("100.50", DenialCode.SELF_TRADE)])
def test_a_buy_does_not_meet_an_own_offer(price: str, code: DenialCode | None) -> None:
    assert code_of(decide(facts=Facts(opposing=(Opposing("own", Decimal(price)),)))) is code


@pytest.mark.parametrize(("price", "code"), [("99.49", None), ("99.50", DenialCode.SELF_TRADE)])
def test_a_close_does_not_meet_an_own_bid(price: str, code: DenialCode | None) -> None:
    verdict = exit_with(opposing=(Opposing("own", Decimal(price)),))
    assert code_of(verdict) is code
    if code is not None:
        assert "own" in failed(verdict).seen


@pytest.mark.parametrize(
    ("price", "code"),
    [("98.01", None), ("98.00", DenialCode.SELF_TRADE), ("97.51", DenialCode.SELF_TRADE), ("97.50", None)],
)
def test_a_stop_meets_only_bids_between_its_trigger_and_its_limit(price: str, code: DenialCode | None) -> None:
    """Down to its trigger the market fills the bids above it; its limit is 97.51."""
    wish = ExitWish(ExitKind.STOP_LOSS, resting=Resting(Decimal(98)))
    facts = Facts(opposing=(Opposing("own", Decimal(price)),))
    assert code_of(decide(a_signal(action="close"), book=HELD, facts=facts, exit=wish)) is code


# Exits -------------------------------------------------------------------------------------------------------------


def test_no_control_of_pace_holds_up_a_close() -> None:
    paced = tuple(PacedOrder("ema", NOW) for _ in range(9))
    similar = (SimilarOrder(Decimal(5), Decimal("99.50"), NOW),)
    buying = (Reserved("other", ETH, Side.BUY, Decimal(1), Decimal(1), 60),)
    book = Book(HELD.cash, None, HELD.holdings, HELD.own, buying, paced, similar)
    counts = Counts(account_day=9999, strategy_day=9999, strategy_run=9999)
    turnover = Turnover(Decimal(10**9), Decimal(10**9), Decimal(10**9))
    latch = Latch(Scope.STRATEGY, "ema", DenialCode.ORDER_COUNT_EXCEEDED, "too many")
    verdict = exit_with(book, counts=counts, turnover=turnover, latches=(latch,))
    assert code_of(verdict) is None
    assert {check.control for check in verdict.checks if "closes" in check.seen} >= {11, 12, 13, 14, 15}


# DCA ---------------------------------------------------------------------------------------------------------------


def add(adds: Adds, **changes: Any) -> Any:
    return decide(a_signal(action="dca"), facts=Facts(adds=adds), **changes)


@pytest.mark.parametrize(("count", "code"), [(1, None), (2, None), (3, DenialCode.DCA_EXCEEDED)])
def test_a_position_is_added_to_three_times(count: int, code: DenialCode | None) -> None:
    assert code_of(add(Adds(count, Decimal(110)))) is code


@pytest.mark.parametrize(
    ("last", "code"), [("101.02", None), ("101.01", DenialCode.DCA_EXCEEDED), ("100", DenialCode.DCA_EXCEEDED)]
)
def test_an_addition_is_a_percent_below_the_last_entry(last: str, code: DenialCode | None) -> None:
    assert code_of(add(Adds(0, Decimal(last)))) is code


def test_exactly_a_percent_below_is_enough() -> None:
    quotes = {BTC: a_quote(last="99")}
    assert code_of(add(Adds(0, Decimal(100)), quotes=quotes)) is None


@pytest.mark.parametrize(("held", "passed"), [("39.999", True), ("40", True), ("40.001", False)])
def test_what_was_added_to_is_bounded_in_all(held: str, passed: bool) -> None:
    """6 % of equity is 6 000, and 20 more at 100 are added."""
    quantity = Decimal(held)
    book = Book(cash=100_000 - quantity * 100, holdings={BTC: Holding(quantity)}, own={BTC: quantity})
    added = a_signal(action="dca")
    assert order_check(DenialCode.DCA_EXCEEDED, a_situation(book=book), added, quantity=Decimal(20)).passed is passed


def test_a_buy_is_no_addition() -> None:
    assert code_of(decide(facts=Facts(adds=Adds(9, Decimal(1))))) is None


# Posture -----------------------------------------------------------------------------------------------------------


def holding(*names: str) -> dict[str, Any]:
    holdings = {name: Holding(Decimal(1)) for name in names}
    quotes = {BTC: a_quote(), **{name: a_quote(name) for name in names}}
    return {"book": Book(cash=Decimal(100_000), holdings=holdings), "quotes": quotes}


NAMES = tuple(f"C{index}/USDT@binance" for index in range(6))


@pytest.mark.parametrize(("posture", "allowed"), [(None, 3), ("offensive", 5), ("guerrilla", 3), ("defensive", 2)])
def test_a_posture_holds_so_many_instruments(posture: str | None, allowed: int) -> None:
    for held, code in ((allowed - 2, None), (allowed - 1, None), (allowed, DenialCode.POSITIONS_EXCEED_MAX)):
        assert code_of(decide(posture=posture, **holding(*NAMES[:held]))) is code


def test_what_is_held_already_makes_no_new_position() -> None:
    assert code_of(decide(**holding(BTC, *NAMES[:2]))) is None


def test_old_approvals_are_in_no_window() -> None:
    book = Book(cash=Decimal(100_000), paced=tuple(PacedOrder("ema", NOW - timedelta(seconds=1)) for _ in range(9)))
    assert code_of(decide(book=book)) is None
