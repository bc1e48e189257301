"""Our books against the venue's."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_worker_builders import BTC, ETH, NOW

from order_worker.domain.reconciling import (
    Held,
    assets_of,
    clock_difference,
    clock_gap,
    corrections,
    differences,
    gaps,
    lasting,
    opening,
    strangers,
)
from sigmax.domain.ledger import Entry, LedgerAccount, imbalance

ASSETS = assets_of("USDT", [BTC, ETH], {BTC: Decimal("0.00001")})


def test_what_is_traded_is_a_holding_and_what_it_is_quoted_in_is_money() -> None:
    assert ASSETS.money == {"USDT"}
    assert set(ASSETS.dust) == {"BTC", "ETH"}


def test_a_new_account_opens_with_what_it_holds() -> None:
    venue = {"USDT": Decimal(100), "BTC": Decimal(2), "DOGE": Decimal(5)}
    entries = opening(venue, {}, ASSETS.all, [], ASSETS)

    assert Entry(LedgerAccount.CASH, "USDT", Decimal(100)) in entries
    assert Entry(LedgerAccount.HOLDING, "BTC", Decimal(2)) in entries
    assert Entry(LedgerAccount.HOLDING, "ETH", Decimal(0)) in entries
    assert not any(entry.asset == "DOGE" for entry in entries)
    assert imbalance(entries) == {}


def test_what_was_traded_before_an_asset_was_met_is_not_opened_twice() -> None:
    entries = opening({"BTC": Decimal(5)}, {"BTC": Held(Decimal(3))}, ["BTC"], [], ASSETS)

    assert entries[0] == Entry(LedgerAccount.HOLDING, "BTC", Decimal(2))


def test_an_asset_in_motion_is_met_later() -> None:
    moving = {"BTC": Held(Decimal(3), recent_in=Decimal(3))}

    assert opening({"BTC": Decimal(3)}, moving, ["BTC"], [], ASSETS) == []
    assert opening({"BTC": Decimal(3)}, {}, ["BTC"], ["BTC"], ASSETS) == []


def test_a_gap_that_closed_once_was_a_trade_on_its_way() -> None:
    first = gaps({"USDT": Held(Decimal(100))}, {"USDT": Decimal(90), "BTC": Decimal(1)}, ASSETS.all)
    second = gaps({"USDT": Held(Decimal(90))}, {"USDT": Decimal(90), "BTC": Decimal(1)}, ASSETS.all)

    assert lasting([first, second]) == {"BTC": Decimal(1)}
    assert lasting([first, second, {}]) == {}


@pytest.mark.parametrize(
    ("venue", "gap"), [("100", "0"), ("103", "0"), ("95", "0"), ("94.9", "-0.1"), ("103.1", "0.1")]
)
def test_trades_of_this_moment_may_or_may_not_be_in_the_venues_answer(venue: str, gap: str) -> None:
    held = Held(Decimal(100), recent_in=Decimal(5), recent_out=Decimal(-3))

    assert held.gap(Decimal(venue)) == Decimal(gap)


@given(st.decimals(-100, 100, places=2), st.decimals(-100, 100, places=2))
def test_in_quiet_times_every_difference_is_a_gap(ours: Decimal, venue: Decimal) -> None:
    assert Held(ours).gap(venue) == venue - ours


def test_a_lot_is_dust_and_more_is_not() -> None:
    ours = {"BTC": Held(Decimal(1)), "USDT": Held(Decimal(100))}
    found = {"BTC": Decimal("0.00001"), "USDT": Decimal("-0.02")}

    dust, money = differences(found, ours, ASSETS)

    assert (dust.subject, dust.is_dust, dust.venue) == ("BTC", True, "1.00001")
    assert (money.subject, money.is_dust, money.venue) == ("USDT", False, "99.98")
    assert {entry.asset for entry in corrections(found, ASSETS)} == {"BTC"}
    assert imbalance(corrections(found, ASSETS)) == {}


@pytest.mark.parametrize(("off_ms", "is_told"), [(0, False), (550, False), (551, True), (-550, False), (-551, True)])
def test_a_clock_that_is_off_by_more_than_half_a_second_is_a_difference(off_ms: int, is_told: bool) -> None:
    # The answer was 100 ms on its way: the venue may have looked at its clock at any moment of these.
    asked_at, answered_at = NOW, NOW + timedelta(milliseconds=100)
    venue = NOW + timedelta(milliseconds=50 + off_ms)

    gap = clock_gap(asked_at, answered_at, venue)
    assert (clock_difference(gap, answered_at) is not None) is gap.is_off is is_told
    assert gap.milliseconds == off_ms


def test_an_order_that_is_not_ours_is_a_difference() -> None:
    (difference,) = strangers(["v1", "v2"], {"v1"})

    assert (difference.kind, difference.subject, difference.is_dust) == ("order", "v2", False)
