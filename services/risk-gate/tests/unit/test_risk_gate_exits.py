"""When a position is closed without anybody asking."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_gate_builders import ETH, NOW
from risk_gate_exit_builders import (
    A_SECOND,
    a_protection,
    some_ticks,
)

from risk_gate.domain import protection as protections
from risk_gate.domain.exits import (
    TICK_AGE_MAX_NS,
    ExitRules,
    Seen,
    exit_kind,
    is_news,
)
from risk_gate.domain.protection import ProtectionState
from risk_gate.domain.watch import Watch
from sigmax.schemas.market import nanoseconds
from sigmax.schemas.types import ExitKind

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


@settings(deadline=None)
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


@settings(deadline=None)
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
