"""What a sighting makes of an order, in any order of arrival."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_worker_builders import NOW, TERMS, a_sighting, a_trade, an_order

from order_worker.domain.booking import breaches, counted, fill_of, is_late, seen
from order_worker.domain.order import Order, is_news, renumbered
from order_worker.domain.sightings import Sighting
from sigmax.domain.orders import IllegalStepError
from sigmax.schemas.types import OrderStatus, Side, Submission

SENDING = an_order(quantity="3", submission=Submission.SENDING, fence=1)


def replayed(sightings: tuple[Sighting, ...]) -> Order:
    order, known = SENDING, {}
    for sighting in sightings:
        known |= {trade.execution_id: trade.quantity for trade in sighting.trades}
        order = seen(order, sighting, NOW)
        order = counted(order, sum(known.values(), Decimal(0)), None)
    return order


def test_reply_stream_and_poll_may_come_in_any_order_and_twice() -> None:
    fills = [a_trade(number) for number in (1, 2)]
    sightings = [
        a_sighting(SENDING, status=OrderStatus.NEW),
        a_sighting(SENDING, fills[0], status=OrderStatus.PARTIALLY_FILLED, filled="1"),
        a_sighting(SENDING, *fills, status=OrderStatus.CANCELED, filled="2"),
        a_sighting(SENDING, fills[1]),
    ]

    ends = {(order.status, order.filled_quantity) for order in map(replayed, permutations([*sightings, sightings[1]]))}

    assert ends == {(OrderStatus.CANCELED, Decimal(2))}


def test_an_order_that_counts_as_gone_is_an_alarm_when_seen() -> None:
    gone = an_order(submission=Submission.UNKNOWN).unplaced("proof")

    assert is_late(gone)
    assert not is_late(SENDING)
    after = counted(seen(gone, a_sighting(gone), NOW), Decimal(0), None)
    assert (after.submission, after.status) == (Submission.ACKED, OrderStatus.NEW)


def test_an_order_is_put_back_only_so_often() -> None:
    order = an_order(submission=Submission.SENDING)
    for _ in range(TERMS.attempts_max - 1):
        order = order.not_sent("refused connection", NOW, TERMS)
        assert order.submission is Submission.READY
        assert order.not_before is not None
        assert order.not_before > NOW
        order = Order(order.approved, submission=Submission.SENDING, attempts=order.attempts)

    assert order.not_sent("refused connection", NOW, TERMS).status is OrderStatus.UNPLACED


def test_an_unknown_order_cannot_be_put_back_or_called_refused() -> None:
    unknown = an_order(submission=Submission.UNKNOWN)

    with pytest.raises(IllegalStepError):
        unknown.not_sent("", NOW, TERMS)
    with pytest.raises(IllegalStepError):
        unknown.refused("")


def test_what_changes_nothing_for_others_has_no_number() -> None:
    order = an_order()

    assert renumbered(order, order).sequence == order.sequence
    assert renumbered(order, order.unplaced("late")).sequence == order.sequence + 1
    assert not is_news(order, order)


def test_the_same_trade_makes_the_same_message_whenever_it_is_told() -> None:
    first, second = (fill_of(SENDING, a_trade(), NOW + timedelta(seconds=late)) for late in (0, 60))

    assert first.message_id == second.message_id


@given(st.integers(1, 3))
def test_a_sound_trade_keeps_to_its_approval(number: int) -> None:
    assert breaches(SENDING, a_trade(number)) == []


@pytest.mark.parametrize(
    "change", [{"side": Side.SELL}, {"price": Decimal("100.01")}, {"symbol": "ETH/USDT"}, {"price": Decimal(200)}]
)
def test_a_trade_beyond_its_approval_is_named(change: dict[str, object]) -> None:
    assert breaches(SENDING, a_trade(**change))  # type: ignore[arg-type]


def test_more_than_was_approved_is_named() -> None:
    over = counted(seen(SENDING, a_sighting(SENDING), NOW), Decimal(4), Decimal(100))

    assert any("4 in all" in text for text in breaches(over, a_trade()))
