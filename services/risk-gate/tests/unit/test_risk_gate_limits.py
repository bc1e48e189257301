"""What a sized order is held against. Each just under, at, and just over its limit."""

from datetime import timedelta
from decimal import Decimal

import pytest
from risk_gate_builders import (
    BTC,
    ETH,
    NOW,
    a_quote,
    a_signal,
    a_situation,
    some_limits,
)
from risk_gate_deciding import A_MICROSECOND, HELD_50, code_of, decide, failed, order_check

from risk_gate.domain.situation import (
    Book,
    Holding,
    PacedOrder,
    Reserved,
    SimilarOrder,
)
from sigmax.schemas.types import DenialCode, Side

# Control 6 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maximum", "code"), [("1999.96", None), ("1999.95", None), ("1999.94", DenialCode.NOTIONAL_EXCEEDS_MAX)]
)
def test_the_largest_notional(maximum: str, code: DenialCode | None) -> None:
    assert code_of(decide(limits=some_limits(order_notional_max=maximum))) is code


@pytest.mark.parametrize(
    ("maximum", "code"), [("19.901", None), ("19.9", None), ("19.899", DenialCode.QUANTITY_EXCEEDS_MAX)]
)
def test_the_largest_quantity_of_an_instrument(maximum: str, code: DenialCode | None) -> None:
    assert code_of(decide(limits=some_limits(order_quantity_max={BTC: maximum}))) is code


@pytest.mark.parametrize(("quantity", "passed"), [("499.999", True), ("500", True), ("500.001", False)])
def test_an_entry_is_at_most_five_percent_of_the_last_minute(quantity: str, passed: bool) -> None:
    check = order_check(DenialCode.QUANTITY_EXCEEDS_MAX, a_situation(), quantity=Decimal(quantity))
    assert check.passed is passed


def test_an_entry_shrinks_to_what_a_thin_market_takes() -> None:
    assert decide(quotes={BTC: a_quote(minute_volume=Decimal("20.019"))}).quantity == Decimal("1.000")


def test_an_exit_is_not_held_against_a_thin_market() -> None:
    book = Book(cash=Decimal(0), holdings={BTC: Holding(Decimal(5))}, own={BTC: Decimal(5)})
    verdict = decide(a_signal(action="close"), book=book, quotes={BTC: a_quote(minute_volume=Decimal(0))})
    assert verdict.quantity == 5


# Control 7 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "code"), [("199", None), ("200", None), ("201", DenialCode.PRICE_OUTSIDE_COLLAR)])
def test_a_limit_stays_within_two_percent_of_the_market(offset: str, code: DenialCode | None) -> None:
    assert code_of(decide(limits=some_limits(limit_offset_bps=offset))) is code


@pytest.mark.parametrize(("seen", "code"), [("98.53", None), ("98.52", DenialCode.PRICE_OUTSIDE_COLLAR)])
def test_a_limit_stays_within_two_percent_of_what_the_strategy_saw(seen: str, code: DenialCode | None) -> None:
    assert code_of(decide(a_signal(reference_price=seen))) is code


# Control 8 and 9 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maximum", "code"), [("7024.96", None), ("7024.95", None), ("7024.94", DenialCode.POSITION_EXCEEDS_MAX)]
)
def test_the_largest_position_counts_what_is_held(maximum: str, code: DenialCode | None) -> None:
    assert code_of(decide(limits=some_limits(position_notional_max=maximum), book=HELD_50)) is code


@pytest.mark.parametrize(
    ("maximum", "code"),
    [("0.0702496", None), ("0.0702495", None), ("0.0702494", DenialCode.EXPOSURE_EXCEEDS_MAX)],
)
def test_the_largest_gross_exposure(maximum: str, code: DenialCode | None) -> None:
    assert code_of(decide(limits=some_limits(leverage_max=maximum), book=HELD_50)) is code


@pytest.mark.parametrize(
    ("maximum", "code"),
    [("0.0702496", None), ("0.0702495", None), ("0.0702494", DenialCode.EXPOSURE_EXCEEDS_MAX)],
)
def test_the_largest_net_exposure(maximum: str, code: DenialCode | None) -> None:
    assert code_of(decide(limits=some_limits(net_leverage_max=maximum), book=HELD_50)) is code


def test_a_short_takes_from_the_net_and_adds_to_the_gross() -> None:
    holdings = {BTC: Holding(Decimal(50)), ETH: Holding(Decimal(-30))}
    book, prices = Book(holdings=holdings), {BTC: Decimal(100), ETH: Decimal(100)}
    assert (book.gross_exposure(prices), book.net_exposure(prices)) == (8000, 2000)


