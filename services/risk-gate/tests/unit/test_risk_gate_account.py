"""Whether an account may trade at all, and what its orders have been doing: just under, at, and just over each limit."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import BTC, ETH, NOW, a_fill, a_quote, a_signal, a_situation, an_account, some_limits
from risk_gate_deciding import A_MICROSECOND, code_of, decide, failed

from risk_gate.domain.facts import (
    Beat,
    Facts,
    Fleet,
    Identity,
    Latch,
    Outcomes,
    Unknown,
    VenueState,
    ratio_stage,
    unknown_stage,
)
from risk_gate.domain.identity import at_first_sight
from risk_gate.domain.latching import latches_of
from risk_gate.domain.losses import Marks, loss_stage
from risk_gate.domain.post_trade import ApprovedOrder, fill_breach
from risk_gate.domain.situation import Book, Holding
from sigmax.schemas.orders import OrderDenied
from sigmax.schemas.types import DenialCode, OrderType, Scope, Side, Stage

HELD = Book(cash=Decimal(99_500), holdings={BTC: Holding(Decimal(5))}, own={BTC: Decimal(5)})


def with_facts(**facts: Any) -> Any:
    return decide(facts=Facts(**facts))


def exit_with(facts: Facts, **changes: Any) -> Any:
    return decide(a_signal(action="close"), book=HELD, facts=facts, **changes)


# Control 17: losses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marks", "code"),
    [
        (Marks(minute=Decimal("101010.10")), None),
        (Marks(minute=Decimal(100_000) / Decimal("0.99")), None),
        (Marks(minute=Decimal("101010.11")), DenialCode.LOSS_EXCEEDED),
        (Marks(day=Decimal("103092.78")), None),
        (Marks(day=Decimal("103092.79")), DenialCode.LOSS_EXCEEDED),
        (Marks(peak=Decimal("111111.11")), None),
        (Marks(peak=Decimal("111111.12")), DenialCode.LOSS_EXCEEDED),
        (Marks(minute=Decimal(90_000), day=Decimal(90_000), peak=Decimal(90_000)), None),
        (Marks(), None),
    ],
)
def test_losses_of_a_minute_a_day_and_from_the_peak_deny(marks: Marks, code: DenialCode | None) -> None:
    """Equity is 100 000: the limits are 1, 3, and 10 %."""
    assert code_of(with_facts(marks=marks)) is code


def test_a_loss_is_no_reason_to_keep_a_position() -> None:
    verdict = exit_with(Facts(marks=Marks(peak=Decimal(200_000))))
    assert code_of(verdict) is None
    assert "lowers exposure" in next(check.seen for check in verdict.checks if check.control == 17)


def test_a_fill_that_only_one_of_two_counts_has_is_no_loss() -> None:
    book = Book(cash=Decimal(50_000), cash_counted=Decimal(50_000), holdings={BTC: Holding(Decimal(500), Decimal(0))})
    situation = a_situation(book=book)
    assert book.equity(situation.prices) == 50_000
    assert book.counted_equity(situation.prices) == 100_000


@pytest.mark.parametrize(
    ("equity", "stage"),
    [("99000", None), ("98999.99", Stage.REDUCING), ("98000", Stage.REDUCING), ("97999.99", Stage.HALTED)],
)
def test_a_loss_brings_the_account_down_and_twice_the_limit_stops_it(equity: str, stage: Stage | None) -> None:
    found = loss_stage(Marks(minute=Decimal(100_000)), Decimal(equity), some_limits())
    assert (found and found[0]) is stage


# Control 18: streaks -----------------------------------------------------------------------------------------------


def stops(*minutes_ago: int) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(minutes=minutes) for minutes in minutes_ago)


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (stops(1), None),
        (stops(1, 2), None),
        (stops(1, 2, 3), DenialCode.LOSING_STREAK),
        (stops(1, 30, 59), DenialCode.LOSING_STREAK),
        (stops(1, 31, 61), None),
        (stops(59, 70, 80), DenialCode.LOSING_STREAK),
        (stops(60, 70, 80), None),
    ],
)
def test_more_than_two_stops_in_an_hour_lock_the_pair_for_an_hour(
    at: tuple[datetime, ...], code: DenialCode | None
) -> None:
    assert code_of(with_facts(stops=at)) is code


def test_a_locked_pair_is_latched_until_the_lock_ends_and_another_pair_is_not() -> None:
    situation = a_situation(facts=Facts(stops=stops(1, 2, 3)))
    denied = decide(facts=situation.facts)
    (latch,) = latches_of(a_signal(), denied, situation, NOW)
    assert (latch.scope, latch.scope_id, latch.expires_at) == (Scope.INSTRUMENT, BTC, NOW + timedelta(minutes=59))
    assert code_of(with_facts(latches=(latch,))) is DenialCode.LOSING_STREAK
    assert code_of(with_facts(latches=(replace(latch, scope_id=ETH),))) is None
    assert code_of(exit_with(Facts(latches=(latch,)))) is None


# Control 19: cancel and reject ratio -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ended", "unfilled", "stage", "code"),
    [
        (9, 9, None, None),
        (10, 5, None, None),
        (10, 6, Stage.CAUTION, None),
        (10, 8, Stage.CAUTION, None),
        (10, 9, Stage.CAUTION, DenialCode.CANCEL_RATIO_EXCEEDED),
    ],
)
def test_too_many_orders_that_end_with_nothing_filled(
    ended: int, unfilled: int, stage: Stage | None, code: DenialCode | None
) -> None:
    outcomes = Outcomes(ended, unfilled)
    found = ratio_stage(outcomes, some_limits())
    assert (found and found[0]) is stage
    assert code_of(with_facts(outcomes=outcomes)) is code
    assert code_of(exit_with(Facts(outcomes=outcomes))) is None


# Control 20: unknown submissions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unknown", "code", "stage"),
    [
        (Unknown(0, 0), None, None),
        (Unknown(1, 1), DenialCode.UNKNOWN_SUBMISSION, None),
        (Unknown(0, 1), None, None),
        (Unknown(0, 2), DenialCode.UNKNOWN_SUBMISSION, Stage.REDUCING),
    ],
)
def test_an_unknown_order_denies_its_instrument_and_two_of_them_the_account(
    unknown: Unknown, code: DenialCode | None, stage: Stage | None
) -> None:
    assert code_of(with_facts(unknown=unknown)) is code
    found = unknown_stage(unknown, some_limits())
    assert (found and found[0]) is stage
    assert code_of(exit_with(Facts(unknown=unknown))) is None


# Control 24: modes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"worker_venue": "paper", "worker_mode": "paper"}, None),
        ({"worker_venue": "paper", "worker_mode": "live"}, DenialCode.MODE_MISMATCH),
        ({"worker_venue": "binance", "worker_mode": "paper"}, DenialCode.MODE_MISMATCH),
    ],
)
def test_both_sides_mean_the_same_venue_and_mode(changes: dict[str, Any], code: DenialCode | None) -> None:
    assert code_of(decide(account=an_account(**changes))) is code
    verdict = exit_with(Facts(), account=an_account(**changes))
    assert code_of(verdict) is code


HOSTS, KEYS = ("api.binance.com", "api1.binance.com"), ("0123456789abcdef", "fedcba9876543210")
NAMED = some_limits(venue_hosts=HOSTS, venue_keys=KEYS)
AS_NAMED = Identity("paper", HOSTS[:1], KEYS[0])


def told_as(identity: Identity | None) -> Facts:
    return Facts(venue=VenueState("paper", True, None, Decimal(0), 0, NOW, identity=identity))


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        (AS_NAMED, None),
        (replace(AS_NAMED, hosts=HOSTS), None),
        (replace(AS_NAMED, key_fingerprint=KEYS[1]), None),
        (replace(AS_NAMED, mode="live"), DenialCode.MODE_MISMATCH),
        (replace(AS_NAMED, hosts=("testnet.binance.vision",)), DenialCode.MODE_MISMATCH),
        (replace(AS_NAMED, hosts=(*HOSTS, "testnet.binance.vision")), DenialCode.MODE_MISMATCH),
        (replace(AS_NAMED, hosts=()), DenialCode.MODE_MISMATCH),
        (replace(AS_NAMED, key_fingerprint="0" * 16), DenialCode.MODE_MISMATCH),
        (None, DenialCode.MODE_MISMATCH),
    ],
)
def test_order_worker_trades_with_a_host_and_a_key_that_were_named(
    identity: Identity | None, code: DenialCode | None
) -> None:
    assert code_of(decide(facts=told_as(identity), limits=NAMED)) is code
    # A sale with another's key sells another's holdings.
    assert code_of(exit_with(told_as(identity), limits=NAMED)) is code


@pytest.mark.parametrize(("mode", "code"), [("paper", None), ("live", DenialCode.MODE_MISMATCH)])
def test_before_anybody_said_or_named_a_host_and_a_key_only_a_paper_account_may_wait(
    mode: str, code: DenialCode | None
) -> None:
    account = an_account(mode=mode, worker_venue="paper", worker_mode=mode)
    found = fleet(0)
    assert code_of(decide(account=account, fleet=found)) is code
    assert code_of(decide(account=account, fleet=found, facts=told_as(None))) is code
    unnamed = told_as(replace(AS_NAMED, mode=mode))
    assert code_of(decide(account=account, fleet=found, facts=unnamed)) is DenialCode.MODE_MISMATCH


def test_a_paper_account_takes_the_first_host_and_key_that_it_is_told_and_no_other() -> None:
    found = at_first_sight(AS_NAMED, an_account(), some_limits(version=3))

    assert found == some_limits(version=4, venue_hosts=HOSTS[:1], venue_keys=KEYS[:1])
    assert at_first_sight(replace(AS_NAMED, mode="live"), an_account(), some_limits()) is None
    assert at_first_sight(replace(AS_NAMED, hosts=()), an_account(), some_limits()) is None
    assert at_first_sight(AS_NAMED, an_account(), some_limits(venue_hosts=HOSTS)) is None
    assert at_first_sight(AS_NAMED, an_account(), some_limits(venue_keys=KEYS)) is None
    assert at_first_sight(replace(AS_NAMED, mode="live"), an_account(mode="live"), some_limits()) is None


# Control 26: the venue ---------------------------------------------------------------------------------------------


def venue(**changes: Any) -> VenueState:
    state = VenueState("paper", True, None, Decimal(0), 0, NOW)
    return replace(state, **changes)


OLD_BOOKS = an_account(reconciled_at=NOW - timedelta(seconds=110))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (venue(as_of=NOW - timedelta(seconds=60) + A_MICROSECOND), None),
        (venue(as_of=NOW - timedelta(seconds=60)), None),
        (venue(as_of=NOW - timedelta(seconds=60) - A_MICROSECOND), DenialCode.VENUE_SILENT),
        (venue(is_answering=False, failing_since=NOW - timedelta(seconds=30)), None),
        (venue(is_answering=False, failing_since=NOW - timedelta(seconds=31)), DenialCode.VENUE_SILENT),
        (None, None),
    ],
)
def test_a_venue_may_be_silent_for_a_minute_and_fail_for_half_of_one(
    state: VenueState | None, code: DenialCode | None
) -> None:
    assert code_of(decide(account=OLD_BOOKS, facts=Facts(venue=state))) is code
    assert code_of(exit_with(Facts(venue=state), account=OLD_BOOKS)) is None


def test_a_reconciliation_is_a_sign_of_life_of_a_venue_that_nobody_says_to_fail() -> None:
    silent = venue(as_of=NOW - timedelta(seconds=100))
    assert code_of(decide(facts=Facts(venue=silent))) is None
    # Questions may be answered, and submits not.
    failing = venue(is_answering=False, failing_since=NOW - timedelta(seconds=100))
    assert code_of(decide(facts=Facts(venue=failing))) is DenialCode.VENUE_SILENT


@pytest.mark.parametrize(("failed_s", "code"), [(29, None), (30, None), (30.001, DenialCode.VENUE_SILENT)])
def test_while_a_venue_recovers_no_more_time_counts_against_it(failed_s: float, code: DenialCode | None) -> None:
    since = NOW - timedelta(seconds=50)
    state = venue(is_answering=False, failing_since=since, recovering_since=since + timedelta(seconds=failed_s))
    assert code_of(decide(facts=Facts(venue=state))) is code
    unheard = replace(state, as_of=NOW - timedelta(seconds=31))
    assert code_of(decide(facts=Facts(venue=unheard))) is DenialCode.VENUE_SILENT


@pytest.mark.parametrize(
    ("gap_ms", "code"),
    [("499.9", None), ("500", None), ("-500", None), ("500.1", DenialCode.CLOCK_OFF), ("-500.1", DenialCode.CLOCK_OFF)],
)
def test_clocks_may_differ_by_half_a_second(gap_ms: str, code: DenialCode | None) -> None:
    facts = Facts(venue=venue(clock_gap_ms=Decimal(gap_ms)))
    assert code_of(decide(facts=facts)) is code
    assert code_of(exit_with(facts)) is code


# Control 28: fills -------------------------------------------------------------------------------------------------

APPROVED = ApprovedOrder("order", "paper", BTC, Side.BUY, Decimal(10), Decimal(100), OrderType.LIMIT, Decimal(4))


@pytest.mark.parametrize(
    ("quantity", "changes", "is_broken"),
    [
        ("5.999", {}, False),
        ("6", {}, False),
        ("6.001", {}, True),
        ("1", {"price": "99.99"}, False),
        ("1", {"price": "100"}, False),
        ("1", {"price": "100.01"}, True),
        ("1", {"side": "sell"}, True),
        ("1", {"instrument_id": ETH}, True),
        ("1", {"account_id": "other"}, True),
    ],
)
def test_a_fill_stays_within_its_approval(quantity: str, changes: dict[str, Any], is_broken: bool) -> None:
    breach = fill_breach(a_fill("1", quantity, **changes), APPROVED, Decimal(0))
    assert (breach is not None) is is_broken


def test_a_fill_of_an_order_that_nobody_approved_is_a_breach() -> None:
    assert "no order" in (fill_breach(a_fill("1", "1"), None, Decimal(0)) or "")


@pytest.mark.parametrize(("price", "is_broken"), [("99.01", False), ("99", False), ("98.99", True)])
def test_a_sale_may_be_better_than_its_limit_and_worse_by_the_tolerance(price: str, is_broken: bool) -> None:
    sale = replace(APPROVED, side=Side.SELL)
    breach = fill_breach(a_fill("1", "1", side="sell", price=price), sale, Decimal(100))
    assert (breach is not None) is is_broken


def test_what_ends_at_the_market_has_no_limit_to_break() -> None:
    order = replace(APPROVED, order_type=OrderType.MARKET)
    assert fill_breach(a_fill("1", "1", price="150"), order, Decimal(0)) is None


def test_an_unexplained_fill_keeps_the_account_from_adding_until_it_is_released() -> None:
    latch = Latch(Scope.ACCOUNT, "paper", DenialCode.FILL_UNEXPLAINED, "a fill too many")
    verdict = with_facts(latches=(latch,))
    assert code_of(verdict) is DenialCode.FILL_UNEXPLAINED
    assert failed(verdict).seen == "a fill too many"
    assert code_of(with_facts(latches=(replace(latch, scope_id="other"),))) is None
    assert code_of(exit_with(Facts(latches=(latch,)))) is None


# Controls 29 and 30: the fleet -------------------------------------------------------------------------------------


def fleet(age_s: float, *, is_ready: bool = True, versions: tuple[str, ...] = ("1",)) -> Fleet:
    at = NOW - timedelta(seconds=age_s)
    return Fleet(tuple(Beat("notifier", version, is_ready, at) for version in versions))


TOLD = some_limits(alerting_required=True)
LIVE = an_account(mode="live", worker_venue="paper", worker_mode="live")
LIVE_AS_NAMED = told_as(replace(AS_NAMED, mode="live"))


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (fleet(14.999), None),
        (fleet(15), None),
        (fleet(15.001), DenialCode.ALERTING_DOWN),
        (fleet(0, is_ready=False), DenialCode.ALERTING_DOWN),
        (Fleet(), DenialCode.ALERTING_DOWN),
        (None, DenialCode.ALERTING_DOWN),
    ],
)
def test_somebody_must_be_there_to_be_told(seen: Fleet | None, code: DenialCode | None) -> None:
    assert code_of(decide(fleet=seen, limits=TOLD)) is code
    assert code_of(exit_with(Facts(), fleet=seen, limits=TOLD)) is None


def test_a_paper_account_may_do_without_and_a_live_one_never() -> None:
    assert code_of(decide(fleet=None)) is None
    assert code_of(decide(fleet=None, account=LIVE, limits=NAMED, facts=LIVE_AS_NAMED)) is DenialCode.BUILD_MIXED
    assert code_of(decide(fleet=fleet(16), account=LIVE, limits=NAMED, facts=LIVE_AS_NAMED)) is DenialCode.BUILD_MIXED
    unheard = Fleet((Beat("risk-gate", "1", True, NOW),))
    assert code_of(decide(fleet=unheard, account=LIVE, limits=NAMED, facts=LIVE_AS_NAMED)) is DenialCode.ALERTING_DOWN


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (fleet(0), None),
        (fleet(0, versions=("1", "2")), DenialCode.BUILD_MIXED),
        (Fleet((Beat("notifier", "2", True, NOW), *fleet(15.001, versions=("1",)).beats)), None),
        (Fleet((Beat("notifier", "2", True, NOW), *fleet(15, versions=("1",)).beats)), DenialCode.BUILD_MIXED),
    ],
)
def test_a_mixed_fleet_does_not_trade_live(seen: Fleet, code: DenialCode | None) -> None:
    assert code_of(decide(fleet=seen, account=LIVE, limits=NAMED, facts=LIVE_AS_NAMED)) is code
    assert code_of(decide(fleet=seen)) is None
    assert code_of(decide(fleet=seen, limits=some_limits(single_build_required=True))) is code
    assert code_of(exit_with(LIVE_AS_NAMED, fleet=seen, account=LIVE, limits=NAMED)) is None


# Control 27: limits ------------------------------------------------------------------------------------------------


def test_the_version_of_the_limits_is_in_the_verdict() -> None:
    verdict = decide(limits=some_limits(version=7))
    assert next(check.seen for check in verdict.checks if check.control == 27) == "version 7"


def test_nothing_is_latched_by_a_denial_for_another_reason() -> None:
    situation = a_situation(quotes={BTC: a_quote(age=timedelta(seconds=3))})
    denied = decide(quotes=situation.quotes)
    assert isinstance(denied, OrderDenied)
    assert latches_of(a_signal(), denied, situation, NOW) == []
