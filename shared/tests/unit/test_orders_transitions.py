"""The table of legal steps, and the merge of what a venue says."""

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmax.domain.orders import (
    STATUSES,
    SUBMISSIONS,
    IllegalStepError,
    VenueWord,
    heed,
    leaves_quantity,
    may_follow,
    misses_fills,
    status_of,
    step,
)
from sigmax.schemas.types import OrderStatus, Submission

WORDS = st.builds(
    VenueWord,
    st.sampled_from(
        [status for status in OrderStatus if status not in (OrderStatus.PENDING_CANCEL, OrderStatus.UNPLACED)]
    ),
    st.decimals(0, 10, places=2),
)


def test_every_submission_and_status_has_a_row() -> None:
    assert set(SUBMISSIONS) == set(Submission)
    assert set(STATUSES) == set(OrderStatus)


def test_an_unknown_order_is_never_sent_again_nor_called_refused() -> None:
    assert SUBMISSIONS[Submission.UNKNOWN] == {Submission.ACKED, Submission.ABSENT}


def test_only_a_sending_order_may_become_ready_again() -> None:
    assert [state for state in Submission if Submission.READY in SUBMISSIONS[state]] == [Submission.SENDING]


def test_what_the_venue_has_it_has_for_good() -> None:
    assert SUBMISSIONS[Submission.ACKED] == frozenset()
    assert all(may_follow(state, Submission.ACKED) for state in Submission)


def test_a_late_cancel_gives_way_to_the_working_order() -> None:
    assert heed(OrderStatus.PENDING_CANCEL, OrderStatus.NEW) is OrderStatus.NEW


def test_a_fill_may_follow_a_cancel() -> None:
    assert heed(OrderStatus.CANCELED, OrderStatus.FILLED) is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("current", "said"),
    [
        (OrderStatus.FILLED, OrderStatus.CANCELED),
        (OrderStatus.CANCELED, OrderStatus.NEW),
        (OrderStatus.EXPIRED, OrderStatus.CANCELED),
        (OrderStatus.PARTIALLY_FILLED, OrderStatus.NEW),
    ],
)
def test_a_word_that_contradicts_what_is_known_is_ignored(current: OrderStatus, said: OrderStatus) -> None:
    assert heed(current, said) is current


@pytest.mark.parametrize(
    ("current", "following"),
    [
        (Submission.UNKNOWN, Submission.READY),
        (Submission.UNKNOWN, Submission.REFUSED),
        (Submission.READY, Submission.REFUSED),
        (Submission.ACKED, Submission.ABSENT),
    ],
)
def test_a_step_off_the_table_is_refused(current: Submission, following: Submission) -> None:
    with pytest.raises(IllegalStepError):
        step(current, following)


def test_a_step_on_the_table_is_taken() -> None:
    assert step(Submission.READY, Submission.SENDING) is Submission.SENDING
    assert step(Submission.SENDING, Submission.SENDING) is Submission.SENDING


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_the_venues_words_mean_the_same_in_every_order_and_number(words: list[VenueWord]) -> None:
    def merged(sequence: tuple[VenueWord, ...]) -> VenueWord:
        total = VenueWord()
        for word in sequence:
            total = total.merge(word).merge(word)
        return total

    assert len({merged(order) for order in permutations(words)}) == 1


@given(WORDS, WORDS, st.decimals(0, 10, places=2))
def test_an_end_is_never_taken_back(first: VenueWord, second: VenueWord, filled: Decimal) -> None:
    before = status_of(first, filled, Decimal(10), is_cancel_pending=False)
    after = heed(before, status_of(first.merge(second), filled, Decimal(10), is_cancel_pending=False))

    assert not before.is_terminal or after in (before, OrderStatus.FILLED) or before is OrderStatus.REJECTED


def test_a_canceled_order_stays_open_until_its_fills_are_here() -> None:
    word = VenueWord(OrderStatus.CANCELED, Decimal(4))

    assert status_of(word, Decimal(1), Decimal(10), is_cancel_pending=False) is OrderStatus.PARTIALLY_FILLED
    assert misses_fills(word, Decimal(1), Decimal(10))
    assert status_of(word, Decimal(4), Decimal(10), is_cancel_pending=False) is OrderStatus.CANCELED
    assert not misses_fills(word, Decimal(4), Decimal(10))


def test_an_order_is_filled_only_by_fills() -> None:
    word = VenueWord(OrderStatus.FILLED, Decimal(10))

    assert status_of(word, Decimal(0), Decimal(10), is_cancel_pending=False) is OrderStatus.NEW
    assert status_of(word, Decimal(10), Decimal(10), is_cancel_pending=True) is OrderStatus.FILLED


def test_an_ended_order_leaves_nothing() -> None:
    assert leaves_quantity(OrderStatus.CANCELED, Decimal(10), Decimal(4)) == 0
    assert leaves_quantity(OrderStatus.PARTIALLY_FILLED, Decimal(10), Decimal(4)) == 6
