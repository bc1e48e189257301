"""The failure ladder in virtual time: every rung just under, at, and just over."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import BTC, ETH, NOW

from risk_gate.domain.facts import VenueState
from risk_gate.domain.ladder import Fault, LadderRule, MarketView, Rung, Step, View, climbed, eased, rungs
from sigmax.schemas.types import Scope, Stage

RULE = LadderRule()
LONG_AGO = NOW - timedelta(hours=1)
A_MICROSECOND = timedelta(microseconds=1)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def a_venue(failing: timedelta | None = None, as_of: datetime = NOW, venue: str = "paper") -> VenueState:
    since = None if failing is None else NOW - failing
    return VenueState(venue, failing is None, since, Decimal(0), 0, as_of)


def a_market(gap: timedelta = timedelta(0), **changes: Any) -> MarketView:
    fields: dict[str, Any] = {
        "instrument_id": BTC,
        "price_age_max_s": Decimal(2),
        "newest_at": NOW - gap,
        "price": Decimal(100),
    }
    return MarketView(**(fields | changes))


def a_view(*markets: MarketView, **changes: Any) -> View:
    fields: dict[str, Any] = {
        "watching_since": LONG_AGO,
        "venues": {"paper": a_venue()},
        "markets": markets,
        "feed_newest_at": NOW,
        "feed_size": 2,
    }
    return View(**(fields | changes))


def the_rung(view: View, rule: LadderRule = RULE) -> Rung | None:
    found = rungs(view, rule, NOW)
    assert len(found) <= 1
    return found[0] if found else None


def test_nothing_is_wrong_in_a_quiet_hour() -> None:
    assert rungs(a_view(a_market()), RULE, NOW) == ()


# The venue -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failing_s", "step", "stage"),
    [
        (0, 0, None),
        (4.999999, 0, None),
        (5, 1, None),
        (29.999999, 1, None),
        (30, 2, Stage.CAUTION),
        (299.999999, 2, Stage.CAUTION),
        (300, 3, Stage.REDUCING),
        (86_400, 3, Stage.REDUCING),
    ],
)
def test_a_venue_that_does_not_answer_falls_in_three_steps(failing_s: float, step: int, stage: Stage | None) -> None:
    rung = the_rung(a_view(venues={"paper": a_venue(seconds(failing_s))}))
    assert (rung.step if rung else 0) == step
    if rung:
        assert (rung.fault, rung.scope, rung.scope_id, rung.stage) == (
            Fault.VENUE_FAILING,
            Scope.VENUE,
            "paper",
            stage,
        )
        assert rung.liquidates is (step == 3)
        assert not rung.cancels


def test_the_first_step_says_how_old_data_may_be() -> None:
    rung = the_rung(a_view(venues={"paper": a_venue(seconds(5))}))
    assert rung is not None
    assert "nothing older than 30 s" in rung.text


def test_a_venue_that_answers_again_is_on_no_rung() -> None:
    assert the_rung(a_view(venues={"paper": a_venue()})) is None


@pytest.mark.parametrize(
    ("failed_s", "step"), [(4.999999, 0), (5, 1), (29.999999, 1), (30, 2), (299.999999, 2), (300, 3)]
)
def test_while_a_venue_recovers_it_climbs_no_further(failed_s: float, step: int) -> None:
    since = NOW - timedelta(hours=1)
    state = replace(a_venue(timedelta(hours=1)), recovering_since=since + seconds(failed_s))
    rung = the_rung(a_view(venues={"paper": state}))
    assert (rung.step if rung else 0) == step


@pytest.mark.parametrize(
    ("until_s", "step"),
    [(60, 0), (0, 0), (-4.999999, 0), (-5, 1), (-30, 2), (-300, 3)],
)
def test_announced_maintenance_is_no_fault_and_counts_from_its_end(until_s: float, step: int) -> None:
    until = {"paper": NOW + seconds(until_s)}
    view = a_view(venues={"paper": a_venue(timedelta(hours=1))}, worked_on_until=until)
    rung = the_rung(view)
    assert (rung.step if rung else 0) == step


@pytest.mark.parametrize(("until_s", "is_silent"), [(60, False), (-59.999999, False), (-60, True)])
def test_nobody_takes_orders_back_for_a_silence_in_announced_maintenance(until_s: float, is_silent: bool) -> None:
    until = {"paper": NOW + seconds(until_s)}
    view = a_view(venues={"paper": a_venue(as_of=NOW - timedelta(hours=1))}, worked_on_until=until)
    assert (the_rung(view) is not None) is is_silent


@pytest.mark.parametrize(
    ("opened_s", "step"), [(33, 0), (33.000001, 1), (40, 1), (40.000001, 2), (60, 2), (60.000001, 3)]
)
def test_a_night_is_no_gap_the_first_price_of_the_day_may_take_a_while(opened_s: float, step: int) -> None:
    night = timedelta(hours=17)
    market = a_market(night, began_at=NOW - seconds(opened_s))
    rung = the_rung(a_view(market, feed_newest_at=NOW - night))
    assert (rung.step if rung else 0) == step


@pytest.mark.parametrize(("other_s", "step"), [(None, 0), (4, 0), (5, 1), (30, 2), (300, 3)])
def test_the_platform_falls_with_the_mildest_of_its_failing_venues(other_s: float | None, step: int) -> None:
    other = a_venue(None if other_s is None else seconds(other_s), venue="other")
    found = rungs(a_view(venues={"paper": a_venue(seconds(301)), "other": other}), RULE, NOW)
    platform = [rung for rung in found if rung.scope is Scope.GLOBAL]
    assert [rung.step for rung in platform] == ([step] if step else [])


@pytest.mark.parametrize(
    ("silent", "is_silent"), [(seconds(59.999999), False), (seconds(60), True), (seconds(3600), True)]
)
def test_a_venue_nobody_tells_of_loses_its_working_orders(silent: timedelta, is_silent: bool) -> None:
    rung = the_rung(a_view(venues={"paper": a_venue(as_of=NOW - silent)}))
    assert (rung is not None) is is_silent
    if rung:
        assert (rung.fault, rung.stage, rung.cancels) == (Fault.VENUE_SILENT, Stage.CAUTION, True)


@pytest.mark.parametrize("state", [None, a_venue(as_of=NOW - timedelta(days=1))])
@pytest.mark.parametrize(("watched_s", "is_silent"), [(59.999999, False), (60, True)])
def test_silence_counts_from_when_somebody_listens(state: Any, watched_s: float, is_silent: bool) -> None:
    view = a_view(venues={"paper": state}, watching_since=NOW - seconds(watched_s))
    assert (the_rung(view) is not None) is is_silent


# The feed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "step"),
    [
        (timedelta(0), 0),
        (seconds(3), 0),
        (seconds(3) + A_MICROSECOND, 1),
        (seconds(10), 1),
        (seconds(10) + A_MICROSECOND, 2),
        (seconds(30), 2),
        (seconds(30) + A_MICROSECOND, 3),
    ],
)
def test_a_gap_in_the_feed_of_what_is_held_falls_in_three_steps(gap: timedelta, step: int) -> None:
    rung = the_rung(a_view(a_market(gap), feed_size=1))
    assert (rung.step if rung else 0) == step
    if rung:
        assert (rung.fault, rung.scope, rung.scope_id) == (Fault.FEED_GAP, Scope.INSTRUMENT, BTC)
        assert rung.stage is (None, Stage.REDUCING, Stage.HALTED)[step - 1]
        assert rung.cancels is (step >= 2)
        assert rung.liquidates is (step == 2)


@pytest.mark.parametrize(("gap_s", "stage"), [(10, None), (10.1, Stage.CAUTION), (30.1, Stage.REDUCING)])
def test_one_that_is_quiet_while_others_trade_is_neither_sold_nor_halted(gap_s: float, stage: Stage | None) -> None:
    rung = the_rung(a_view(a_market(seconds(gap_s)), feed_size=2))
    assert rung is not None
    assert (rung.scope, rung.stage, rung.liquidates) == (Scope.INSTRUMENT, stage, False)
    assert rung.cancels is (stage is not None)


def test_nothing_is_sold_where_the_setting_says_so() -> None:
    rule = LadderRule(liquidates=False)
    rung = the_rung(a_view(a_market(seconds(11)), feed_size=1), rule)
    assert rung is not None
    assert (rung.stage, rung.cancels, rung.liquidates) == (Stage.REDUCING, True, False)
    failing = the_rung(a_view(venues={"paper": a_venue(seconds(300))}), rule)
    assert failing is not None
    assert (failing.stage, failing.liquidates) == (Stage.REDUCING, False)


@pytest.mark.parametrize(
    ("price_age_max_s", "gaps"),
    [
        ("2", (3, 10, 30)),
        ("5", (5, 10, 30)),
        ("10", (10, 17, 30)),
        ("30", (30, 37, 57)),
        ("600", (600, 607, 627)),
    ],
)
def test_a_recording_of_bars_is_no_outage(price_age_max_s: str, gaps: tuple[int, ...]) -> None:
    assert RULE.gaps_s(Decimal(price_age_max_s)) == gaps
    for step, gap_s in enumerate(gaps):
        for gap, expected in ((seconds(gap_s), step), (seconds(gap_s) + A_MICROSECOND, step + 1)):
            rung = the_rung(a_view(a_market(gap, price_age_max_s=Decimal(price_age_max_s))))
            assert (rung.step if rung else 0) == expected


def test_a_recording_that_is_played_fast_has_its_nights() -> None:
    rule = LadderRule(gap_floor_s=Decimal(3600))
    assert rule.gaps_s(Decimal(2)) == (3600, 3607, 3627)
    for gap_s, step in ((31, 0), (3600, 0), (3601, 1)):
        rung = the_rung(a_view(a_market(seconds(gap_s)), watching_since=NOW - timedelta(days=1)), rule)
        assert (rung.step if rung else 0) == step


def test_a_closed_market_is_silent_by_right() -> None:
    assert the_rung(a_view(a_market(seconds(3600), is_open=False))) is None


def test_the_silence_of_what_nobody_holds_harms_nobody() -> None:
    assert the_rung(a_view(feed_newest_at=NOW - seconds(3600))) is None


@pytest.mark.parametrize(
    ("whole_s", "scope", "step"), [(3, Scope.INSTRUMENT, 3), (4, Scope.GLOBAL, 1), (31, Scope.GLOBAL, 3)]
)
def test_the_silence_of_the_whole_feed_is_the_platforms(whole_s: float, scope: Scope, step: int) -> None:
    rung = the_rung(a_view(a_market(seconds(31)), feed_newest_at=NOW - seconds(whole_s)))
    assert rung is not None
    assert (rung.scope, rung.step) == (scope, step)


def test_a_feed_of_one_instrument_falls_by_the_instrument_alone() -> None:
    rung = the_rung(a_view(a_market(seconds(31)), feed_newest_at=NOW - seconds(31), feed_size=1))
    assert rung is not None
    assert rung.scope is Scope.INSTRUMENT


@pytest.mark.parametrize("newest_at", [None, LONG_AGO])
@pytest.mark.parametrize(("watched_s", "step"), [(33, 0), (33.1, 1), (40, 1), (40.1, 2), (60.1, 3)])
def test_after_a_start_the_feed_has_half_a_minute_to_come(newest_at: Any, watched_s: float, step: int) -> None:
    view = a_view(a_market(newest_at=newest_at), watching_since=NOW - seconds(watched_s), feed_newest_at=NOW)
    rung = the_rung(view)
    assert (rung.step if rung else 0) == step


# Prices --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "step"),
    [
        ("100", 0),
        ("100.499999", 0),
        ("99.500001", 0),
        ("100.5", 1),
        ("99.5", 1),
        ("102", 1),
        ("98", 1),
        ("102.000001", 2),
        ("97.999999", 2),
    ],
)
def test_prices_that_differ_are_ignored_asked_about_or_halt_the_instrument(other: str, step: int) -> None:
    rung = the_rung(a_view(a_market(other_price=Decimal(other), other_name="elsewhere")))
    assert (rung.step if rung else 0) == step
    if rung:
        assert (rung.fault, rung.scope, rung.scope_id) == (Fault.PRICE_MISMATCH, Scope.INSTRUMENT, BTC)
        assert rung.stage is (None if step == 1 else Stage.HALTED)
        assert rung.cancels is (step == 2)
        assert ("Ask the verifier again" in rung.text) is (step == 1)


@pytest.mark.parametrize("changes", [{"price": None, "other_price": Decimal(1)}, {"other_price": None}])
def test_a_price_that_is_not_there_differs_from_nothing(changes: dict[str, Any]) -> None:
    assert the_rung(a_view(a_market(**changes))) is None


# From rung to rung -------------------------------------------------------------------------------------------------------


def a_rung(step: int, scope_id: str = BTC) -> Rung:
    return Rung(Fault.FEED_GAP, Scope.INSTRUMENT, scope_id, step, "")


def a_step(step: int, scope_id: str = BTC) -> Step:
    return Step("feed_gap", "instrument", scope_id, step)


@pytest.mark.parametrize(
    ("recorded", "now", "climbs", "eases"),
    [(0, 1, True, False), (1, 1, False, False), (1, 3, True, False), (3, 1, False, True), (3, 0, False, True)],
)
def test_one_acts_on_what_climbs_and_tells_what_eases(recorded: int, now: int, climbs: bool, eases: bool) -> None:
    found = [a_rung(now)] if now else []
    known = [a_step(recorded)] if recorded else []
    assert bool(climbed(found, known)) is climbs
    assert bool(eased(found, known)) is eases


def test_each_fault_of_each_scope_climbs_for_itself() -> None:
    found = [a_rung(2), a_rung(1, ETH)]
    assert climbed(found, [a_step(2)]) == (a_rung(1, ETH),)
    assert eased([a_rung(1, ETH)], [a_step(2), a_step(1, ETH), a_step(0, "x")]) == ((a_step(2), None),)


def test_a_fault_climbs_every_rung_once_in_its_time() -> None:
    """A venue fails for ten minutes, looked at every second: three steps, each acted on once."""
    known: list[Step] = []
    acted = []
    for second in range(601):
        found = rungs(a_view(venues={"paper": a_venue(seconds(second))}), RULE, NOW)
        for rung in climbed(found, known):
            acted.append((second, rung.step))
            known = [Step(rung.fault, rung.scope, rung.scope_id, rung.step)]
    assert acted == [(5, 1), (30, 2), (300, 3)]
