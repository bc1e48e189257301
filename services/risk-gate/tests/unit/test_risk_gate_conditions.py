"""What is asked before anything is sized: stages, market, numbers, ages. Each just under, at, and just over its limit."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from risk_gate_builders import (
    BTC,
    ETH,
    NORMAL,
    NOW,
    a_quote,
    a_signal,
    an_account,
    an_instrument,
    some_limits,
)
from risk_gate_deciding import A_MICROSECOND, code_of, decide, failed

from risk_gate.domain.controls import NUMBER_MAX
from risk_gate.domain.situation import (
    Book,
    Holding,
    PacedOrder,
    Reserved,
    StageRow,
)
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Side, Stage

# Control 1 and 25: stages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "scope_id"),
    [("global", "global"), ("venue", "paper"), ("account", "paper"), ("strategy", "ema"), ("instrument", BTC)],
)
@pytest.mark.parametrize("stage", ["halted", "locked", "a word nobody knows", ""])
def test_a_stop_of_any_scope_denies(scope: str, scope_id: str, stage: str) -> None:
    rows = [row for row in NORMAL if row.scope != scope]
    verdict = decide(stages=(*rows, StageRow(scope, scope_id, stage)))
    assert code_of(verdict) is (DenialCode.KILL_SWITCH_ON if scope == "global" else DenialCode.TRADING_HALTED)
    assert not next(check for check in verdict.checks if check.code is DenialCode.TRADING_HALTED).passed


@pytest.mark.parametrize(
    ("scope", "scope_id"), [("venue", "other"), ("account", "other"), ("strategy", "rsi"), ("instrument", ETH)]
)
def test_a_stop_of_somebody_else_does_not_matter(scope: str, scope_id: str) -> None:
    assert code_of(decide(stages=(*NORMAL, StageRow(scope, scope_id, "halted")))) is None


@pytest.mark.parametrize(("missing", "code"), [(0, DenialCode.KILL_SWITCH_ON), (1, DenialCode.TRADING_HALTED)])
def test_a_stage_that_is_not_there_is_halted(missing: int, code: DenialCode) -> None:
    rows = tuple(row for index, row in enumerate(NORMAL) if index != missing)
    assert code_of(decide(stages=rows)) is code


def test_an_unknown_account_is_halted() -> None:
    assert code_of(decide(account=None)) is DenialCode.TRADING_HALTED


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("caution", None),
        ("reducing", DenialCode.TRADING_REDUCING),
        ("halted", DenialCode.KILL_SWITCH_ON),
        ("locked", DenialCode.KILL_SWITCH_ON),
    ],
)
def test_the_kill_switch_has_a_code_of_its_own(stage: str, code: DenialCode | None) -> None:
    book = Book(cash=Decimal(100_000), holdings={BTC: Holding(Decimal(1))})
    verdict = decide(stages=(StageRow("global", "global", stage), NORMAL[1]), book=book)
    assert code_of(verdict) is code
    is_off = next(check for check in verdict.checks if check.control == 25).passed
    assert is_off is (code is not DenialCode.KILL_SWITCH_ON)


def test_reducing_lets_only_what_lowers_exposure_pass() -> None:
    reducing = (StageRow("global", "global", "normal"), StageRow("account", "paper", "reducing"))
    book = Book(cash=Decimal(1000), holdings={BTC: Holding(Decimal(5))}, own={BTC: Decimal(5)})
    assert code_of(decide(stages=reducing, book=book)) is DenialCode.TRADING_REDUCING
    assert code_of(decide(a_signal(action="close"), stages=reducing, book=book)) is None


CAUTION = (NORMAL[0], StageRow("account", "paper", "caution"))
HELD_ONE = Book(cash=Decimal(99_900), holdings={BTC: Holding(Decimal(1))}, own={BTC: Decimal(1)})


def test_caution_halves_an_entry() -> None:
    verdict = decide(stages=CAUTION, book=HELD_ONE)
    assert verdict.quantity == Decimal("9.95")
    assert verdict.stage is Stage.CAUTION


def test_caution_begins_nothing_new() -> None:
    assert code_of(decide(stages=CAUTION)) is DenialCode.INSTRUMENT_NEW_IN_CAUTION
    other = replace(HELD_ONE, holdings={ETH: Holding(Decimal(1))}, own={})
    quotes = {BTC: a_quote(), ETH: a_quote(ETH)}
    assert code_of(decide(stages=CAUTION, book=other, quotes=quotes)) is DenialCode.INSTRUMENT_NEW_IN_CAUTION
    bought = replace(HELD_ONE, holdings={}, own={}, reserved=(Reserved("x", BTC, Side.BUY, Decimal(1), Decimal(100)),))
    assert code_of(decide(stages=CAUTION, book=bought)) is None


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(seconds=2) - A_MICROSECOND, DenialCode.ORDER_RATE_EXCEEDED),
        (timedelta(seconds=2), None),
    ],
)
def test_caution_takes_twice_the_time(age: timedelta, code: DenialCode | None) -> None:
    paced = (PacedOrder("ema", NOW - age),)
    assert code_of(decide(stages=CAUTION, book=replace(HELD_ONE, paced=paced))) is code


def test_caution_lets_an_exit_go_at_once() -> None:
    book = replace(HELD_ONE, paced=(PacedOrder("ema", NOW),))
    assert code_of(decide(a_signal(action="close"), stages=CAUTION, book=book)) is None


# Control 2 and 3 ---------------------------------------------------------------------------------------------------


def test_an_unknown_instrument_is_not_tradable() -> None:
    assert code_of(decide(instrument=None)) is DenialCode.INSTRUMENT_NOT_TRADABLE


def test_an_instrument_in_another_currency_than_the_account_is_not_tradable() -> None:
    verdict = decide(account=an_account(currency="USD"))
    assert code_of(verdict) is DenialCode.INSTRUMENT_NOT_TRADABLE
    assert "USDT" in failed(verdict).seen


def test_only_listed_instruments_trade() -> None:
    assert code_of(decide(limits=some_limits(instruments_allowed=(BTC,)))) is None
    for limits in (some_limits(instruments_allowed=(ETH,)), some_limits(instruments_restricted=(BTC,))):
        assert code_of(decide(limits=limits)) is DenialCode.INSTRUMENT_NOT_TRADABLE


def test_a_closed_market_denies() -> None:
    assert code_of(decide(instrument=an_instrument(is_tradable=False))) is DenialCode.MARKET_CLOSED


# Control 4 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(seconds=2) - A_MICROSECOND, None),
        (timedelta(seconds=2), None),
        (timedelta(seconds=2) + A_MICROSECOND, DenialCode.PRICE_STALE),
        (timedelta(seconds=-1), None),
        (timedelta(seconds=-1) - A_MICROSECOND, DenialCode.PRICE_STALE),
    ],
)
def test_a_price_may_be_as_old_as_its_instrument_says(age: timedelta, code: DenialCode | None) -> None:
    assert code_of(decide(quotes={BTC: a_quote(age=age)})) is code


def test_no_price_is_a_stale_price() -> None:
    assert code_of(decide(quotes={})) is DenialCode.PRICE_STALE


def test_an_entry_needs_a_price_for_everything_held_and_an_exit_does_not() -> None:
    holdings = {ETH: Holding(Decimal(1)), BTC: Holding(Decimal(1))}
    book = Book(cash=Decimal(100_000), holdings=holdings, own={BTC: Decimal(1)})
    verdict = decide(book=book)
    assert code_of(verdict) is DenialCode.PRICE_STALE
    assert ETH in failed(verdict).seen
    assert code_of(decide(a_signal(action="close"), book=book)) is None


@pytest.mark.parametrize(("bid", "code"), [("99.99", None), ("100", None), ("100.01", DenialCode.PRICE_ANOMALOUS)])
def test_a_crossed_quote_is_no_price(bid: str, code: DenialCode | None) -> None:
    assert code_of(decide(quotes={BTC: a_quote(bid=Decimal(bid), ask=Decimal(100))})) is code


# Control 5: numbers, lots, minimums --------------------------------------------------------------------------------

BAD = [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal(-1), Decimal(0), NUMBER_MAX * 2]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["last", "bid", "ask"])
def test_a_price_that_is_no_price_is_denied_before_any_comparison(name: str, bad: Decimal) -> None:
    verdict = decide(quotes={BTC: a_quote(**{name: bad})} if name != "last" else {BTC: a_quote(last=str(bad))})
    assert code_of(verdict) is DenialCode.NUMBER_INVALID
    assert len(verdict.checks) == 1


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["tick_size", "lot_size"])
def test_a_step_that_is_none_is_denied(name: str, bad: Decimal) -> None:
    assert code_of(decide(instrument=an_instrument(**{name: bad}))) is DenialCode.NUMBER_INVALID


@pytest.mark.parametrize(
    "book",
    [
        Book(cash=Decimal("NaN")),
        Book(cash=Decimal("Infinity")),
        Book(cash=Decimal(1), holdings={BTC: Holding(Decimal("NaN"))}),
        Book(cash=Decimal(1), holdings={BTC: Holding(Decimal(1), Decimal("Infinity"))}),
        Book(cash=Decimal(1), own={BTC: Decimal("NaN")}),
    ],
)
def test_a_book_that_cannot_be_read_as_numbers_is_denied(book: Book) -> None:
    assert code_of(decide(book=book)) is DenialCode.NUMBER_INVALID


@pytest.mark.parametrize(
    "signal",
    [a_signal(reference_price="1e16"), a_signal(stop_pct="100"), a_signal(target_pct="1e16")],
    ids=["price", "stop", "target"],
)
def test_absurd_numbers_of_a_signal_are_denied(signal: Signal) -> None:
    assert code_of(decide(signal)) is DenialCode.NUMBER_INVALID


@pytest.mark.parametrize(
    ("quantity_min", "code"), [("19.899", None), ("19.9", None), ("19.901", DenialCode.QUANTITY_BELOW_MIN)]
)
def test_the_smallest_quantity(quantity_min: str, code: DenialCode | None) -> None:
    assert code_of(decide(instrument=an_instrument(quantity_min=Decimal(quantity_min)))) is code


@pytest.mark.parametrize(
    ("notional_min", "code"), [("1989.99", None), ("1990", None), ("1990.01", DenialCode.NOTIONAL_BELOW_MIN)]
)
def test_the_smallest_notional(notional_min: str, code: DenialCode | None) -> None:
    assert code_of(decide(instrument=an_instrument(notional_min=Decimal(notional_min)))) is code
