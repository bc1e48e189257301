"""Absence is proven, or it is not."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from order_worker_builders import NOW, TERMS, an_order

from order_worker.domain.breaker import FAILURES_MAX, OPEN_FOR, Breaker
from order_worker.domain.order import Looks
from order_worker.domain.resolving import after_absence, after_failure, is_absence_proven, needs_a_person
from sigmax.schemas.types import Submission

UNKNOWN = an_order(submission=Submission.UNKNOWN, claimed_at=NOW, send_deadline=NOW + TERMS.send)


def test_three_absences_over_the_window_are_a_proof() -> None:
    looks = Looks()
    for second in (0, 15, 30):
        looks = after_absence(looks, NOW + timedelta(seconds=second + 2), TERMS)

    assert is_absence_proven(UNKNOWN, looks, NOW + timedelta(seconds=32), TERMS)
    assert not is_absence_proven(UNKNOWN, looks, NOW + timedelta(seconds=31), TERMS)


def test_two_absences_prove_nothing_however_long_ago() -> None:
    looks = after_absence(after_absence(Looks(), NOW, TERMS), NOW, TERMS)

    assert not is_absence_proven(UNKNOWN, looks, NOW + timedelta(days=1), TERMS)


def test_a_failed_look_is_no_evidence() -> None:
    looks = Looks()
    for _ in range(50):
        looks = after_failure(looks, NOW, TERMS)

    assert looks.absences == 0
    assert not is_absence_proven(UNKNOWN, looks, NOW + timedelta(days=1), TERMS)


@given(st.lists(st.booleans(), max_size=30))
def test_looks_slow_down_to_the_longest_pause_and_never_stop(absent: list[bool]) -> None:
    looks = Looks()
    for is_absent in absent:
        before = looks
        looks = (after_absence if is_absent else after_failure)(looks, NOW, TERMS)
        assert looks.next_at is not None
        assert TERMS.first_look <= looks.next_at - NOW <= TERMS.look_backoff_max
        assert looks.count == before.count + 1


def test_a_long_unknown_order_needs_a_person() -> None:
    assert not needs_a_person(UNKNOWN, NOW + TERMS.unknown_alarm, TERMS)
    assert needs_a_person(UNKNOWN, NOW + TERMS.unknown_alarm + timedelta(seconds=1), TERMS)


def test_five_failures_in_a_row_open_the_breaker_and_one_probe_closes_it() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        assert not breaker.is_open(NOW)
        breaker = breaker.failed(NOW)

    assert breaker.is_open(NOW)
    later = NOW + OPEN_FOR
    assert not breaker.is_open(later)
    assert breaker.probing(later).is_open(later)
    assert breaker.probing(later).failed(later).is_open(later)
