"""The decision as a whole, and what concerns exits, ages, and judgement."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import (
    BTC,
    KEY,
    NORMAL,
    NOW,
    a_quote,
    a_signal,
    a_situation,
    an_account,
    some_limits,
)
from risk_gate_deciding import A_MICROSECOND, code_of, decide, failed, order_check

from risk_gate.domain.situation import (
    Book,
    Holding,
    Judgement,
    Reserved,
    StageRow,
)
from sigmax.domain.approval import client_order_id, sign, verify
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import DenialCode, OrderType, Side, TimeInForce


def test_a_plain_buy_is_two_percent_of_equity_as_a_bounded_limit_order() -> None:
    verdict = decide()
    assert isinstance(verdict, OrderApproved)
    assert (verdict.side, verdict.quantity, verdict.limit_price) == (Side.BUY, Decimal("19.9"), Decimal("100.50"))
    assert (verdict.order_type, verdict.time_in_force) == (OrderType.LIMIT, TimeInForce.IOC)
    assert (verdict.stop_price, verdict.target_price) == (Decimal("98.80"), Decimal("102.40"))
    assert verdict.valid_until == NOW + timedelta(seconds=15)
    assert all(check.passed for check in verdict.checks)


def test_the_approval_derives_from_its_signal_and_can_be_signed() -> None:
    verdict = decide()
    assert verdict.client_order_id == client_order_id(a_signal().message_id)
    assert verdict.message_id == decide().message_id
    assert verify(sign(verdict, KEY), KEY)
    assert not verify(sign(verdict, KEY).model_copy(update={"quantity": Decimal(20)}), KEY)


def test_every_control_of_the_gate_leaves_a_row_in_an_approval() -> None:
    controls = {check.control for check in decide().checks}
    of_judgement_and_news = {31, 33, 34, 35, 36}
    assert controls == set(range(1, 37)) - of_judgement_and_news


# Control 21, 22, 23, 27, 32 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(seconds=120) - A_MICROSECOND, None),
        (timedelta(seconds=120), None),
        (timedelta(seconds=120) + A_MICROSECOND, DenialCode.RECONCILIATION_MISSING),
    ],
)
def test_books_must_have_been_reconciled_lately(age: timedelta, code: DenialCode | None) -> None:
    assert code_of(decide(account=an_account(reconciled_at=NOW - age))) is code


@pytest.mark.parametrize("changes", [{"reconciled_at": None}, {"reconciliation_passed": False}])
def test_books_never_reconciled_or_not_passed_deny_everything_by_that_name(changes: dict[str, Any]) -> None:
    verdict = decide(account=an_account(**changes), book=Book())
    assert code_of(verdict) is DenialCode.RECONCILIATION_MISSING


def close_with(book: Book, action: str = "close", **changes: Any) -> Any:
    return decide(a_signal(action=action), book=book, **changes)


def test_a_close_sells_the_strategys_own_holding_rounded_down() -> None:
    book = Book(cash=Decimal(1), holdings={BTC: Holding(Decimal(9))}, own={BTC: Decimal("3.00099")})
    verdict = close_with(book)
    assert (verdict.side, verdict.quantity, verdict.reduce_only) == (Side.SELL, Decimal("3.000"), True)
    assert verdict.limit_price == Decimal("99.50")
    assert verdict.stop_price is None


def test_a_close_sells_no_more_than_the_account_has() -> None:
    book = Book(cash=Decimal(1), holdings={BTC: Holding(Decimal(9), Decimal(2))}, own={BTC: Decimal(3)})
    assert close_with(book).quantity == 2


def test_a_close_leaves_out_what_is_being_sold() -> None:
    selling = (Reserved("ema", BTC, Side.SELL, Decimal(2), Decimal(0)),)
    book = Book(cash=Decimal(1), holdings={BTC: Holding(Decimal(9))}, own={BTC: Decimal(3)}, reserved=selling)
    assert close_with(book).quantity == 1


@pytest.mark.parametrize("held", ["0", "0.0009", "-1"])
def test_nothing_held_is_nothing_to_close(held: str) -> None:
    book = Book(cash=Decimal(1), holdings={BTC: Holding(Decimal(9))}, own={BTC: Decimal(held)})
    assert code_of(close_with(book)) is DenialCode.NOTHING_TO_CLOSE


def test_a_close_too_large_for_one_order_is_cut_to_the_largest() -> None:
    book = Book(cash=Decimal(1), holdings={BTC: Holding(Decimal(900))}, own={BTC: Decimal(900)})
    assert close_with(book).quantity == 100
    limits = some_limits(order_quantity_max={BTC: "7"})
    assert close_with(book, limits=limits).quantity == 7


@pytest.mark.parametrize(("quantity", "passed"), [("2.999", True), ("3", True), ("3.001", False)])
def test_a_sale_may_not_exceed_what_is_held(quantity: str, passed: bool) -> None:
    situation = a_situation(book=Book(cash=Decimal(1), holdings={BTC: Holding(Decimal(3))}, own={BTC: Decimal(3)}))
    check = order_check(
        DenialCode.SHORT_NOT_ALLOWED,
        situation,
        a_signal(action="close"),
        side=Side.SELL,
        quantity=Decimal(quantity),
        reduce_only=True,
    )
    assert check.passed is passed


def test_a_sell_is_cut_to_what_is_held_and_with_nothing_held_denied() -> None:
    book = Book(cash=Decimal(100_000), holdings={BTC: Holding(Decimal(3))}, own={BTC: Decimal(3)})
    verdict = close_with(book, action="sell")
    assert (verdict.quantity, verdict.reduce_only) == (3, True)
    assert code_of(close_with(Book(cash=Decimal(100_000)), action="sell")) is DenialCode.SHORT_NOT_ALLOWED


@pytest.mark.parametrize(
    ("left", "code"), [(A_MICROSECOND, None), (timedelta(0), None), (-A_MICROSECOND, DenialCode.SIGNAL_EXPIRED)]
)
def test_a_signal_lives_until_it_says(left: timedelta, code: DenialCode | None) -> None:
    assert code_of(decide(a_signal(valid_until=NOW + left))) is code


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(seconds=60) - A_MICROSECOND, None),
        (timedelta(seconds=60), None),
        (timedelta(seconds=60) + A_MICROSECOND, DenialCode.SIGNAL_EXPIRED),
        (timedelta(seconds=-1), None),
        (timedelta(seconds=-1) - A_MICROSECOND, DenialCode.SIGNAL_EXPIRED),
    ],
)
def test_a_signal_may_not_be_old_whatever_it_says_itself(age: timedelta, code: DenialCode | None) -> None:
    assert code_of(decide(a_signal(at=NOW - age, valid_until=NOW + timedelta(days=1)))) is code


def test_missing_limits_deny() -> None:
    assert code_of(decide(limits=None)) is DenialCode.LIMIT_MISSING


def test_a_veto_denies_with_its_reason() -> None:
    verdict = decide(judgement=Judgement(refused="reject by council: thin evidence"))
    assert code_of(verdict) is DenialCode.JUDGEMENT_REFUSED
    assert "thin evidence" in verdict.text


# Across controls ---------------------------------------------------------------------------------------------------


def test_the_first_broken_rule_names_the_denial() -> None:
    halted = (NORMAL[0], StageRow("account", "paper", "halted"))
    verdict = decide(a_signal(valid_until=NOW - A_MICROSECOND), stages=halted, limits=None, quotes={})
    assert code_of(verdict) is DenialCode.TRADING_HALTED
    assert {check.code for check in verdict.checks if not check.passed} > {DenialCode.LIMIT_MISSING}


def test_a_denial_tells_the_number_and_the_limit() -> None:
    verdict = decide(limits=some_limits(order_notional_max="1999.94"))
    assert verdict.text == "The notional 1999.95 is above the limit of 1999.94."
    assert (failed(verdict).control, failed(verdict).seen, failed(verdict).limit) == (6, "1999.95", "1999.94")


def test_every_code_has_a_sentence() -> None:
    from risk_gate.domain.assess import _SENTENCES

    assert set(_SENTENCES) == set(DenialCode)


def test_judgement_and_doubt_only_lower_a_size() -> None:
    full = decide().quantity
    assert decide(judgement=Judgement(size_factor=Decimal("0.5"))).quantity == full / 2
    assert decide(a_signal(strength="0")).quantity == full / 2
    assert decide(judgement=Judgement(size_factor=Decimal(1))).quantity == full


def test_a_size_of_nothing_is_denied() -> None:
    assert code_of(decide(judgement=Judgement(size_factor=Decimal(0)))) is DenialCode.QUANTITY_BELOW_MIN


def test_a_strategy_shrinks_to_what_is_left_of_its_budget() -> None:
    holdings = {BTC: Holding(Decimal(190))}
    book = Book(cash=Decimal(81_000), holdings=holdings, own={BTC: Decimal(190)})
    limits = some_limits(position_notional_max="50000", concentration_max_pct="50")
    verdict = decide(book=book, limits=limits)
    assert verdict.quantity == Decimal("9.950")
    exhausted = replace(book, own={BTC: Decimal(200)})
    assert code_of(decide(book=exhausted, limits=limits)) is DenialCode.QUANTITY_BELOW_MIN


def test_a_buyer_pays_the_ask_and_a_seller_gets_the_bid() -> None:
    quotes = {BTC: a_quote(bid=Decimal("99.9"), ask=Decimal("100.1"))}
    assert decide(quotes=quotes).reference_price == Decimal("100.1")
    book = Book(cash=Decimal(1), holdings={BTC: Holding(Decimal(3))}, own={BTC: Decimal(3)})
    assert close_with(book, quotes=quotes).reference_price == Decimal("99.9")