@pytest.mark.parametrize(
    ("maximum", "code"),
    [("7.02496", None), ("7.02495", None), ("7.02494", DenialCode.CONCENTRATION_EXCEEDS_MAX)],
)
def test_the_largest_part_of_equity_in_one_instrument(maximum: str, code: DenialCode | None) -> None:
    assert code_of(decide(limits=some_limits(concentration_max_pct=maximum), book=HELD_50)) is code


def test_open_orders_of_anybody_count_as_held() -> None:
    reserved = (Reserved("other", BTC, Side.BUY, Decimal(50), Decimal(5000)),)
    book = Book(cash=Decimal(100_000), reserved=reserved)
    verdict = decide(limits=some_limits(position_notional_max="7024.94"), book=book)
    assert code_of(verdict) is DenialCode.POSITION_EXCEEDS_MAX
    assert failed(verdict).seen == "7024.95"


def test_the_riskier_of_two_counts_is_the_exposure() -> None:
    for holding in (Holding(Decimal(50), Decimal(1)), Holding(Decimal(1), Decimal(50))):
        book = Book(cash=Decimal(95_000), holdings={BTC: holding})
        limits = some_limits(position_notional_max="6900")
        assert code_of(decide(limits=limits, book=book)) is DenialCode.POSITION_EXCEEDS_MAX


def test_what_reduces_passes_every_exposure_limit() -> None:
    book = Book(cash=Decimal(0), holdings={BTC: Holding(Decimal(90))}, own={BTC: Decimal(90)})
    limits = some_limits(position_notional_max="1", concentration_max_pct="0.1", leverage_max="0.001")
    assert code_of(decide(a_signal(action="close"), book=book, limits=limits)) is None


# Control 10 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reserved", "code"),
    [("97996.05", None), ("97996.0501", None), ("97996.0502", DenialCode.BUYING_POWER_EXCEEDED)],
)
def test_an_entry_needs_free_cash_with_fees(reserved: str, code: DenialCode | None) -> None:
    """19.9 * 100.50 * 1.002 is 2 003.9499, and other buys have taken the rest of 100 000."""
    others = (Reserved("other", ETH, Side.BUY, Decimal(1), Decimal(reserved)),)
    book = Book(cash=Decimal(100_000), reserved=others)
    quotes = {BTC: a_quote(), ETH: a_quote(ETH, "1")}
    assert code_of(decide(book=book, quotes=quotes, limits=some_limits(cash_buffer_pct="0"))) is code


def test_the_buffer_stays_untouched() -> None:
    others = (Reserved("other", ETH, Side.BUY, Decimal(1), Decimal("96996.0502")),)
    book = Book(cash=Decimal(100_000), reserved=others)
    verdict = decide(book=book, quotes={BTC: a_quote(), ETH: a_quote(ETH, "1")})
    assert code_of(verdict) is DenialCode.BUYING_POWER_EXCEEDED


# Control 12 and 15 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(seconds=1) - A_MICROSECOND, DenialCode.ORDER_RATE_EXCEEDED),
        (timedelta(seconds=1), None),
        (timedelta(seconds=1) + A_MICROSECOND, None),
    ],
)
def test_a_strategy_has_one_order_a_second(age: timedelta, code: DenialCode | None) -> None:
    book = Book(cash=Decimal(100_000), paced=(PacedOrder("ema", NOW - age),))
    assert code_of(decide(book=book)) is code


@pytest.mark.parametrize(("orders", "code"), [(3, None), (4, None), (5, DenialCode.ORDER_RATE_EXCEEDED)])
def test_an_account_has_five_orders_a_second(orders: int, code: DenialCode | None) -> None:
    paced = tuple(PacedOrder(f"other {index}", NOW) for index in range(orders))
    assert code_of(decide(book=Book(cash=Decimal(100_000), paced=paced))) is code


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(seconds=10) - A_MICROSECOND, DenialCode.ORDER_DUPLICATED),
        (timedelta(seconds=10), None),
        (timedelta(seconds=10) + A_MICROSECOND, None),
    ],
)
def test_the_same_order_twice_within_ten_seconds_is_a_duplicate(age: timedelta, code: DenialCode | None) -> None:
    similar = (SimilarOrder(Decimal("19.900"), Decimal("100.5"), NOW - age),)
    assert code_of(decide(book=Book(cash=Decimal(100_000), similar=similar))) is code


@pytest.mark.parametrize(("quantity", "price"), [("19.901", "100.5"), ("19.9", "100.51")])
def test_another_quantity_or_price_is_no_duplicate(quantity: str, price: str) -> None:
    similar = (SimilarOrder(Decimal(quantity), Decimal(price), NOW),)
    assert code_of(decide(book=Book(cash=Decimal(100_000), similar=similar))) is None
