"""Whether the venue answers, by kind of request, as time goes by."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from order_worker_builders import NOW

from order_worker.domain.breaker import FAILURES_MAX, OPEN_FOR
from order_worker.domain.budget import Kind
from order_worker.domain.health import BEGINS_PCT, ENDS_PCT, REST, RULES, Health, Trouble

A_MICROSECOND = timedelta(microseconds=1)
ORDERS, QUERIES = RULES[Kind.ORDERS], RULES[Kind.QUERIES]


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def failed(kind: Kind, times: int, health: Health | None = None) -> Health:
    health = health or Health()
    for number in range(times):
        at = NOW + after(number)
        health = health.failed(kind, at, at)
    return health


def met(answers: Iterable[bool], kind: Kind = Kind.QUERIES, every_s: float = 1, health: Health | None = None) -> Health:
    """Let requests meet an answer or none, one after the other."""
    health = health or Health()
    for number, is_answered in enumerate(answers):
        at = NOW + after(number * every_s)
        health = health.answered(kind, at) if is_answered else health.failed(kind, at, at)
    return health


# nothing is answered


def test_one_question_that_was_not_answered_says_that_the_venue_does_not_answer_and_one_answer_that_it_does() -> None:
    health = failed(Kind.QUERIES, 3)

    assert health.trouble(NOW + timedelta(hours=1)) == Trouble(NOW, None, NOW)
    assert health.answered(Kind.QUERIES, NOW + after(3)).trouble(NOW + after(3)) is None


def test_a_try_that_is_repeated_and_answered_is_no_fault() -> None:
    health = Health().missed(Kind.QUERIES, NOW, NOW).missed(Kind.QUERIES, NOW, NOW)

    assert health.trouble(NOW) is None
    assert health.answered(Kind.QUERIES, NOW).trouble(NOW) is None


def test_submits_count_once_their_breaker_is_open_and_only_while_they_are_fresh() -> None:
    last_at = NOW + after(FAILURES_MAX - 1)

    assert failed(Kind.ORDERS, FAILURES_MAX - 1).trouble(NOW) is None
    health = failed(Kind.ORDERS, FAILURES_MAX)
    trouble = health.trouble(last_at + ORDERS.window)
    assert trouble is not None
    assert trouble.since == NOW
    assert health.trouble(last_at + ORDERS.window + A_MICROSECOND) is None


@pytest.mark.parametrize("kind", [Kind.ORDERS, Kind.CANCELS])
def test_submits_that_all_fail_count_from_the_first_on_while_questions_are_answered(kind: Kind) -> None:
    health = failed(kind, FAILURES_MAX)
    now = NOW + after(FAILURES_MAX - 1)
    while now < NOW + timedelta(minutes=6):
        for _ in range(int(OPEN_FOR / after(2))):
            now += after(2)
            health = health.answered(Kind.QUERIES, now)
            assert health.trouble(now) == Trouble(NOW, None, NOW)
        health = health.failed(kind, now, now)  # the breaker's probe


def test_after_a_long_time_without_a_submit_the_next_failure_is_the_first() -> None:
    health, later = failed(Kind.ORDERS, FAILURES_MAX), NOW + timedelta(minutes=5)
    health = health.failed(Kind.ORDERS, later, later)

    assert health.trouble(later) is None
    assert not health.is_open(Kind.ORDERS)


def test_an_answer_of_one_kind_says_nothing_of_another() -> None:
    health = failed(Kind.QUERIES, 1).answered(Kind.CANCELS, NOW).answered(Kind.ORDERS, NOW)

    assert health.trouble(NOW) == Trouble(NOW, None, NOW)


# some are answered


@pytest.mark.parametrize(("failures", "fails"), [(2, False), (3, True), (4, True)])
def test_it_fails_from_three_of_ten_without_an_answer(failures: int, fails: bool) -> None:
    assert (BEGINS_PCT, QUERIES.requests_min) == (30, 10)
    answers = [False] * failures + [True] * (QUERIES.requests_min - failures)
    # The share is looked at with each request: fewer than ten say nothing.
    assert met(answers[:-1]).trouble(NOW + after(9)) is None

    trouble = met(answers).trouble(NOW + after(9))
    assert trouble == (Trouble(NOW, NOW + after(failures), None) if fails else None)


@pytest.mark.parametrize(("failures", "fails"), [(1, False), (2, True), (3, True)])
def test_of_submits_five_have_a_share(failures: int, fails: bool) -> None:
    answers = [False] * failures + [True] * (ORDERS.requests_min - failures)

    assert (met(answers, Kind.ORDERS).trouble(NOW + after(4)) is not None) is fails


@pytest.mark.parametrize("kind", [Kind.QUERIES, Kind.ORDERS])
def test_half_of_all_answers_is_a_fault_that_lasts(kind: Kind) -> None:
    """With every second request answered the ladder's three rungs are all reached: 5 s, 30 s, 5 min."""
    health, every_s, first = Health(), 2.0, RULES[kind].requests_min
    for number in range(200):
        now = NOW + after(number * every_s)
        health = health.failed(kind, now, now) if number % 2 == 0 else health.answered(kind, now)
        trouble = health.trouble(now)
        if number >= first:
            assert trouble is not None
            assert trouble.since == NOW
            lasts_until = trouble.recovering_since or now
            assert now - lasts_until <= after(every_s)


def test_a_fault_that_recovers_says_since_when_and_ends_once_hardly_any_of_the_last_is_without_an_answer() -> None:
    assert ENDS_PCT == 10
    health = met([False] * 10)
    ended_at = None
    for second in range(10, 60):
        now = NOW + after(second)
        health = health.answered(Kind.QUERIES, now)
        trouble = health.trouble(now)
        if trouble is None:
            ended_at = second
            break
        assert trouble == Trouble(NOW, NOW + after(10), None)
    # Of the 31 requests of half a minute, three were not answered: those of the seconds 7, 8, and 9.
    assert ended_at == 37


def test_one_failure_more_ends_the_recovery_and_not_the_count() -> None:
    health = met([False] * 10 + [True] * 5)
    now = NOW + after(15)
    trouble = health.missed(Kind.QUERIES, now, now).trouble(now)

    assert trouble == Trouble(NOW, None, None)


def test_the_venue_recovers_when_all_that_failed_do() -> None:
    health = met([False] * 5 + [True], Kind.ORDERS, health=met([False] * 10 + [True]))
    now = NOW + after(10)
    assert health.trouble(now) == Trouble(NOW, now, None)
    assert health.failed(Kind.QUERIES, now, now).trouble(now) == Trouble(NOW, None, now)


def test_what_was_met_long_ago_is_forgotten() -> None:
    health = met([True, False] * 10)
    later = NOW + after(19) + QUERIES.window

    assert health.trouble(later) is not None
    assert health.trouble(later + A_MICROSECOND) == Trouble(NOW + after(19), None, NOW + after(19))
    assert health.answered(Kind.QUERIES, later + A_MICROSECOND) == Health()


# how fast is asked


def test_cancels_and_questions_go_on_while_nobody_answers_at_a_slower_pace() -> None:
    last_at = NOW + after(FAILURES_MAX - 1)
    health = failed(Kind.CANCELS, FAILURES_MAX)

    assert not failed(Kind.CANCELS, FAILURES_MAX - 1).must_rest(Kind.CANCELS, last_at)
    assert health.must_rest(Kind.CANCELS, last_at)
    assert not health.must_rest(Kind.CANCELS, last_at + REST)
    assert not health.must_rest(Kind.QUERIES, last_at)
