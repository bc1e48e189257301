"""The request budget: under the venue's limit in every window, shared by kind, and closed when the venue says so."""

from hypothesis import given, settings
from hypothesis import strategies as st

from order_worker.domain.budget import SLOWED_FOR_S, Bucket, Kind, Limit, Limits, Told, closed_by, limits_of

ORDERS = Limit(50, 10)


def drained(limit: Limit, seconds: float, step_s: float = 0.01) -> list[float]:
    """Take whenever it is allowed; give the moments."""
    bucket, taken = Bucket(limit.capacity, 0.0), []
    for number in range(int(seconds / step_s)):
        now = number * step_s
        bucket, wait_s = bucket.take(limit, 1, now)
        if not wait_s:
            taken.append(now)
    return taken


def test_no_window_ever_holds_more_than_the_venue_takes_even_when_a_second_late() -> None:
    taken = drained(ORDERS, 60)

    for first in taken:
        assert sum(first <= each <= first + ORDERS.window_s + 1 for each in taken) <= ORDERS.amount
    assert len(taken) >= 200  # a minute


@given(
    st.floats(1, 1e6),
    st.floats(1, 60),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 3)), min_size=1, max_size=60),
)
@settings(deadline=None)
def test_a_bucket_never_holds_more_than_its_size_nor_less_than_nothing(
    amount: float, window_s: float, takes: list[tuple[float, int]]
) -> None:
    limit = Limit(amount, window_s)
    bucket, now = Bucket(limit.capacity, 0.0), 0.0
    for pause_s, wanted in takes:
        now += pause_s
        bucket, wait_s = bucket.take(limit, wanted, now)
        assert 0 <= bucket.tokens <= limit.capacity
        assert wait_s >= 0


def test_who_waits_as_long_as_told_is_let_go() -> None:
    bucket = Bucket(0.0, 0.0)
    _, wait_s = bucket.take(ORDERS, 1, 0.0)

    assert bucket.take(ORDERS, 1, wait_s - 0.001)[1] > 0
    assert bucket.take(ORDERS, 1, wait_s + 1e-9)[1] == 0


def test_entries_leave_a_part_to_exits() -> None:
    bucket, let_go = Bucket(ORDERS.capacity, 0.0), 0
    while True:
        bucket, wait_s = bucket.take(ORDERS, 1, 0.0, reserve=ORDERS.reserve)
        if wait_s:
            break
        let_go += 1

    assert let_go == ORDERS.capacity - ORDERS.reserve
    assert bucket.take(ORDERS, 1, 0.0)[1] == 0


def test_what_was_not_used_comes_back() -> None:
    bucket, _ = Bucket(5.0, 0.0).take(ORDERS, 1, 0.0)

    assert bucket.take(ORDERS, -1, 0.0)[0].tokens == 5


def test_a_clock_behind_the_others_brings_no_tokens() -> None:
    bucket, _ = Bucket(0.0, 100.0).take(ORDERS, -1, 50.0)

    assert (bucket.tokens, bucket.at) == (1, 100)


def test_after_too_many_nothing_goes_for_as_long_as_was_said_and_then_slowly() -> None:
    bucket = Bucket(10.0, 0.0).closed(7, 0.0)

    assert bucket.take(ORDERS, 1, 6.9)[1] > 0
    one_token_s = 1 / ORDERS.per_s
    assert bucket.take(ORDERS, 1, 7 + 1.9 * one_token_s)[1] > 0
    assert bucket.take(ORDERS, 1, 7 + 2.1 * one_token_s)[1] == 0
    later = Bucket(0.0, 7 + SLOWED_FOR_S, slow_until=7 + SLOWED_FOR_S)
    assert later.take(ORDERS, 1, 7 + SLOWED_FOR_S + 1.1 * one_token_s)[1] == 0


def test_spent_weight_stops_orders_and_questions_and_never_cancels() -> None:
    assert closed_by(Kind.ORDERS, "-1003 Too much request weight used") == (Kind.ORDERS, Kind.QUERIES)
    assert closed_by(Kind.QUERIES, "-1003") == (Kind.ORDERS, Kind.QUERIES)
    assert closed_by(Kind.ORDERS, "-1015 Too many new orders") == (Kind.ORDERS,)
    assert closed_by(Kind.CANCELS, "-1003") == (Kind.CANCELS,)


def test_the_lower_of_what_is_wanted_and_what_the_venue_says_stands() -> None:
    told = Told(Limit(100, 10), Limit(1200, 60))

    assert limits_of(None, None, None, Told()) == Limits(Limit(50, 10), Limit(200, 10), Limit(6000, 60))
    assert limits_of(None, None, None, told) == Limits(Limit(100, 10), Limit(200, 10), Limit(1200, 60))
    assert limits_of(99, 500, 600, told) == Limits(Limit(99, 10), Limit(500, 10), Limit(600, 60))
    assert limits_of(None, None, None, Told(Limit(201, 10))).cancels == Limit(201, 10)
    assert limits_of(101, 5, 9999, told).orders == Limit(100, 10)


def test_the_heaviest_question_fits_into_the_smallest_bucket() -> None:
    assert limits_of(None, None, 10, Told()).queries.capacity >= 80
