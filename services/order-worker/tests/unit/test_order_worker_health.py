"""Whether the venue answers, by kind of request."""

from datetime import timedelta

from order_worker_builders import NOW

from order_worker.domain.breaker import FAILURES_MAX
from order_worker.domain.budget import Kind
from order_worker.domain.health import MEMORY, REST, Health


def failed(kind: Kind, times: int) -> Health:
    health = Health()
    for number in range(times):
        at = NOW + timedelta(seconds=number)
        health = health.failed(kind, at, at)
    return health


def test_one_question_that_was_not_answered_says_that_the_venue_does_not_answer_and_one_answer_that_it_does() -> None:
    health = failed(Kind.QUERIES, 3)

    assert health.failing_since(NOW + timedelta(hours=1)) == NOW
    assert health.answered(Kind.QUERIES).failing_since(NOW) is None


def test_submits_count_once_their_breaker_is_open_and_only_while_they_are_fresh() -> None:
    last_at = NOW + timedelta(seconds=FAILURES_MAX - 1)

    assert failed(Kind.ORDERS, FAILURES_MAX - 1).failing_since(NOW) is None
    health = failed(Kind.ORDERS, FAILURES_MAX)
    assert health.failing_since(last_at + MEMORY) == NOW
    assert health.failing_since(last_at + MEMORY + timedelta(microseconds=1)) is None


def test_an_answer_of_one_kind_says_nothing_of_another() -> None:
    health = failed(Kind.QUERIES, 1).answered(Kind.CANCELS).answered(Kind.ORDERS)

    assert health.failing_since(NOW) == NOW


def test_cancels_and_questions_go_on_while_nobody_answers_at_a_slower_pace() -> None:
    last_at = NOW + timedelta(seconds=FAILURES_MAX - 1)
    health = failed(Kind.CANCELS, FAILURES_MAX)

    assert not failed(Kind.CANCELS, FAILURES_MAX - 1).must_rest(Kind.CANCELS, last_at)
    assert health.must_rest(Kind.CANCELS, last_at)
    assert not health.must_rest(Kind.CANCELS, last_at + REST)
    assert not health.must_rest(Kind.QUERIES, last_at)
