"""The table of legal steps, and the merge of what a venue says."""

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sigmax.domain.orders import (
    STATUSES,
    SUBMISSIONS,
    IllegalTransitionError,
    VenueWord,
    check_step,
    leaves_quantity,
    may_follow,
    misses_fills,
    status_of,
)
from sigmax.schemas.types import OrderStatus, Submission

WORDS = st.builds(
    VenueWord,
    st.sampled_from([status for status in OrderStatus if status not in (OrderStatus.PENDING_CANCEL, OrderStatus.UNPLACED)]),
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
    check_step((OrderStatus.PENDING_CANCEL, Submission.ACKED), (OrderStatus.NEW, Submission.ACKED))


def test_a_fill_may_follow_a_cancel() -> None:
    check_step((OrderStatus.CANCELED, Submission.ACKED), (OrderStatus.FILLED, Submission.ACKED))


@pytest.mark.parametrize(
    ("current", "following"),
    [
        ((OrderStatus.FILLED, Submission.ACKED), (OrderStatus.CANCELED, Submission.ACKED)),
        ((OrderStatus.CANCELED, Submission.ACKED), (OrderStatus.NEW, Submission.ACKED)),
        ((OrderStatus.PENDING_NEW, Submission.UNKNOWN), (OrderStatus.PENDING_NEW, Submission.READY)),
        ((OrderStatus.PENDING_NEW, Submission.UNKNOWN), (OrderStatus.REJECTED, Submission.REFUSED)),
        ((OrderStatus.PENDING_NEW, Submission.READY), (OrderStatus.REJECTED, Submission.REFUSED)),
    ],
)
def test_a_step_off_the_table_is_refused(
    current: tuple[OrderStatus, Submission], following: tuple[OrderStatus, Submission]
) -> None:
    with pytest.raises(IllegalTransitionError):
        check_step(current, following)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_the_venues_words_mean_the_same_in_every_order_and_number(words: list[VenueWord]) -> None:
    def merged(sequence: tuple[VenueWord, ...]) -> VenueWord:
        total = VenueWord()
        for word in sequence:
            total = total.merge(word).merge(word)
        return total

    assert len({merged(order) for order in permutations(words)}) == 1


@given(WORDS, WORDS, st.decimals(0, 10, places=2), st.booleans())
def test_more_words_never_take_an_illegal_step(
    first: VenueWord, second: VenueWord, filled: Decimal, is_cancel_pending: bool
) -> None:
    quantity = Decimal(10)
    before = status_of(first, filled, quantity, is_cancel_pending=False)
    after = status_of(first.merge(second), filled, quantity, is_cancel_pending=is_cancel_pending)

    if before.is_terminal and before is not after:
        # The venue changed its mind about an end: only the raise stops it from being written.
        with pytest.raises(IllegalTransitionError):
            check_step((before, Submission.ACKED), (after, Submission.ACKED))


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
