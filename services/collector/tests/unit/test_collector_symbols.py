"""What symbols stand for, and in which steps their instruments trade."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.scaling import exponent_of, scaled, unscaled
from collector.domain.steps import Grid, lot_size, notional_min, price_age_max_s, tick_size
from collector.domain.symbols import Symbol, parse_symbol


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("BTCUSDT", Symbol("BTC", "USDT", "crypto")),
        ("ADA/USDT", Symbol("ADA", "USDT", "crypto")),
        ("btc-usd", Symbol("BTC", "USD", "crypto")),
        ("ETHBTC", Symbol("ETH", "BTC", "crypto")),
        ("BTCUSD", Symbol("BTC", "USD", "crypto")),
        ("XRP_KRW", Symbol("XRP", "KRW", "crypto")),
        ("BTC-PERP", Symbol("BTC", "USD", "crypto")),
        ("BTC", Symbol("BTC", "USD", "crypto")),
        ("ES", Symbol("ES", "USD", "future")),
        ("SPY", Symbol("SPY", "USD", "equity")),
        ("AET.L", Symbol("AET.L", "USD", "equity")),
        ("005930", Symbol("005930", "KRW", "equity")),
    ],
)
def test_a_symbol_is_taken_apart(text: str, parsed: Symbol) -> None:
    assert parse_symbol(text) == parsed


@pytest.mark.parametrize(
    "text", ["", " ", "A B", "BTC@x", "/USDT", "BTC/", "-PERP", "_PERP", "X" * 25, "BTC\tUSD", "비트코인"]
)
def test_what_makes_no_instrument_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"symbol|quote"):
        parse_symbol(text)


@given(st.text(max_size=30))
def test_a_symbol_makes_an_instrument_id_or_an_error(text: str) -> None:
    try:
        instrument_id = parse_symbol(text).instrument_id("replay")
    except ValueError:
        return
    left, market = instrument_id.split("@")
    base, quote = left.split("/")
    assert base
    assert quote
    assert market == "replay"
    assert len(instrument_id) <= 64


@pytest.mark.parametrize(
    ("grid", "step"),
    [
        (Grid(2, 25, 44), "0.25"),
        (Grid(2, 1, 500), "0.01"),
        (Grid(1, 5, 60), "0.5"),
        (Grid(2, 25, 3), "0.01"),  # three prices prove nothing
        (Grid(0, 1000, 40), "25"),
        (Grid(8, 1, 100), "0.00000001"),
    ],
)
def test_the_tick_is_the_step_that_prices_lie_on(grid: Grid, step: str) -> None:
    assert tick_size(grid) == Decimal(step)


def test_a_coin_is_divisible_although_its_recorded_volumes_are_whole() -> None:
    whole = Grid(0, 1, 1000)

    assert lot_size(whole, "crypto", Decimal(46000)) * 46000 <= 1
    assert lot_size(whole, "equity", Decimal(170)) == 1
    assert lot_size(Grid(5, 1, 1000), "crypto", Decimal("0.00002")) == Decimal("0.00001")


def test_only_recorded_crypto_markets_have_a_smallest_order_worth() -> None:
    assert notional_min("USDT", "crypto") == 5
    assert notional_min("USD", "equity") == 0


@pytest.mark.parametrize(
    ("asset_class", "bar_seconds", "speed", "age_s"),
    [
        ("crypto", None, 1, 2),
        ("future", None, 1, 5),
        ("crypto", 60, 1, 30),
        ("crypto", 60, 60, 2),
        ("crypto", 60, 0, 2),
    ],
)
def test_a_price_of_bars_may_stand_two_quarters_of_a_bar(
    asset_class: str, bar_seconds: int | None, speed: float, age_s: float
) -> None:
    assert price_age_max_s(asset_class, bar_seconds, speed) == age_s


@given(st.integers(-(10**15), 10**15), st.integers(-12, 0))
def test_scaling_is_exact_both_ways(value: int, exponent: int) -> None:
    assert scaled(str(unscaled(value, exponent)), exponent) == value


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "", "abc", None, "1.001", "1e30", "0.0000000000001"])
def test_a_number_that_does_not_fit_is_reported_and_never_rounded(text: str | None) -> None:
    assert scaled(text, -2) is None


@pytest.mark.parametrize(("step", "exponent"), [("0.25", -2), ("0.01", -2), ("5", 0), ("100", 0), ("0.00001000", -5)])
def test_a_step_names_its_power_of_ten(step: str, exponent: int) -> None:
    assert exponent_of(Decimal(step)) == exponent
