from decimal import Decimal

import pytest

from sigmax.domain.depth import Depth, DepthModel, Level
from sigmax.domain.fees import FeeSchedule
from sigmax.domain.trading_rules import TradingRules, ceil_to, floor_to
from sigmax.domain.wallet import InsufficientBalanceError, Wallet
from sigmax.schemas.market import Instrument
from sigmax.schemas.types import Side

RULES = TradingRules(
    instrument_id="BTC/USDT@binance",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.01"),
    quantity_min=Decimal("0.01"),
    notional_min=Decimal(0),
)


def a_depth(**model: object) -> Depth:
    return Depth(RULES, DepthModel(**({"levels": 3, "sizes": 2} | model)))  # type: ignore[arg-type]


def test_before_the_first_trade_nothing_is_offered() -> None:
    assert list(a_depth().levels(Side.BUY)) == []
    assert a_depth().best(Side.SELL) is None


def test_levels_step_away_from_the_last_price_and_grow_with_the_mean_trade() -> None:
    depth = a_depth()
    for size in ("9", "0.013", "0.03"):
        depth.on_trade(Decimal(50), Decimal(size))

    assert list(depth.levels(Side.BUY)) == [
        Level(Decimal("50.1"), Decimal("0.02")),
        Level(Decimal("50.2"), Decimal("0.04")),
        Level(Decimal("50.3"), Decimal("0.06")),
    ]
    assert [level.price for level in depth.levels(Side.SELL)] == [Decimal("49.9"), Decimal("49.8"), Decimal("49.7")]


def test_the_spread_and_the_steps_may_be_given_in_basis_points() -> None:
    depth = a_depth(half_spread_bps=Decimal(50), step_bps=Decimal(100))
    depth.on_trade(Decimal(100), Decimal(1))

    assert [level.price for level in depth.levels(Side.BUY)] == [Decimal("100.5"), Decimal("101.5"), Decimal("102.5")]


def test_bids_end_above_zero() -> None:
    depth = a_depth()
    depth.on_trade(Decimal("0.2"), Decimal(1))

    assert [level.price for level in depth.levels(Side.SELL)] == [Decimal("0.1")]


def test_what_was_eaten_comes_back_by_as_much_as_is_traded() -> None:
    depth = a_depth(sizes=1)
    depth.on_trade(Decimal(50), Decimal(1))
    depth.eat(Side.BUY, Decimal("1.5"))
    assert next(depth.levels(Side.BUY)) == Level(Decimal("50.2"), Decimal("1.5"))

    depth.on_trade(Decimal(50), Decimal(1))

    assert next(depth.levels(Side.BUY)) == Level(Decimal("50.1"), Decimal("0.5"))
    assert next(depth.levels(Side.SELL)) == Level(Decimal("49.9"), Decimal(1))


def test_a_stored_depth_is_put_back_as_it_was() -> None:
    depth, copy = a_depth(), a_depth()
    depth.on_trade(Decimal(50), Decimal("1.5"))
    depth.eat(Side.SELL, Decimal(1))

    copy.restore(last=depth.last, sizes=depth.sizes, eaten=depth.eaten, update_id=depth.update_id)

    assert list(copy.levels(Side.SELL)) == list(depth.levels(Side.SELL))
    assert copy.update_id == depth.update_id


def test_a_commission_is_a_share_of_what_is_received_to_eight_decimals() -> None:
    fees = FeeSchedule(maker_bps=Decimal(2), taker_bps=Decimal("7.5"))

    assert fees.commission(Decimal("0.12345"), is_maker=False) == Decimal("0.00009259")
    assert fees.commission(Decimal("0.12345"), is_maker=True) == Decimal("0.00002469")


@pytest.mark.parametrize("rate", ["10000", "NaN", "-10000"])
def test_a_fee_that_takes_all_or_is_no_number_is_no_fee(rate: str) -> None:
    with pytest.raises(ValueError, match="taker_bps"):
        FeeSchedule(taker_bps=Decimal(rate))


def test_a_book_without_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="levels"):
        DepthModel(levels=0)


def test_a_wallet_gives_nothing_it_has_not() -> None:
    wallet = Wallet()
    wallet.add("USDT", Decimal(5))

    with pytest.raises(InsufficientBalanceError):
        wallet.lock("USDT", Decimal("5.01"))
    assert wallet["USDT"] == (Decimal(5), Decimal(0))


def test_rounding_goes_by_whole_steps() -> None:
    assert floor_to(Decimal("0.0299"), Decimal("0.01")) == Decimal("0.02")
    assert ceil_to(Decimal("7.1"), Decimal("2.5")) == Decimal("7.5")


def test_rules_follow_the_collectors_instrument() -> None:
    rules = TradingRules.of(
        Instrument(
            "ES/USD@cme",
            "ES",
            "USD",
            "cme",
            Decimal("0.25"),
            Decimal(1),
            Decimal(0),
            Decimal(0),
            "future",
            is_tradable=False,
        )
    )

    assert (rules.symbol, rules.quantity_min, rules.is_tradable) == ("ESUSD", Decimal(1), False)
