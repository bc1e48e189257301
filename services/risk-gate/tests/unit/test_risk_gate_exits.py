"""When a position is closed without anybody asking, and what an exit does next."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk_gate_builders import ETH, NOW
from risk_gate_exit_builders import (
    A_SECOND,
    a_protection,
    a_resting_stop,
    an_open_sale,
    some_ticks,
)

from risk_gate.domain import protection as protections
from risk_gate.domain.exits import (
    TICK_AGE_MAX_NS,
    ExitPolicy,
    ExitRules,
    RestingWish,
    Seen,
    Step,
    asks_first,
    exit_kind,
    gives_up,
    is_news,
    next_step,
    resting_step,
)
from risk_gate.domain.protection import ProtectionState
from risk_gate.domain.watch import Watch
from sigmax.schemas.market import nanoseconds
from sigmax.schemas.types import ExitKind, Side

RULES = ExitRules()
NOW_NS = nanoseconds(NOW)
PRICES = st.decimals(min_value="0.01", max_value="100000", places=2)


# Levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "kind"),
    [
        ("98.01", None),
        ("98", ExitKind.STOP_LOSS),
        ("97.99", ExitKind.STOP_LOSS),
        ("0.01", ExitKind.STOP_LOSS),
        ("103.99", None),
        ("104", ExitKind.TAKE_PROFIT),
        ("999", ExitKind.TAKE_PROFIT),
    ],
)
def test_a_level_fires_at_it_and_beyond_it_and_not_before(price: str, kind: ExitKind | None) -> None:
    assert exit_kind(a_protection(), Decimal(price), NOW) is kind


@pytest.mark.parametrize(("price", "kind"), [("104.51", None), ("104.50", ExitKind.TRAILING_STOP)])
def test_a_trailing_stop_fires_so_far_below_the_best_price(price: str, kind: ExitKind | None) -> None:
    known = a_protection(best_price=Decimal(110), trailing_pct=Decimal(5), target_price=Decimal(200))
    assert exit_kind(known, Decimal(price), NOW) is kind


@pytest.mark.parametrize(("seconds", "kind"), [(59.999, None), (60, ExitKind.TIME_STOP), (61, ExitKind.TIME_STOP)])
def test_a_time_stop_goes_by_the_clock_and_not_by_the_price(seconds: float, kind: ExitKind | None) -> None:
    known = a_protection(closes_at=NOW + timedelta(seconds=60))
    assert exit_kind(known, Decimal(101), NOW + timedelta(seconds=seconds)) is kind


@pytest.mark.parametrize("state", [ProtectionState.ASKING, ProtectionState.EXITING, ProtectionState.CLOSED])
def test_a_position_that_is_being_closed_fires_no_second_time(state: ProtectionState) -> None:
    assert exit_kind(a_protection(state=state), Decimal(1), NOW) is None


def test_a_price_that_is_none_fires_nothing() -> None:
    assert exit_kind(a_protection(), Decimal(0), NOW) is None
    assert exit_kind(a_protection(), Decimal(-1), NOW) is None


@given(price=PRICES, stop=PRICES, target=PRICES, best=PRICES, trailing=st.none() | st.decimals(0, 100, places=1))
def test_a_price_fires_at_most_one_kind_and_only_one_whose_level_it_reached(
    price: Decimal, stop: Decimal, target: Decimal, best: Decimal, trailing: Decimal | None
) -> None:
    known = a_protection(stop_price=stop, target_price=target, best_price=best, trailing_pct=trailing)
    kind = exit_kind(known, price, NOW)
    trail = known.trailing_price
    reached = {
        ExitKind.STOP_LOSS: price <= stop,
        ExitKind.TRAILING_STOP: trail is not None and price <= trail,
        ExitKind.TAKE_PROFIT: price >= target,
    }
    assert (kind is None) == (not any(reached.values()))
    assert kind is None or reached[kind]
    assert kind is ExitKind.STOP_LOSS or not reached[ExitKind.STOP_LOSS]


# Ticks -------------------------------------------------------------------------------------------------------------


@given(st.lists(PRICES, min_size=1, max_size=30), st.decimals("0.1", 50, places=1))
def test_a_trailing_stop_never_moves_down(prices: list[Decimal], trailing: Decimal) -> None:
    watch = Watch()
    watch.keep(a_protection(trailing_pct=trailing))
    levels = [watch.protections[0].trailing_price or Decimal(0)]
    for number, price in enumerate(prices):
        watch.hold(some_ticks(str(price), at=NOW + number * A_SECOND / 1000, first=number + 1), NOW_NS + 10**9)
        levels.append(watch.protections[0].trailing_price or Decimal(0))
    assert levels == sorted(levels)
    assert watch.protections[0].best_price == max(Decimal(100), *prices)


@pytest.mark.parametrize(
    ("age_ns", "is_usable"),
    [(0, True), (TICK_AGE_MAX_NS, True), (TICK_AGE_MAX_NS + 1, False), (-1_000_000_000, True), (-1_000_000_001, False)],
)
def test_a_tick_that_is_old_or_from_the_future_tells_nothing(age_ns: int, is_usable: bool) -> None:
    assert is_news(None, NOW_NS - age_ns, 1, NOW_NS) is is_usable


@pytest.mark.parametrize(
    ("received", "sequence", "is_usable"), [(10, 5, False), (10, 4, False), (9, 6, False), (10, 6, True), (11, 1, True)]
)
def test_a_tick_that_was_seen_or_overtaken_tells_nothing(received: int, sequence: int, is_usable: bool) -> None:
    seen = Seen(NOW_NS + 10, 5, Decimal(1))
    assert is_news(seen, NOW_NS + received, sequence, NOW_NS) is is_usable


def test_stale_ticks_fire_nothing() -> None:
    watch = Watch()
    watch.keep(a_protection())
    old = NOW - timedelta(seconds=2.1)
    assert watch.hold(some_ticks("90", at=old), NOW_NS) == []
    assert watch.hold(some_ticks("100", first=2), NOW_NS) == []
    assert watch.hold(some_ticks("90", at=NOW - A_SECOND), NOW_NS) == []
    (hit,) = watch.hold(some_ticks("90", at=NOW + A_SECOND / 2, first=3), NOW_NS)
    assert (hit.price, hit.received_ns) == (Decimal("90.00"), NOW_NS + 500_000_000)


def test_a_dip_within_a_batch_fires_with_the_tick_that_reached_the_level() -> None:
    watch = Watch()
    watch.keep(a_protection())
    (hit,) = watch.hold(some_ticks("99", "97.5", "97", "101"), NOW_NS)
    assert (hit.price, hit.received_ns) == (Decimal("97.50"), NOW_NS + 1)


def test_prices_of_what_is_not_held_are_not_looked_at() -> None:
    watch = Watch()
    watch.keep(a_protection())
    assert watch.hold(some_ticks("1", instrument_id=ETH), NOW_NS) == []


# The copy in memory ------------------------------------------------------------------------------------------------


def test_what_was_kept_after_a_read_began_stands_against_it() -> None:
    watch, before = Watch(), a_protection()
    mark = watch.mark()
    after = replace(before, quantity=Decimal(2), version=2)
    watch.keep(after)
    watch.replace([before], mark)
    assert watch.protections == [after]
    watch.replace([], mark)
    assert watch.protections == [after]
    watch.replace([], watch.mark())
    assert watch.protections == []


def test_a_read_keeps_the_best_price_that_memory_has_seen() -> None:
    watch = Watch()
    watch.keep(a_protection())
    watch.hold(some_ticks("103"), NOW_NS)
    watch.replace([a_protection(version=2)], watch.mark())
    (known,) = watch.protections
    assert (known.version, known.best_price) == (2, Decimal("103.00"))
    assert [each.best_price for each in watch.risen()] == [Decimal("103.00")]
    watch.replace([a_protection(version=2, best_price=Decimal(103))], watch.mark())
    assert watch.risen() == []


def test_an_older_copy_never_replaces_a_newer_one_and_a_closed_one_is_forgotten() -> None:
    watch = Watch()
    watch.keep(a_protection(version=3))
    watch.keep(a_protection(version=2, quantity=Decimal(9)))
    assert watch.protections[0].version == 3
    watch.keep(protections.closed(a_protection(version=3)))
    assert watch.protections == []


# What comes next ---------------------------------------------------------------------------------------------------


def exiting(**changes: object) -> protections.Protection:
    return replace(protections.exiting(a_protection(), ExitKind.STOP_LOSS, Decimal(97)), **changes)  # type: ignore[arg-type]


def test_with_nothing_in_its_way_an_exit_sells() -> None:
    assert next_step(exiting(), [], NOW, RULES) is Step.SELL


def test_an_exit_waits_between_attempts() -> None:
    known = protections.attempted(exiting(), NOW, refusal="", retry=RULES.retry)
    assert next_step(known, [], NOW + timedelta(seconds=1.999), RULES) is Step.WAIT
    assert next_step(known, [], NOW + timedelta(seconds=2), RULES) is Step.SELL


def test_a_resting_stop_and_buys_leave_the_venue_before_an_exit_sells() -> None:
    for order in (a_resting_stop(), an_open_sale(side=Side.BUY)):
        assert next_step(exiting(), [order], NOW, RULES) is Step.CANCEL
        asked = replace(order, cancel_asked_at=NOW)
        assert next_step(exiting(), [asked], NOW + timedelta(seconds=4.999), RULES) is Step.WAIT


def test_a_hung_cancel_blocks_only_what_it_may_still_sell() -> None:
    hung = a_resting_stop(cancel_asked_at=NOW, leaves_quantity=Decimal("0.4"))
    late = NOW + RULES.cancel_bound
    assert next_step(exiting(), [hung], late, RULES) is Step.SELL
    assert next_step(exiting(), [replace(hung, leaves_quantity=Decimal(1))], late, RULES) is Step.STUCK


def test_an_exit_waits_for_another_sale_of_the_position() -> None:
    assert next_step(exiting(), [an_open_sale()], NOW + A_SECOND, RULES) is Step.WAIT
    assert next_step(exiting(), [an_open_sale()], NOW + RULES.cancel_bound, RULES) is Step.STUCK


def test_only_a_profit_that_is_gone_is_given_up() -> None:
    profit = protections.exiting(a_protection(), ExitKind.TAKE_PROFIT, Decimal(104))
    assert gives_up(profit, Decimal("103.99"))
    assert not gives_up(profit, Decimal(104))
    assert not gives_up(exiting(), Decimal(101))


@given(st.integers(min_value=0, max_value=60), st.decimals("0.5", 30, places=1))
def test_attempts_are_bounded_whatever_happens(denials: int, retry_s: Decimal) -> None:
    retry = timedelta(seconds=float(retry_s))
    wait = protections.retry_after(denials, retry)
    assert retry <= wait <= max(timedelta(seconds=30), retry)
    assert wait >= protections.retry_after(max(denials - 1, 0), retry)
    # From the fifth on each waits twice as long as the one before: a minute holds few.
    assert denials < 9 or wait >= min(timedelta(seconds=16) * float(retry_s), timedelta(seconds=30))


# Resting stops -----------------------------------------------------------------------------------------------------

WISH = RestingWish(Decimal(1), Decimal(98))


def test_a_position_without_a_resting_stop_gets_one() -> None:
    assert resting_step(a_protection(), WISH, [], Decimal(100), NOW) is Step.REST


def test_a_resting_stop_that_fits_stays() -> None:
    assert resting_step(a_protection(), WISH, [a_resting_stop()], Decimal(100), NOW) is Step.WAIT


@pytest.mark.parametrize("wish", [RestingWish(Decimal(2), Decimal(98)), RestingWish(Decimal(1), Decimal(99))])
def test_a_resting_stop_for_another_quantity_or_price_is_taken_off_once(wish: RestingWish) -> None:
    assert resting_step(a_protection(), wish, [a_resting_stop()], Decimal(100), NOW) is Step.CANCEL
    asked = a_resting_stop(cancel_asked_at=NOW)
    assert resting_step(a_protection(), wish, [asked], Decimal(100), NOW) is Step.WAIT


def test_nothing_is_placed_while_the_position_still_grows() -> None:
    own = an_open_sale(side=Side.BUY)
    assert resting_step(a_protection(), WISH, [own], Decimal(100), NOW) is Step.WAIT
    assert resting_step(a_protection(), WISH, [replace(own, is_own=False)], Decimal(100), NOW) is Step.REST


def test_nothing_is_placed_at_or_above_the_market_or_without_a_price() -> None:
    assert resting_step(a_protection(), WISH, [], Decimal(98), NOW) is Step.WAIT
    assert resting_step(a_protection(), WISH, [], None, NOW) is Step.WAIT


def test_nothing_is_placed_while_the_position_is_closed_or_the_last_one_is_young() -> None:
    assert resting_step(exiting(), WISH, [], Decimal(100), NOW) is Step.WAIT
    known = protections.rested(a_protection(), NOW, A_SECOND)
    assert resting_step(known, WISH, [], Decimal(100), NOW) is Step.WAIT
    assert resting_step(known, WISH, [], Decimal(100), NOW + A_SECOND) is Step.REST


# The vote ----------------------------------------------------------------------------------------------------------


def test_only_the_policy_vote_asks_and_never_twice_about_one_kind() -> None:
    known = a_protection()
    assert not asks_first(known, ExitKind.STOP_LOSS, ExitPolicy.IMMEDIATE)
    assert asks_first(known, ExitKind.STOP_LOSS, ExitPolicy.VOTE)
    assert not asks_first(replace(known, spared=ExitKind.STOP_LOSS), ExitKind.STOP_LOSS, ExitPolicy.VOTE)


@pytest.mark.parametrize(
    ("kind", "changes", "step"),
    [
        (ExitKind.STOP_LOSS, {}, "97"),  # 98 less half of 2
        (ExitKind.TAKE_PROFIT, {}, "102"),  # 104 less half of 4
        (ExitKind.TRAILING_STOP, {"best_price": Decimal(103), "trailing_pct": Decimal(2)}, "99.91"),
        (ExitKind.TIME_STOP, {"closes_at": NOW}, "100"),  # 101, the price then, less half of 2
    ],
)
def test_a_spared_exit_goes_one_step_lower(kind: ExitKind, changes: dict[str, object], step: str) -> None:
    known = a_protection(**changes)
    after = protections.spared(protections.asking(known, kind, Decimal(101), NOW, NOW + A_SECOND))
    assert after.spared_price == Decimal(step)
    assert exit_kind(after, Decimal(step), NOW) is kind or Decimal(step) <= after.stop_price
    above = exit_kind(after, Decimal(step) + Decimal("0.01"), NOW)
    assert above is not kind
    assert after.exit_id(kind) != known.exit_id(kind)
