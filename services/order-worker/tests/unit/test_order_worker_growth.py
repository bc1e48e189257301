"""Fills of a venue whose trades have no ids: however its totals arrive, the sums are the same."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from order_worker_builders import NOW, an_order

from order_worker.domain.growth import execution_id, growth
from order_worker.domain.order import Order
from order_worker.domain.sightings import Sighting, Trade
from sigmax.domain.orders import VenueWord
from sigmax.schemas.types import OrderStatus, Submission

ORDER = an_order(quantity="100", submission=Submission.ACKED, client_ids=False)


def a_total(quantity: Decimal, notional: Decimal | None, at_s: int = 0) -> Sighting:
    word = VenueWord(OrderStatus.PARTIALLY_FILLED, quantity)
    return Sighting("v1", word, filled_notional=notional, changed_at=NOW + timedelta(seconds=at_s))


def booked(sightings: list[Sighting]) -> dict[str, Trade]:
    """Take sightings in, one after the other, as the books do: a fill that is there is not entered again."""
    fills: dict[str, Trade] = {}
    for sighting in sightings:
        order = _with(ORDER, fills)
        fills |= {each.execution_id: each for each in growth(order, sighting, NOW) if each.execution_id not in fills}
    return fills


def _with(order: Order, fills: dict[str, Trade]) -> Order:
    quantity, notional = sums(fills)
    return replace(order, filled_quantity=quantity, average_price=notional / quantity if quantity else None)


def sums(fills: dict[str, Trade]) -> tuple[Decimal, Decimal]:
    quantity = sum((each.quantity for each in fills.values()), Decimal(0))
    return quantity, sum((each.quantity * each.price for each in fills.values()), Decimal(0))


_TRADES = st.lists(
    st.tuples(
        st.integers(1, 5000).map(lambda n: Decimal(n) / 1000), st.integers(9000, 11000).map(lambda n: Decimal(n) / 100)
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trades=_TRADES, chance=st.randoms(use_true_random=False))
def test_totals_in_any_order_doubled_and_late_come_to_the_same_sums(
    trades: list[tuple[Decimal, Decimal]], chance: object
) -> None:
    quantity = notional = Decimal(0)
    totals = []
    for number, (amount, price) in enumerate(trades):
        quantity, notional = quantity + amount, notional + amount * price
        totals.append(a_total(quantity, notional, number))
    in_turn = booked(totals)
    seen = [*totals, *chance.choices(totals, k=len(totals))]  # type: ignore[attr-defined]
    chance.shuffle(seen)  # type: ignore[attr-defined]
    shuffled = booked(seen)
    only_the_last = booked(totals[-1:])

    for fills in (in_turn, shuffled, only_the_last):
        assert sums(fills)[0] == quantity
        assert abs(sums(fills)[1] - notional) < Decimal("1e-15")  # a price that does not end is cut at 28 digits


def test_a_growth_is_named_by_where_it_ends_however_that_is_written() -> None:
    assert execution_id("paper", "v1", Decimal("1.50")) == execution_id("paper", "v1", Decimal("1.5"))
    assert execution_id("paper", "v1", Decimal(10)) == execution_id("paper", "v1", Decimal("1E+1"))
    names = {execution_id(a, v, Decimal(t)) for a in ("paper", "live") for v in ("v1", "v2") for t in (1, 2)}
    assert len(names) == 8


def test_a_growth_is_what_was_paid_for_it_and_when() -> None:
    half = replace(ORDER, filled_quantity=Decimal(1), average_price=Decimal(100))
    (trade,) = growth(half, a_total(Decimal(3), Decimal(290), 7), NOW)

    assert (trade.quantity, trade.price, trade.executed_at) == (Decimal(2), Decimal(95), NOW + timedelta(seconds=7))
    assert (trade.venue_order_id, trade.symbol, trade.side) == ("v1", "BTC/USDT", ORDER.approved.side)
    assert (trade.fee, trade.fee_currency) == (Decimal(0), "USDT")


def test_a_total_that_does_not_grow_is_no_fill() -> None:
    held = replace(ORDER, filled_quantity=Decimal(2), average_price=Decimal(100))

    assert growth(held, a_total(Decimal(2), Decimal(200)), NOW) == ()
    assert growth(held, a_total(Decimal(1), Decimal(100)), NOW) == ()


def test_a_total_without_its_price_waits_for_one() -> None:
    assert growth(ORDER, a_total(Decimal(1), None), NOW) == ()
    assert growth(ORDER, a_total(Decimal(1), Decimal(0)), NOW) == ()
