"""Handlers over the world in memory."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_gate_builders import (
    BTC,
    ETH,
    KEY,
    NOW,
    a_decision,
    a_fill_of,
    a_position,
    a_reconciliation,
    a_request,
    a_signal,
    an_event_of,
    some_limits,
)
from risk_gate_fakes import Count, FakeLedger, FakeWorld

from risk_gate.handlers import booking, deciding
from sigmax.domain.approval import verify
from sigmax.schemas.base import Message
from sigmax.schemas.orders import Fill, OrderApproved, OrderDenied, OrderEvent, PositionChanged
from sigmax.schemas.types import DenialCode, Side

HANDLERS: dict[type[Message], Any] = {
    Fill: booking.on_fill,
    OrderEvent: booking.on_order_event,
    PositionChanged: booking.on_position_changed,
}


async def approve(fake: FakeWorld, name: str = "signal", **changes: Any) -> OrderApproved:
    await deciding.on_signal(a_signal(name, at=fake.clock.now(), **changes), fake.world)
    verdict = fake.published(OrderApproved)[-1]
    assert isinstance(verdict, OrderApproved)
    return verdict


async def test_a_signal_becomes_one_signed_approval() -> None:
    fake = FakeWorld()
    verdict = await approve(fake)
    await deciding.on_signal(a_signal(), fake.world)
    assert fake.published(OrderApproved) == [verdict]
    assert verify(verdict, KEY)
    assert fake.state.orders[verdict.client_order_id].leaves == verdict.quantity
    assert fake.meter.verdicts == [verdict]


async def test_a_denial_reserves_nothing() -> None:
    fake = FakeWorld()
    fake.market.prices = {}
    await deciding.on_signal(a_signal(), fake.world)
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.PRICE_STALE
    assert not fake.state.orders


async def test_all_that_is_held_is_valued_at_its_own_price() -> None:
    fake = FakeWorld()
    fake.state.positions[ETH] = Count(Decimal(1000))
    await deciding.on_signal(a_signal("unpriced"), fake.world)
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.PRICE_STALE
    fake.market.prices[ETH] = "50"
    approved = await approve(fake, "priced")
    assert approved.quantity == Decimal("29.850")  # 2 % of 150 000


async def test_approved_orders_count_at_once() -> None:
    fake = FakeWorld()
    fake.state.limits["paper"] = some_limits(position_notional_max="4000")
    await approve(fake, "first")
    for name in ("second", "third"):
        fake.clock.advance(11)
        await deciding.on_signal(a_signal(name, at=fake.clock.now()), fake.world)
    assert len(fake.published(OrderApproved)) == 2
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.POSITION_EXCEEDS_MAX


async def test_a_repeated_wish_under_another_id_is_a_duplicate() -> None:
    fake = FakeWorld()
    await approve(fake, "first")
    fake.clock.advance(2)
    await deciding.on_signal(a_signal("again", at=fake.clock.now()), fake.world)
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.ORDER_DUPLICATED


# Judgement ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_request_first", [True, False])
async def test_a_judged_signal_is_decided_whichever_half_comes_first(is_request_first: bool) -> None:
    fake = FakeWorld()
    request = a_request(a_signal())
    decision = a_decision(request, verdict="adjust", size_factor="0.5")
    halves = [(deciding.on_judgement_requested, request), (deciding.on_decision, decision)]
    for handle, message in halves if is_request_first else reversed(halves):
        assert not fake.state.verdicts
        await handle(message, fake.world)  # type: ignore[arg-type]
    for handle, message in halves:
        await handle(message, fake.world)  # type: ignore[arg-type]
    (approved,) = fake.published(OrderApproved)
    assert approved.quantity == Decimal("9.95")
    assert approved.causation_id == request.signal.message_id


async def test_a_veto_denies() -> None:
    fake = FakeWorld()
    request = a_request(a_signal())
    await deciding.on_judgement_requested(request, fake.world)
    await deciding.on_decision(a_decision(request, verdict="reject"), fake.world)
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.JUDGEMENT_REFUSED


async def test_no_decision_by_the_deadline_is_a_denial_and_a_late_one_changes_nothing() -> None:
    fake = FakeWorld()
    request = a_request(a_signal())
    await deciding.on_judgement_requested(request, fake.world)
    fake.clock.advance(5)
    await deciding.deny_unjudged(fake.world)
    assert not fake.published(OrderDenied)
    fake.clock.advance(0.001)
    await deciding.deny_unjudged(fake.world)
    await deciding.on_decision(a_decision(request), fake.world)
    await deciding.deny_unjudged(fake.world)
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.JUDGEMENT_REFUSED
    assert not fake.published(OrderApproved)


async def test_a_signal_cannot_be_decided_once_with_and_once_without_judgement() -> None:
    fake = FakeWorld()
    request = a_request(a_signal())
    await deciding.on_signal(request.signal, fake.world)
    await deciding.on_judgement_requested(request, fake.world)
    await deciding.on_decision(a_decision(request), fake.world)
    assert len(fake.state.verdicts) == len(fake.published(OrderApproved)) == 1


# The book ----------------------------------------------------------------------------------------------------------


async def test_an_end_releases_what_will_never_fill() -> None:
    fake = FakeWorld()
    approved = await approve(fake)
    await booking.on_fill(a_fill_of(approved, "1", "4"), fake.world)
    assert fake.state.orders[approved.client_order_id].leaves == approved.quantity - 4
    await booking.on_order_event(an_event_of(approved, 3, "canceled", "4"), fake.world)
    assert fake.state.orders[approved.client_order_id].leaves == 0


async def test_a_stale_event_does_not_reopen_or_close_an_order() -> None:
    fake = FakeWorld()
    approved = await approve(fake)
    await booking.on_order_event(an_event_of(approved, 3, "canceled"), fake.world)
    await booking.on_order_event(an_event_of(approved, 2, "new"), fake.world)
    assert fake.state.orders[approved.client_order_id].leaves == 0


async def test_an_order_seen_after_all_counts_again() -> None:
    fake = FakeWorld()
    approved = await approve(fake)
    await booking.on_order_event(an_event_of(approved, 3, "unplaced"), fake.world)
    await booking.on_order_event(an_event_of(approved, 4, "new"), fake.world)
    assert fake.state.orders[approved.client_order_id].leaves == approved.quantity


async def test_a_reconciliation_counts_the_fills_since() -> None:
    fake = FakeWorld()
    approved = await approve(fake)
    for execution_id, at in (("1", 0), ("2", 1), ("3", 2)):
        fill = a_fill_of(approved, execution_id, "1", at=NOW + timedelta(seconds=at))
        await booking.on_fill(fill, fake.world)
    as_of = NOW + timedelta(seconds=1)
    reconciled = a_reconciliation("later", "5000", as_of=as_of, positions={BTC: Decimal(2)}, sequence=2)
    await booking.on_reconciled(reconciled, fake.world)
    assert fake.state.positions[BTC].filled == 3
    assert fake.state.cash["USDT"].filled == 5000 - approved.limit_price


async def test_a_fill_that_a_reconciliation_has_counted_is_not_counted_again() -> None:
    fake = FakeWorld()
    approved = await approve(fake)
    as_of = NOW + timedelta(seconds=1)
    await booking.on_reconciled(a_reconciliation("later", "5000", as_of=as_of, positions={BTC: Decimal(2)}), fake.world)
    await booking.on_fill(a_fill_of(approved, "1", "2", at=as_of), fake.world)
    assert fake.state.positions[BTC].filled == 2
    assert fake.state.cash["USDT"].filled == 5000
    assert fake.state.own["ema", BTC] == 2
    assert fake.state.orders[approved.client_order_id].leaves == approved.quantity - 2


async def test_an_older_reconciliation_is_ignored_and_a_failed_one_stops_trading() -> None:
    fake = FakeWorld()
    await booking.on_reconciled(a_reconciliation("old", "1", as_of=NOW - timedelta(seconds=1)), fake.world)
    assert fake.state.cash["USDT"].filled == 100_000
    failed = a_reconciliation("failed", as_of=NOW + timedelta(microseconds=1), passed=False)
    await booking.on_reconciled(failed, fake.world)
    fake.clock.advance(1)
    await deciding.on_signal(a_signal(at=fake.clock.now()), fake.world)
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.TRADING_HALTED
    assert any(check.code is DenialCode.RECONCILIATION_MISSING and not check.passed for check in denied.checks)


PARTS = ("3", "5", "2.9")


def story_of(approved: OrderApproved) -> list[Message]:
    """What order-worker tells of an order that fills in three parts and is then cancelled."""
    story: list[Message] = [an_event_of(approved, 1, "new")]
    filled, price = Decimal(0), approved.limit_price or Decimal(0)
    for index, part in enumerate(PARTS, start=1):
        filled += Decimal(part)
        story += [
            a_fill_of(approved, str(index), part, at=NOW + timedelta(seconds=index)),
            a_position(index, str(filled), str(100_000 - filled * price)),
            an_event_of(approved, index + 1, "partially_filled", str(filled)),
        ]
    return [*story, an_event_of(approved, 9, "canceled", str(filled))]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
async def test_in_no_order_of_arrival_is_exposure_or_spent_cash_under_counted(data: st.DataObject) -> None:
    """Doubled and permuted: what is held and reserved together never falls below what has in truth been filled."""
    fake = FakeWorld()
    approved = await approve(fake)
    price = approved.limit_price or Decimal(0)
    story = story_of(approved)
    total = sum(map(Decimal, PARTS), Decimal(0))
    for message in data.draw(st.permutations(story + story)):
        await HANDLERS[type(message)](message, fake.world)
        book = FakeLedger(fake.state).book(a_signal(), NOW)
        assert book.exposed_quantity(BTC) >= total
        assert book.cash - book.reserved_cash() <= 100_000 - total * price
        assert book.exposed_quantity(BTC) <= approved.quantity + total
    assert book.exposed_quantity(BTC) == total == book.own[BTC]
    assert book.cash == 100_000 - total * price
    assert not book.reserved


@settings(deadline=None, max_examples=60)
@given(data=st.data())
async def test_in_no_order_of_arrival_can_more_be_sold_than_is_left(data: st.DataObject) -> None:
    fake = FakeWorld()
    bought = await approve(fake)
    await booking.on_fill(a_fill_of(bought, "0", str(bought.quantity)), fake.world)
    await booking.on_order_event(an_event_of(bought, 2, "filled", str(bought.quantity)), fake.world)
    await booking.on_reconciled(
        a_reconciliation("r", as_of=NOW + timedelta(microseconds=1), positions={BTC: bought.quantity}), fake.world
    )
    fake.clock.advance(11)
    sold = await approve(fake, "close", action="close")
    assert sold.side is Side.SELL
    left, story = bought.quantity, [an_event_of(sold, 1, "new")]
    for index, part in enumerate(PARTS, start=1):
        left -= Decimal(part)
        at = fake.clock.now() + timedelta(seconds=index)
        story += [a_fill_of(sold, str(index), part, at=at), a_position(index, str(left), "100000")]  # type: ignore[list-item]
    story.append(an_event_of(sold, 9, "canceled", str(sum(map(Decimal, PARTS)))))
    for message in data.draw(st.permutations(story + story)):
        await HANDLERS[type(message)](message, fake.world)
        book = FakeLedger(fake.state).book(a_signal(), NOW)
        assert book.sellable_quantity(BTC, "ema") <= left
        assert book.exposed_quantity(BTC) >= left
    assert book.sellable_quantity(BTC, "ema") == left
