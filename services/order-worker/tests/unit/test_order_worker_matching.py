"""Which venue order is ours, where it is told by its looks: found when it can be no other, and never guessed."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from order_worker_builders import NOW, TERMS, an_order

from order_worker.domain.matching import CLOCKS, REMEMBERED, Listed, Verdict, listed_from, match, may_be, missing
from order_worker.domain.order import Looks, Order
from order_worker.domain.resolving import after_absence, after_doubt, is_absence_proven, needs_a_person
from order_worker.domain.sightings import Sighting
from sigmax.domain.orders import VenueWord
from sigmax.schemas.types import OrderType, Side, Submission

SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)


def a_nameless(number: int = 1, **changes: Any) -> Order:
    values: dict[str, Any] = {"submission": Submission.UNKNOWN, "claimed_at": NOW, "client_ids": False, **changes}
    return an_order(number, **values)


def a_row(venue_order_id: str = "v1", **changes: Any) -> Listed:
    values: dict[str, Any] = {
        "sighting": Sighting(venue_order_id, VenueWord()),
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "quantity": Decimal(1),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal(100),
        "trigger_price": None,
        "placed_at": NOW + SECOND,
        **changes,
    }
    return Listed(**values)


def test_one_row_that_looks_like_it_is_ours() -> None:
    found = match(a_nameless(), [a_nameless()], [a_row(), a_row("v2", quantity=Decimal(2))], ())

    assert (found.verdict, [row.venue_order_id for row in found.rows]) == (Verdict.FOUND, ["v1"])


@pytest.mark.parametrize(
    "other",
    [
        {"symbol": "ETH/USDT"},
        {"side": Side.SELL},
        {"quantity": Decimal("1.00000001")},
        {"order_type": OrderType.MARKET, "limit_price": None},
        {"order_type": OrderType.STOP_LIMIT, "trigger_price": Decimal(99)},
        {"limit_price": Decimal("100.01")},
        {"trigger_price": Decimal(100)},
        {"placed_at": NOW - CLOCKS - TICK},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_row_that_differs_in_anything_is_not(other: dict[str, Any]) -> None:
    assert match(a_nameless(), (), [a_row(**other)], ()).verdict is Verdict.NOTHING


def test_clocks_may_differ_by_two_seconds_and_no_more() -> None:
    assert may_be(a_nameless(), a_row(placed_at=NOW - CLOCKS))
    assert not may_be(a_nameless(), a_row(placed_at=NOW - CLOCKS - TICK))


def test_numbers_are_compared_as_numbers() -> None:
    assert may_be(a_nameless(), a_row(quantity=Decimal("1.000"), limit_price=Decimal("100.00")))


def test_the_price_that_a_market_order_came_to_tells_nothing_apart() -> None:
    market = a_nameless(limit_price=None)

    assert may_be(market, a_row(order_type=OrderType.MARKET, limit_price=None))


def test_what_was_there_before_the_send_is_not_ours_whatever_it_looks_like() -> None:
    assert match(a_nameless(known_ids=frozenset({"v1"})), (), [a_row()], ()).verdict is Verdict.NOTHING


def test_what_is_another_order_of_ours_already_is_not_this_one() -> None:
    assert match(a_nameless(), (), [a_row()], {"v1"}).verdict is Verdict.NOTHING


def test_an_order_that_was_never_claimed_is_nowhere() -> None:
    assert match(a_nameless(claimed_at=None), (), [a_row()], ()).verdict is Verdict.NOTHING


def test_of_several_rows_none_is_guessed() -> None:
    found = match(a_nameless(), (), [a_row(), a_row("v2")], ())

    assert (found.verdict, len(found.rows)) == (Verdict.SEVERAL, 2)


@pytest.mark.parametrize("rival", [Submission.UNKNOWN, Submission.ABSENT])
def test_a_row_that_may_be_another_order_of_ours_is_nobodys_yet(rival: Submission) -> None:
    assert match(a_nameless(), [a_nameless(2, submission=rival)], [a_row()], ()).verdict is Verdict.SEVERAL


def test_what_another_request_may_just_be_making_is_left_to_its_answer() -> None:
    rivals = [a_nameless(2, submission=Submission.SENDING), a_nameless(3)]

    assert match(a_nameless(), rivals, [a_row()], ()).verdict is Verdict.IN_FLIGHT


def test_a_rival_that_knew_the_row_before_it_was_sent_is_none() -> None:
    later = a_nameless(2, known_ids=frozenset({"v1"}))

    assert match(a_nameless(), [later], [a_row()], ()).verdict is Verdict.FOUND


def test_a_list_that_misses_what_was_there_before_has_holes() -> None:
    order = a_nameless(known_ids=frozenset({"v1", "v2"}))

    assert missing(order, [a_row("v1"), a_row("v3")]) == {"v2"}
    assert not missing(order, [a_row("v1"), a_row("v2"), a_row("v3")])


def test_the_list_is_read_from_before_all_that_was_remembered() -> None:
    later = a_nameless(2, claimed_at=NOW + SECOND)

    assert listed_from([later, a_nameless()]) == {"BTC/USDT": NOW - 2 * REMEMBERED}


def test_doubt_throws_away_what_was_missed_before_and_asks_for_a_person() -> None:
    looks = Looks()
    for second in (2, 17, 40):
        looks = after_absence(looks, NOW + second * SECOND, TERMS)
    doubtful = after_doubt(looks, NOW + 41 * SECOND, TERMS)

    assert is_absence_proven(a_nameless(), looks, NOW + 41 * SECOND, TERMS)
    assert not is_absence_proven(a_nameless(), doubtful, NOW + timedelta(days=1), TERMS)
    assert needs_a_person(a_nameless(looks=doubtful), NOW + 41 * SECOND, TERMS)
    assert not needs_a_person(a_nameless(looks=after_absence(doubtful, NOW, TERMS)), NOW + 41 * SECOND, TERMS)


_ROWS = st.lists(
    st.builds(
        lambda number, quantity, second: a_row(
            f"v{number}", quantity=Decimal(quantity), placed_at=NOW + second * SECOND
        ),
        st.integers(1, 6),
        st.integers(1, 2),
        st.integers(-4, 4),
    ),
    max_size=6,
    unique_by=lambda row: row.venue_order_id,
)
_IDS = st.frozensets(st.sampled_from([f"v{number}" for number in range(1, 7)]), max_size=3)
_RIVALS = st.lists(
    st.builds(
        lambda number, quantity, submission, known: a_nameless(
            number, quantity=str(quantity), submission=submission, known_ids=known
        ),
        st.integers(2, 4),
        st.integers(1, 2),
        st.sampled_from([Submission.SENDING, Submission.UNKNOWN, Submission.ABSENT]),
        _IDS,
    ),
    max_size=3,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=_ROWS, owned=_IDS, known=_IDS, rivals=_RIVALS, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_rivals_decides_nothing(
    rows: list[Listed], owned: frozenset[str], known: frozenset[str], rivals: list[Order], order: Any
) -> None:
    mine = a_nameless(known_ids=known)
    found = match(mine, rivals, rows, owned)
    order.shuffle(rows)
    order.shuffle(rivals)
    again = match(mine, rivals, rows, owned)

    assert (again.verdict, set(again.rows)) == (found.verdict, set(found.rows))
    assert (found.verdict is Verdict.FOUND) <= (len(found.rows) == 1)
    assert not {row.venue_order_id for row in found.rows} & (owned | known)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=_ROWS, owned=_IDS, known=st.tuples(_IDS, _IDS, _IDS))
def test_no_row_is_found_for_two_orders(
    rows: list[Listed], owned: frozenset[str], known: tuple[frozenset[str], ...]
) -> None:
    ours = [a_nameless(number, known_ids=ids) for number, ids in enumerate(known, start=1)]
    found = [match(order, ours, rows, owned) for order in ours]
    taken = [each.rows[0].venue_order_id for each in found if each.verdict is Verdict.FOUND]

    assert len(taken) == len(set(taken))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=_ROWS, owned=_IDS)
def test_a_rival_more_never_makes_a_find(rows: list[Listed], owned: frozenset[str]) -> None:
    alone = match(a_nameless(), (), rows, owned).verdict
    beside_one = match(a_nameless(), [a_nameless(2)], rows, owned).verdict

    assert beside_one is not Verdict.FOUND
    assert (beside_one is Verdict.NOTHING) == (alone is Verdict.NOTHING)
