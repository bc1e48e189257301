"""What brings an account down by itself, and what the ladder is shown of the markets."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import BTC, ETH, NOW, a_quote, a_reconciliation, an_account, an_instrument, some_limits

from risk_gate.domain.facts import Outcomes, Unknown, VenueState
from risk_gate.domain.losses import Marks
from risk_gate.domain.market_view import RecentPrices, concerned, fresh_prices, market_views, twins
from risk_gate.domain.situation import Holding
from risk_gate.domain.watchdogs import (
    Vigil,
    Watched,
    account_downs,
    blind_down,
    reconciliation_down,
    venues_of,
    venues_worked_on,
)
from sigmax.schemas.orders import Difference
from sigmax.schemas.types import Scope, Stage

A_MICROSECOND = timedelta(microseconds=1)
KRAKEN_BTC = "BTC/USDT@kraken"
PRICES = {BTC: Decimal(100)}


def watched(**changes: Any) -> Watched:
    fields: dict[str, Any] = {
        "account": an_account(),
        "limits": some_limits(),
        "cash": Decimal(90_000),
        "holdings": {BTC: Holding(Decimal(100))},
    }
    return Watched(**(fields | changes))


def stages_of(found: list[Any]) -> list[Stage]:
    assert all((each.scope, each.scope_id, each.changed_by) == (Scope.ACCOUNT, "paper", "risk-gate") for each in found)
    return [each.stage for each in found]


@pytest.mark.parametrize(
    ("mark", "before", "stages"),
    [
        ("minute", "101010.10", []),
        ("minute", "101010.11", [Stage.REDUCING]),
        ("minute", "102040.81", [Stage.REDUCING]),
        ("minute", "102040.82", [Stage.HALTED]),
        ("day", "103092.78", []),
        ("day", "103092.79", [Stage.REDUCING]),
        ("day", "106382.97", [Stage.REDUCING]),
        ("day", "106382.98", [Stage.HALTED]),
        ("peak", "111111.11", []),
        ("peak", "111111.12", [Stage.REDUCING]),
        ("peak", "125000", [Stage.REDUCING]),
        ("peak", "125000.01", [Stage.HALTED]),
    ],
)
def test_losses_reduce_and_twice_the_limit_halts(mark: str, before: str, stages: list[Stage]) -> None:
    account = watched(marks=Marks(**{mark: Decimal(before)}))
    assert stages_of(account_downs(account, PRICES)) == stages


def test_a_loss_is_not_guessed_from_prices_that_are_missing() -> None:
    account = watched(marks=Marks(peak=Decimal(1_000_000)))
    assert account_downs(account, {}) == []
    assert stages_of(account_downs(account, PRICES)) == [Stage.HALTED]


@pytest.mark.parametrize(
    ("ended", "unfilled", "stages"), [(10, 5, []), (11, 6, [Stage.CAUTION]), (9, 9, []), (100, 50, [])]
)
def test_too_many_orders_that_fill_nothing_call_for_caution(ended: int, unfilled: int, stages: list[Stage]) -> None:
    assert stages_of(account_downs(watched(outcomes=Outcomes(ended, unfilled)), PRICES)) == stages


@pytest.mark.parametrize(("unknown", "stages"), [(0, []), (1, []), (2, [Stage.REDUCING])])
def test_two_orders_that_nobody_knows_of_reduce(unknown: int, stages: list[Stage]) -> None:
    assert stages_of(account_downs(watched(unknown=Unknown(account=unknown)), PRICES)) == stages


@pytest.mark.parametrize(("unclear", "stages"), [(0, []), (1, [Stage.REDUCING])])
def test_one_order_that_waits_for_a_person_reduces(unclear: int, stages: list[Stage]) -> None:
    assert stages_of(account_downs(watched(unknown=Unknown(1, 1, unclear)), PRICES)) == stages


def test_limits_that_cannot_be_read_halt() -> None:
    assert stages_of(account_downs(watched(limits=None), PRICES)) == [Stage.HALTED]


def a_difference(kind: str, *, is_dust: bool = False) -> Difference:
    return Difference(kind=kind, subject="BTC", ours="1", venue="2", is_dust=is_dust)


@pytest.mark.parametrize(
    ("differences", "halts"),
    [
        ([], True),
        (["cash"], True),
        (["position"], True),
        (["order"], True),
        (["clock"], False),
        (["clock", "order"], True),
    ],
)
def test_books_that_disagree_halt_and_a_clock_alone_does_not(differences: list[str], halts: bool) -> None:
    failed = a_reconciliation(passed=False, differences=tuple(a_difference(kind) for kind in differences))
    down = reconciliation_down(failed)
    assert (down is not None) is halts
    if down:
        assert stages_of([down]) == [Stage.HALTED]


def test_dust_halts_nobody() -> None:
    assert reconciliation_down(a_reconciliation(differences=(a_difference("cash", is_dust=True),))) is None


def told(as_of_s: int = 0, failing_s: int | None = None) -> VenueState:
    since = None if failing_s is None else NOW - timedelta(seconds=failing_s)
    return VenueState("paper", since is None, since, Decimal(0), 0, NOW - timedelta(seconds=as_of_s))


RECOVERING = replace(told(0, failing_s=50), recovering_since=NOW)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([told(5)], told(5)),
        ([None], None),
        ([told(5), told(70)], told(70)),
        ([told(70), told(0, failing_s=1)], told(0, failing_s=1)),
        ([told(0, failing_s=40), told(0, failing_s=50)], told(0, failing_s=50)),
        ([told(5), None], None),
        ([RECOVERING, told(0, failing_s=1)], told(0, failing_s=1)),
        ([RECOVERING, told(70)], RECOVERING),
    ],
)
def test_of_one_venue_the_worst_word_counts(states: list[VenueState | None], expected: VenueState | None) -> None:
    assert venues_of([watched(venue=state) for state in states]) == {"paper": expected}


def test_a_venue_is_under_maintenance_as_long_as_any_of_its_accounts_says_so() -> None:
    def announced(market: str, *hours: int) -> Watched:
        windows = [
            {"market": market, "starts_at": NOW - timedelta(hours=9), "ends_at": NOW + timedelta(hours=hour)}
            for hour in hours
        ]
        return watched(limits=some_limits(maintenance_windows=windows))

    later = {"market": "paper", "starts_at": NOW + timedelta(seconds=1), "ends_at": NOW + timedelta(hours=1)}
    assert venues_worked_on([watched(limits=some_limits(maintenance_windows=[later]))], NOW) == {}
    assert venues_worked_on([watched(limits=None), announced("krx", 1)], NOW) == {}
    found = venues_worked_on([announced("paper", -2, 1), announced("paper", -1)], NOW)
    assert found == {"paper": NOW + timedelta(hours=1)}


def test_an_account_that_nobody_runs_any_more_says_nothing_of_a_venue() -> None:
    idle = watched(holdings={}, venue=None)
    assert venues_of([idle, watched(venue=told(5))]) == {"paper": told(5)}
    assert venues_of([idle]) == {"paper": None}


# The vigil -----------------------------------------------------------------------------------------------------------


def test_a_watch_that_is_looked_after_goes_on() -> None:
    vigil = Vigil()
    for second in range(0, 100, 10):
        assert vigil.look(NOW + timedelta(seconds=second)) == NOW
        assert vigil.saw(NOW + timedelta(seconds=second)) is None


def test_a_process_that_stood_still_begins_anew() -> None:
    vigil = Vigil()
    vigil.look(NOW)
    later = NOW + timedelta(seconds=10) + A_MICROSECOND
    assert vigil.look(later) == later


@pytest.mark.parametrize(
    ("blind", "is_told"), [(timedelta(seconds=10), False), (timedelta(seconds=10) + A_MICROSECOND, True)]
)
def test_what_could_not_be_watched_for_long_is_told(blind: timedelta, is_told: bool) -> None:
    vigil = Vigil()
    vigil.look(NOW - timedelta(hours=1))
    vigil.missed(NOW)
    vigil.missed(NOW + timedelta(seconds=5))
    told = vigil.saw(NOW + blind)
    assert told == (blind if is_told else None)
    assert vigil.look(NOW + blind) == NOW + blind
    assert vigil.saw(NOW + blind) is None


@pytest.mark.parametrize(
    ("took", "is_told"), [(timedelta(seconds=10), False), (timedelta(seconds=10) + A_MICROSECOND, True)]
)
def test_a_look_that_takes_too_long_is_as_good_as_blind(took: timedelta, is_told: bool) -> None:
    vigil = Vigil()
    vigil.look(NOW)
    assert vigil.saw(NOW + took) == (took if is_told else None)


def test_an_account_nobody_could_watch_is_in_caution() -> None:
    assert stages_of([blind_down("paper", timedelta(seconds=11))]) == [Stage.CAUTION]


# What the ladder sees ------------------------------------------------------------------------------------------------


def test_what_is_held_by_a_lot_or_worked_on_concerns_the_ladder() -> None:
    instruments = {BTC: an_instrument()}
    for quantity, expected in (("0.001", {BTC}), ("-0.001", {BTC}), ("0.0009", set()), ("0", set())):
        account = watched(holdings={BTC: Holding(Decimal(quantity))})
        assert concerned([account], instruments) == expected
    assert concerned([watched(holdings={}, working=frozenset({BTC}))], instruments) == {BTC}
    assert concerned([watched(holdings={ETH: Holding(Decimal("0.0001"))})], instruments) == {ETH}


def test_a_price_is_fresh_for_as_long_as_its_instrument_says() -> None:
    instruments = {BTC: an_instrument()}
    for age, expected in ((timedelta(seconds=2), {BTC: Decimal(100)}), (timedelta(seconds=2, microseconds=1), {})):
        assert fresh_prices({BTC: a_quote(age=age)}, instruments, NOW) == expected


def test_the_same_instrument_elsewhere_is_a_second_source() -> None:
    assert twins([BTC, ETH], [BTC, ETH, KRAKEN_BTC]) == {BTC: (KRAKEN_BTC,), ETH: ()}


@pytest.mark.parametrize(
    ("fill_age", "other"),
    [(None, "103"), (timedelta(seconds=5), "98"), (timedelta(seconds=5, microseconds=1), "103")],
)
def test_the_other_price_is_our_venues_last_fill_or_else_another_market(fill_age: Any, other: str) -> None:
    instruments = {BTC: an_instrument(), KRAKEN_BTC: an_instrument(instrument_id=KRAKEN_BTC, market="kraken")}
    quotes = {BTC: a_quote(), KRAKEN_BTC: a_quote(KRAKEN_BTC, "103")}
    fills = {} if fill_age is None else {BTC: (Decimal(98), NOW - fill_age)}
    (view,) = market_views([BTC], instruments, quotes, fills=fills, recent=RecentPrices(), now=NOW)
    assert (view.price, view.other_price, view.newest_at) == (Decimal(100), Decimal(other), NOW)


def test_an_instrument_that_is_listed_no_more_has_a_gap_and_no_price() -> None:
    (view,) = market_views([BTC], {}, {}, fills={}, recent=RecentPrices(), now=NOW)
    assert (view.newest_at, view.price, view.other_price, view.is_open) == (None, None, None, True)


@pytest.mark.parametrize(("fill", "nearest"), [("95", "98"), ("98", "98"), ("99.5", "99.5"), ("101", "100")])
def test_a_fill_is_held_against_the_prices_of_its_own_time(fill: str, nearest: str) -> None:
    """A market that moved since is no mismatch."""
    instruments, recent = {BTC: an_instrument()}, RecentPrices()
    for second, last in enumerate(("100", "98", "99")):
        now = NOW + timedelta(seconds=second)
        quotes = {BTC: a_quote(last=last, at=now)}
        (view,) = market_views([BTC], instruments, quotes, fills={BTC: (Decimal(fill), NOW)}, recent=recent, now=now)
    assert (view.price, view.other_price) == (Decimal(nearest), Decimal(fill))


def test_prices_of_long_ago_are_forgotten() -> None:
    recent = RecentPrices()
    recent.note({BTC: Decimal(90)}, NOW)
    recent.note({BTC: Decimal(100)}, NOW + timedelta(seconds=8))
    assert recent.nearest(BTC, Decimal(80)) == 90
    recent.note({BTC: Decimal(100)}, NOW + timedelta(seconds=8) + A_MICROSECOND)
    assert recent.nearest(BTC, Decimal(80)) == 100
    recent.note({}, NOW + timedelta(minutes=1))
    assert recent.nearest(BTC, Decimal(80)) is None


@pytest.mark.parametrize(("opens", "is_open"), [("10:30:00", False), ("09:30:00", True)])
def test_when_a_market_trades_is_for_the_limits_of_those_to_say_that_are_concerned(opens: str, is_open: bool) -> None:
    session = {"utc_offset_min": 0, "opens": opens, "closes": "20:00:00", "weekdays": range(7), "holidays": ()}
    concerned_by = watched(limits=some_limits(market_sessions={"binance": session}))
    stranger = watched(holdings={}, limits=some_limits(market_sessions={"binance": {**session, "opens": "19:00:00"}}))
    (view,) = market_views(
        [BTC],
        {BTC: an_instrument()},
        {},
        fills={},
        recent=RecentPrices(),
        now=NOW,
        accounts=[concerned_by, stranger, watched(limits=None)],
    )
    assert view.is_open is is_open
    if is_open:
        assert view.began_at == NOW - timedelta(minutes=30)
