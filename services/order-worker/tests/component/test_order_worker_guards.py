"""What the worker does without being asked: budget, health, clock, halts, silence, and proof of absence."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_worker_builders import ETH, NOW, a_cancel, a_sighting, a_trade, an_order
from order_worker_world import World, a_world

from order_worker.domain.budget import Kind
from order_worker.domain.health import Health
from order_worker.handlers.approvals import on_cancel_requested
from order_worker.handlers.guarding import guard
from order_worker.handlers.health import ask_clock, tell_health
from order_worker.handlers.reconciling import reconcile
from order_worker.handlers.resolving import resolve_due
from order_worker.handlers.sending import sweep
from order_worker.handlers.working import on_sightings, on_trades, poll
from sigmax.schemas.orders import Reconciled, VenueHealth
from sigmax.schemas.types import OrderStatus, OrderType, Side, Stage, Submission

# the budget


async def test_an_order_waits_for_room_before_its_claim_so_that_no_lease_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[tuple[float, Submission]] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        if seconds:
            slept.append((seconds, world.order().submission))
            world.clock.pass_by(seconds)
        await sleep(0)

    monkeypatch.setattr("order_worker.handlers.sending.asyncio.sleep", noted)
    world.budget.waits = [0.5, 0.25]
    await world.approve()

    assert slept == [(0.5, Submission.READY), (0.25, Submission.READY)]
    assert world.order().status is OrderStatus.FILLED
    assert world.order().claimed_at == NOW + timedelta(seconds=0.75)


async def test_who_would_wait_too_long_leaves_the_row_to_the_sweep(world: World) -> None:
    world.budget.waits = [1.1, 10.1]
    await world.approve(1)
    await world.approve(2, instrument_id=ETH, side=Side.SELL, reduce_only=True)
    assert [world.order(number).submission for number in (1, 2)] == [Submission.READY] * 2

    await sweep(world.desk)
    assert [world.order(number).status for number in (1, 2)] == [OrderStatus.FILLED] * 2


async def test_an_exit_overtakes_the_entries_of_its_key_that_wait_for_room(world: World) -> None:
    await world.approve(1)
    world.budget.waits = [2.0, 2.0]
    await world.approve(2)
    await world.approve(3)
    await world.approve(4, side=Side.SELL, quantity="0.9", reduce_only=True)
    await sweep(world.desk)

    ids = [an_order(number).client_order_id for number in (1, 4, 2, 3)]
    assert world.venue.submits == ids


async def test_an_exit_asks_as_an_exit_from_the_message_and_from_the_sweep(world: World) -> None:
    await world.approve(1)
    world.desk.is_reconciled = False
    await world.approve(2, side=Side.SELL, quantity="0.9", reduce_only=True)
    world.desk.is_reconciled = True
    await sweep(world.desk)
    await world.approve(3, side=Side.SELL, quantity="0.05", reduce_only=True)

    assert [is_exit for kind, is_exit in world.budget.taken if kind is Kind.ORDERS] == [False, True, True]


async def test_nothing_is_sent_that_cannot_be_counted(world: World) -> None:
    world.budget.is_away = True
    await world.approve()
    await sweep(world.desk)
    assert world.venue.submits == []
    assert world.order().submission is Submission.READY

    world.budget.is_away = False
    await sweep(world.desk)
    assert world.order().status is OrderStatus.FILLED


async def test_what_was_taken_for_nothing_is_given_back(world: World) -> None:
    await world.approve()
    assert world.budget.returned == 0
    await world.approve()  # redelivered: nothing to claim
    assert world.budget.returned == 1
    world.venue.script = ["not_sent"]
    await world.approve(2)
    assert len(world.budget.taken) - world.budget.returned == len(world.venue.submits) == 1


async def test_too_many_requests_puts_the_order_back_until_the_venue_wants_it_and_closes_the_budget(
    world: World,
) -> None:
    world.venue.script = ["limited"]
    await world.approve()

    order = world.order()
    assert (order.submission, order.status, order.attempts) == (Submission.READY, OrderStatus.PENDING_NEW, 0)
    assert order.not_before == NOW + timedelta(seconds=7)
    assert world.budget.closed == [(Kind.ORDERS, 7)]
    await sweep(world.desk)
    assert len(world.venue.submits) == 1
    world.clock.pass_by(7)
    await sweep(world.desk)
    assert world.order().status is OrderStatus.FILLED


async def test_an_order_that_the_venue_never_has_room_for_ends_with_its_approval_and_is_never_rejected(
    world: World,
) -> None:
    world.venue.script = ["limited"] * 20
    await world.approve()
    for _ in range(32):
        world.clock.pass_by(1)
        await sweep(world.desk)

    assert world.order().status is OrderStatus.UNPLACED


# halts and silence


async def test_f26_a_halt_takes_back_everything_that_works_and_unknown_ones_as_soon_as_they_are_found(
    world: World,
) -> None:
    world.venue.script = ["rest", "rest", "accept_lose"]
    await world.approve(1)
    await world.approve(2, side=Side.SELL, reduce_only=True, instrument_id=ETH)
    await world.approve(3)
    world.venue.orders[world.order(3).client_order_id] = a_sighting(world.order(3), venue_order_id="v3")
    await world.stage(Stage.HALTED, 2)
    await guard(world.desk)
    assert [world.order(number).status for number in (1, 2)] == [OrderStatus.CANCELED] * 2
    assert world.order(3).submission is Submission.UNKNOWN
    for _ in range(5):
        world.clock.pass_by(1)
        await resolve_due(world.desk)

    assert world.order(3).status is OrderStatus.CANCELED
    assert "orders_taken_back" in world.alerts()


async def test_silence_takes_back_entries_keeps_what_protects_and_stops_sends_at_the_same_moment(world: World) -> None:
    world.venue.script = ["rest", "rest"]
    await world.approve(1)
    stop = {"order_type": OrderType.STOP_LIMIT, "trigger_price": Decimal(95), "side": Side.SELL, "reduce_only": True}
    await world.approve(2, instrument_id=ETH, **stop)
    world.clock.pass_by(60)
    await guard(world.desk)
    assert world.order(1).status is OrderStatus.NEW
    world.clock.pass_by(0.001)
    await guard(world.desk)
    await world.approve(3)

    assert [world.order(number).status for number in (1, 2, 3)] == [
        OrderStatus.CANCELED,
        OrderStatus.NEW,
        OrderStatus.UNPLACED,
    ]


async def test_nothing_is_taken_back_at_locked_until_it_is_a_halt_again(world: World) -> None:
    world.venue.script = ["rest"]
    await world.approve()
    await world.stage(Stage.LOCKED, 2)
    await guard(world.desk)
    assert world.order().status is OrderStatus.NEW

    await world.stage(Stage.HALTED, 3)
    await guard(world.desk)
    await guard(world.desk)
    assert world.order().status is OrderStatus.CANCELED


async def test_a_cancel_of_the_halt_that_the_venue_does_not_answer_is_repeated(world: World) -> None:
    world.venue.script = ["rest"]
    await world.approve()
    await world.stage(Stage.HALTED, 2)
    world.venue.is_down = True
    await guard(world.desk)
    assert world.order().status is OrderStatus.PENDING_CANCEL

    world.venue.is_down = False
    world.clock.pass_by(5)
    await poll(world.desk)
    assert world.order().status is OrderStatus.CANCELED


async def test_a_cancel_that_is_refused_because_the_order_filled_ends_as_filled(world: World) -> None:
    world.venue.script = ["rest"]
    await world.approve()
    trade = a_trade(venue_order_id="v1", at=world.clock.at)
    order = world.order()
    world.venue.orders[order.client_order_id] = a_sighting(order, trade, status=OrderStatus.FILLED, filled="1")
    await on_cancel_requested(a_cancel(1), world.desk)

    assert world.order().status is OrderStatus.FILLED
    assert world.order().filled_quantity == 1


async def test_a_cancel_that_comes_too_late_for_a_part_keeps_that_part(world: World) -> None:
    world.venue.script = ["rest"]
    await world.approve()
    order = world.order()
    part = a_trade(venue_order_id="v1", at=world.clock.at, quantity=Decimal("0.4"))
    word = a_sighting(order, part, status=OrderStatus.CANCELED, filled="0.4")
    world.venue.orders[order.client_order_id] = word
    await on_cancel_requested(a_cancel(1), world.desk)

    assert (world.order().status, world.order().filled_quantity) == (OrderStatus.CANCELED, Decimal("0.4"))


# the venue's health, and the clock


def away(world: World) -> Health:
    return Health().failed(Kind.QUERIES, world.clock.at, world.clock.at)


async def test_the_venues_health_is_told_on_change_and_every_five_seconds(world: World) -> None:
    await tell_health(world.desk)
    await tell_health(world.desk)
    assert [each.is_answering for each in world.told(VenueHealth)] == [True]
    world.clock.pass_by(1)
    world.venue.health = away(world)
    await tell_health(world.desk)
    told = world.told(VenueHealth)[-1]
    assert (told.is_answering, told.failing_since) == (False, world.clock.at)
    world.clock.pass_by(4.999)
    await tell_health(world.desk)
    assert len(world.told(VenueHealth)) == 2
    world.clock.pass_by(0.001)
    await tell_health(world.desk)
    assert len(world.told(VenueHealth)) == 3


async def test_unknown_orders_and_the_clocks_gap_are_part_of_the_health(world: World) -> None:
    world.venue.script = ["accept_lose"]
    await world.approve()
    world.venue.clock_gap = timedelta(milliseconds=-120)
    await ask_clock(world.desk)
    await tell_health(world.desk)

    (told,) = world.told(VenueHealth)
    assert (told.orders_unknown, told.clock_gap_ms) == (1, -120)


async def test_after_an_outage_the_books_are_held_against_the_venues_again(world: World) -> None:
    world.venue.health = away(world)
    await tell_health(world.desk)
    world.clock.pass_by(5)
    world.venue.health = Health()
    await tell_health(world.desk)

    assert len(world.told(Reconciled)) == 1


async def test_an_open_breaker_of_cancels_or_questions_is_told_to_people_once(world: World) -> None:
    for _ in range(5):
        world.venue.health = world.venue.health.failed(Kind.CANCELS, world.clock.at, world.clock.at)
    for _ in range(3):
        world.clock.pass_by(5)
        await tell_health(world.desk)

    assert world.alerts() == ["venue_failing"]


@pytest.mark.parametrize(("gap_ms", "sent"), [(500, 1), (501, 0), (-501, 0)])
async def test_f24_a_clock_that_is_off_stops_sends_between_reconciliations(
    world: World, gap_ms: int, sent: int
) -> None:
    world.venue.clock_gap = timedelta(milliseconds=gap_ms)
    await ask_clock(world.desk)
    await ask_clock(world.desk)
    await world.approve()

    assert len(world.venue.submits) == sent
    assert world.alerts() == ([] if sent else ["clock_off"])
    world.venue.clock_gap = timedelta()
    await ask_clock(world.desk)
    await sweep(world.desk)
    assert world.order().status is OrderStatus.FILLED


# proof of absence, and answers that cannot be recorded


@pytest.mark.parametrize(("seconds", "known_within_s"), [(60, 3), (300, 31)])
async def test_an_order_is_not_proven_absent_while_the_venue_has_money_that_our_books_do_not_explain(
    world: World, monkeypatch: pytest.MonkeyPatch, seconds: int, known_within_s: int
) -> None:
    monkeypatch.setattr("order_worker.handlers.reconciling._PAUSE_S", 0)
    world.venue.money = {"USDT": Decimal(1000)}
    await reconcile(world.desk)
    world.venue.script = ["lose"]
    await world.approve()
    world.venue.money = {"USDT": Decimal(900)}
    for _ in range(seconds):
        world.clock.pass_by(1)
        await resolve_due(world.desk)
    assert world.order().submission is Submission.UNKNOWN

    world.venue.money = {"USDT": Decimal(1000)}
    for _ in range(known_within_s):
        world.clock.pass_by(1)
        await resolve_due(world.desk)
    assert world.order().status is OrderStatus.UNPLACED


async def test_three_absences_of_a_moment_are_no_proof_when_the_venue_is_gone_for_the_rest_of_the_window(
    world: World,
) -> None:
    world.venue.script = ["lose"]
    await world.approve()
    for _ in range(20):
        world.clock.pass_by(1)
        await resolve_due(world.desk)
    assert world.order().looks.absences >= 3
    world.venue.is_down = True
    for _ in range(300):
        world.clock.pass_by(1)
        await resolve_due(world.desk)
    assert world.order().submission is Submission.UNKNOWN

    world.venue.is_down = False
    for _ in range(30):
        world.clock.pass_by(1)
        await resolve_due(world.desk)
    assert world.order().status is OrderStatus.UNPLACED


async def test_f08_a_worker_that_cannot_record_its_answer_within_the_lease_ends_and_the_order_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("order_worker.handlers.desk._PAUSE_S", 0)

    def goes_away() -> None:
        world.books.faults = [OSError("connection lost")] * 3

    class Ticking:
        def now(self) -> Any:
            world.clock.pass_by(2)
            return world.clock.at

    world.venue.script = [goes_away, "accept"]
    world.desk.clock = Ticking()
    with pytest.raises(OSError, match="connection lost"):
        await world.approve()
    assert world.desk.lost.is_set()
    assert world.order().submission is Submission.SENDING
    world.desk.clock = world.clock
    world.books.faults = []
    for _ in range(20):
        world.clock.pass_by(1)
        await resolve_due(world.desk)

    assert world.order().status is OrderStatus.FILLED
    assert len(world.venue.submits) == 1


async def test_a_probe_is_one_order_however_many_wait(world: World) -> None:
    for _ in range(5):
        world.desk.breaker = world.desk.breaker.failed(world.clock.at)
    world.clock.pass_by(30)
    world.venue.script = ["lose"] * 5
    await asyncio.gather(*(world.approve(number, instrument_id=f"C{number}/USDT@binance") for number in range(1, 6)))

    assert len(world.venue.submits) == 1


# fills


PARTS = 4


@settings(max_examples=200, deadline=None)
@given(st.permutations(range(2 * PARTS + 2)), st.booleans(), st.booleans())
def test_f20_fills_doubled_reversed_early_and_late_give_the_same_sums(
    turns: list[int], is_canceled: bool, is_known: bool
) -> None:
    """Each trade comes twice, alone or with the order, around the acknowledgement and the end, in any order."""

    async def run() -> None:
        world = a_world()
        wanted = PARTS if not is_canceled else PARTS - 1
        order = an_order(quantity=str(PARTS))
        trades = [a_trade(number, venue_order_id="v1") for number in range(1, wanted + 1)]
        end = OrderStatus.CANCELED if is_canceled else OrderStatus.FILLED
        news: list[Any] = [
            lambda: on_sightings(world.desk, [a_sighting(order)], "reply"),
            lambda: on_sightings(world.desk, [a_sighting(order, status=end, filled=str(wanted))], "poll"),
        ]
        for trade in trades:
            news.append(lambda trade=trade: on_trades(world.desk, [trade], "stream"))
            news.append(lambda trade=trade: on_sightings(world.desk, [a_sighting(order, trade, filled="1")], "stream"))
        if is_known:
            async with world.books.open() as page:
                await page.add(order, NOW)
            await world.books.claim(order.key, NOW)
        for turn in turns:
            if turn < len(news):
                await news[turn]()
        if not is_known:
            async with world.books.open() as page:
                await page.add(order, NOW)
            await world.books.claim(order.key, NOW)
            for each in news[:2]:
                await each()
            await on_trades(world.desk, trades, "poll")

        assert (world.order().status, world.order().filled_quantity) == (end, Decimal(wanted))
        held = world.books.store.positions[order.approved.instrument_id].position
        assert held.quantity == wanted - Decimal("0.001") * wanted
        assert len(world.books.store.fills) == wanted
        assert world.books.store.orphans == {}

    asyncio.run(run())
