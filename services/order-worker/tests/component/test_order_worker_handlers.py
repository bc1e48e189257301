"""The handlers over books and a venue in memory: what each failure must end in."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from order_worker_builders import BTC, ETH, NOW, a_cancel, a_stage, an_approval, an_order
from order_worker_world import World

from order_worker.handlers.approvals import (
    ForgedApprovalError,
    on_cancel_requested,
    on_order_approved,
    on_stage_changed,
)
from order_worker.handlers.reconciling import reconcile
from order_worker.handlers.resolving import resolve_due
from order_worker.handlers.sending import sweep
from order_worker.handlers.working import on_sightings, on_trades, poll
from sigmax.schemas.control import Alert
from sigmax.schemas.orders import Fill, OrderEvent, PositionChanged, Reconciled, VenueHealth
from sigmax.schemas.types import OrderStatus, Scope, Side, Stage, Submission


async def test_an_approved_order_is_sent_once_and_booked(world: World) -> None:
    await world.approve()

    order = world.order()
    assert (order.submission, order.status, order.filled_quantity) == (Submission.ACKED, OrderStatus.FILLED, Decimal(1))
    assert [event.sequence for event in world.told(OrderEvent)] == [1, 2]
    assert len(world.told(Fill)) == 1
    (moved,) = world.told(PositionChanged)
    assert (moved.quantity, moved.sequence, moved.cash["USDT"].total) == (Decimal("0.999"), 1, Decimal(-100))


async def test_f14_an_approval_delivered_to_many_at_once_is_sent_once(world: World) -> None:
    await asyncio.gather(*(world.approve() for _ in range(10)))

    assert len(world.venue.submits) == 1
    assert world.order().status is OrderStatus.FILLED


async def test_f05_a_redelivery_after_the_commit_does_nothing(world: World) -> None:
    await world.approve()
    before = len(world.store.published)
    await world.approve()

    assert len(world.venue.submits) == 1
    assert len(world.store.published) == before


async def test_f01_a_worker_that_died_before_the_claim_leaves_its_order_to_the_redelivery(world: World) -> None:
    async with world.books.open() as page:
        await page.first_time(an_approval())
        await page.add(an_order(), NOW)
    await world.approve()

    assert world.order().status is OrderStatus.FILLED
    assert len(world.venue.submits) == 1


async def test_f02_a_claim_that_was_never_sent_is_unplaced_after_proof(world: World) -> None:
    async with world.books.open() as page:
        await page.add(an_order(), NOW)
    await world.books.claim(an_order().key, NOW)
    await world.resolve_for(9)
    assert world.order().submission is Submission.SENDING
    await world.resolve_for(50)

    assert (world.order().submission, world.order().status) == (Submission.ABSENT, OrderStatus.UNPLACED)
    assert world.venue.submits == []
    assert world.told(OrderEvent)[-1].status is OrderStatus.UNPLACED


async def test_f03_f04_an_answer_that_nobody_committed_is_found_at_the_venue(world: World) -> None:
    world.venue.script = ["die"]
    with pytest.raises(asyncio.CancelledError):
        await world.approve()
    assert world.order().submission is Submission.SENDING
    await world.approve()
    await world.resolve_for(15)

    assert world.order().status is OrderStatus.FILLED
    assert len(world.venue.submits) == 1
    assert len(world.told(Fill)) == 1


async def test_f08_an_answer_is_recorded_again_when_the_database_was_away(world: World) -> None:
    world.venue.script = [lambda: world.books.faults.append(OSError("connection lost")), "accept"]
    await world.approve()

    assert world.order().status is OrderStatus.FILLED
    assert len(world.venue.submits) == 1


async def test_f16_a_timeout_of_an_accepted_order_ends_acknowledged(world: World) -> None:
    world.venue.script = ["accept_lose"]
    await world.approve()
    assert world.order().submission is Submission.UNKNOWN
    assert world.told(OrderEvent)[-1].leaves_quantity == 1
    await world.resolve_for(3)

    assert world.order().status is OrderStatus.FILLED
    assert len(world.venue.submits) == 1


@pytest.mark.parametrize("step", ["lose"])
async def test_f17_f18_an_order_never_accepted_is_unplaced_after_proof_and_not_sent_again(
    world: World, step: str
) -> None:
    world.venue.script = [step]
    await world.approve()
    await world.resolve_for(25)
    assert world.order().submission is Submission.UNKNOWN
    await world.resolve_for(60)

    assert world.order().status is OrderStatus.UNPLACED
    assert len(world.venue.submits) == 1


async def test_a_venue_that_does_not_answer_proves_nothing(world: World) -> None:
    world.venue.script = ["lose"]
    await world.approve()
    world.venue.is_down = True
    await world.resolve_for(600)

    assert world.order().submission is Submission.UNKNOWN
    assert any(alert.code == "submission_unknown" for alert in world.told(Alert))


async def test_f19_a_late_sighting_is_taken_and_stops_the_account_until_a_person_says_so(world: World) -> None:
    world.venue.script = ["accept_lose"]
    world.venue.is_hidden = True
    await world.approve()
    await world.resolve_for(90)
    assert world.order().status is OrderStatus.UNPLACED
    world.venue.is_hidden = False
    await on_sightings(world.desk, list(world.venue.orders.values()), "stream")

    assert (world.order().submission, world.order().status) == (Submission.ACKED, OrderStatus.FILLED)
    assert world.told(Alert)[-1].code == "order_seen_late"
    assert not world.told(Reconciled)[-1].passed
    await world.approve(2)
    # The books agree again, which a step up asks for; the block is the person's to lift.
    assert await reconcile(world.desk)
    await sweep(world.desk)
    assert world.order(2).submission is Submission.READY

    world.clock.pass_by(1)
    for scope in (Scope.GLOBAL, Scope.ACCOUNT):
        up = a_stage(scope, Stage.NORMAL, version=3, now=world.clock.at, from_stage=Stage.HALTED)
        await on_stage_changed(up, world.desk)
    await sweep(world.desk)
    assert world.order(2).status is OrderStatus.FILLED


@pytest.mark.parametrize("order_of_arrival", list(permutations(["reply", "stream", "trades", "trades"], 4))[::4])
async def test_f20_fills_in_any_order_and_number_give_the_same_sums(
    world: World, order_of_arrival: tuple[str, ...]
) -> None:
    async with world.books.open() as page:
        await page.add(an_order(), NOW)
    claim = await world.books.claim(an_order().key, NOW)
    assert claim is not None
    sighting = world.venue.accept(claim.order)
    for source in order_of_arrival:
        if source == "trades":
            await on_trades(world.desk, sighting.trades, "stream")
        else:
            await on_sightings(world.desk, [sighting], source)

    assert world.order().status is OrderStatus.FILLED
    assert world.store.positions[BTC].position.quantity == Decimal("0.999")
    assert len(world.store.transactions) == len(world.told(Fill)) == len(world.store.fills) == 1
    assert world.store.orphans == {}


async def test_a_trade_of_an_order_not_yet_known_is_kept_and_adopted(world: World) -> None:
    sighting = world.venue.accept(an_order())
    await on_trades(world.desk, sighting.trades, "stream")
    assert len(world.store.orphans) == 1
    async with world.books.open() as page:
        await page.add(an_order(), NOW)
    await world.books.claim(an_order().key, NOW)
    await on_sightings(
        world.desk, [type(sighting)(sighting.venue_order_id, sighting.word, sighting.client_order_id)], "poll"
    )

    assert world.order().status is OrderStatus.FILLED
    assert world.store.orphans == {}


async def test_f19_a_trade_that_does_not_name_its_order_tells_of_one_that_was_proven_absent(world: World) -> None:
    """Simulated seed 7301: it filled before any list showed it, so its trade is all that is ever seen of it."""
    world.venue.script = ["accept_lose"]
    world.venue.is_hidden = True
    await world.approve()
    await world.resolve_for(90)
    assert world.order().status is OrderStatus.UNPLACED
    world.venue.is_hidden = False
    (sighting,) = world.venue.orders.values()
    assert all(trade.client_order_id is None for trade in sighting.trades)
    await on_trades(world.desk, sighting.trades, "reconciliation")

    assert (world.order().submission, world.order().status) == (Submission.ACKED, OrderStatus.FILLED)
    assert world.told(Alert)[-1].code == "order_seen_late"
    assert world.store.orphans == {}


async def test_f25_an_approval_past_its_time_is_not_sent(world: World) -> None:
    approved = an_approval()
    world.clock.pass_by(31)
    await on_order_approved(approved, world.desk)

    assert world.order().status is OrderStatus.UNPLACED
    assert world.venue.submits == []


@pytest.mark.parametrize("stage", [Stage.HALTED, Stage.LOCKED])
async def test_f26_nothing_is_sent_after_a_halt_and_what_is_in_flight_is_resolved(world: World, stage: Stage) -> None:
    world.venue.script = ["accept_lose"]
    await world.approve(1)
    await on_stage_changed(a_stage(Scope.GLOBAL, stage, version=2), world.desk)
    await world.approve(2, instrument_id=ETH)
    await world.resolve_for(3)

    assert world.order(1).status is OrderStatus.FILLED
    assert world.order(2).status is OrderStatus.UNPLACED
    assert len(world.venue.submits) == 1


async def test_reducing_sends_exits_and_nothing_else(world: World) -> None:
    await world.approve(1)
    await on_stage_changed(a_stage(Scope.ACCOUNT, Stage.REDUCING, version=2), world.desk)
    await world.approve(2)
    await world.approve(3, side=Side.SELL, quantity="0.999", reduce_only=True)

    assert world.order(2).status is OrderStatus.UNPLACED
    assert world.order(3).status is OrderStatus.FILLED


async def test_f15_an_old_word_about_a_stage_is_ignored(world: World) -> None:
    await on_stage_changed(a_stage(Scope.GLOBAL, Stage.HALTED, version=3), world.desk)
    await on_stage_changed(a_stage(Scope.GLOBAL, Stage.NORMAL, version=2), world.desk)
    await world.approve()

    assert world.order().status is OrderStatus.UNPLACED


async def test_a_forged_approval_makes_no_order(world: World) -> None:
    with pytest.raises(ForgedApprovalError):
        await world.approve(key=b"x" * 32)

    assert world.store.orders == {}


async def test_an_approval_for_another_account_is_not_sent(world: World) -> None:
    await world.approve(account_id="another")

    assert world.order().status is OrderStatus.UNPLACED
    assert world.venue.submits == []


async def test_new_exposure_waits_for_an_unknown_order_and_an_exit_only_for_its_first_look(world: World) -> None:
    await world.approve(1, quantity="2")
    world.venue.script = ["accept_lose"]
    world.venue.is_hidden = True
    await world.approve(2)
    await world.approve(3)
    await world.approve(4, side=Side.SELL, reduce_only=True)
    assert [world.order(number).submission for number in (3, 4)] == [Submission.READY, Submission.READY]
    await world.resolve_for(3)
    await sweep(world.desk)

    assert world.order(4).status is OrderStatus.FILLED
    assert world.order(3).submission is Submission.READY
    world.venue.is_hidden = False
    await world.resolve_for(10)
    await sweep(world.desk)
    assert world.order(3).status is OrderStatus.FILLED


@pytest.mark.parametrize(("early_s", "is_sent"), [(0.1, False), (0, True)])
async def test_an_exit_does_not_wait_for_a_first_look_that_takes_too_long(
    world: World, early_s: float, is_sent: bool
) -> None:
    await world.approve(1, quantity="2")
    world.venue.script = ["accept_lose"]
    await world.approve(2)
    await world.approve(3, side=Side.SELL, reduce_only=True)
    assert world.order(3).submission is Submission.READY

    world.clock.pass_by(world.desk.terms.exit_waits_max.total_seconds() - early_s)
    await sweep(world.desk)
    assert world.order(3).status is (OrderStatus.FILLED if is_sent else OrderStatus.PENDING_NEW)


async def test_whoever_finishes_a_key_wakes_the_next(world: World) -> None:
    async with world.books.open() as page:
        for number in (1, 2, 3):
            await page.add(an_order(number), NOW)
    await world.approve(4)

    assert [world.order(number).status for number in (1, 2, 3, 4)] == [OrderStatus.FILLED] * 4
    assert world.venue.submits == [an_order(number).client_order_id for number in (1, 2, 3, 4)]


async def test_an_order_that_never_left_is_tried_a_bounded_number_of_times(world: World) -> None:
    world.venue.script = ["not_sent"] * 10
    await world.approve()
    assert world.order().submission is Submission.READY
    for _ in range(40):
        world.clock.pass_by(1)
        world.desk.breaker = type(world.desk.breaker)()
        await sweep(world.desk)

    assert world.order().status is OrderStatus.UNPLACED
    assert world.venue.submits == []


async def test_f22_five_unanswered_submits_stop_sending_for_a_while(world: World) -> None:
    world.venue.script = ["lose"] * 5
    for number in range(1, 6):
        await world.approve(number, instrument_id=f"C{number}/USDT@binance")
    await world.approve(6)

    assert world.order(6).submission is Submission.READY
    assert any(alert.code == "venue_failing" for alert in world.told(Alert))


@pytest.mark.parametrize(("unanswered", "is_open"), [(4, False), (5, True)])
async def test_f22_whoever_stops_sending_says_so_at_once(world: World, unanswered: int, is_open: bool) -> None:
    world.venue.script = ["lose"] * unanswered
    for number in range(1, unanswered + 1):
        await world.approve(number, instrument_id=f"C{number}/USDT@binance")

    told = world.told(VenueHealth)
    assert [each.is_circuit_open for each in told] == ([True] if is_open else [])
    assert all(each.orders_unknown == 4 for each in told), "the fifth is recorded together with this word"


async def test_sends_that_were_too_late_by_our_own_clock_say_nothing_of_the_venue(world: World) -> None:
    world.venue.script = ["too_late"] * 5
    for number in range(5):
        await world.approve(number, instrument_id=f"C{number}/USDT@binance")
    await world.approve(5)

    assert world.order(5).status is OrderStatus.FILLED
    assert {world.order(number).submission for number in range(5)} == {Submission.READY}


async def test_a_refusal_with_proof_is_a_rejection(world: World) -> None:
    world.venue.script = ["refuse"]
    await world.approve()

    assert (world.order().submission, world.order().status) == (Submission.REFUSED, OrderStatus.REJECTED)


async def test_a_duplicate_id_is_asked_for_at_once(world: World) -> None:
    world.venue.script = ["duplicate"]
    world.venue.accept(an_order())
    await world.approve()
    assert world.order().submission is Submission.UNKNOWN
    await resolve_due(world.desk)

    assert world.order().status is OrderStatus.FILLED


async def test_a_cancel_before_the_send_keeps_the_order_here(world: World) -> None:
    await on_cancel_requested(a_cancel(1), world.desk)
    await world.approve(1)
    world.desk.is_reconciled = False
    await world.approve(2)
    await on_cancel_requested(a_cancel(2), world.desk)

    assert [world.order(number).status for number in (1, 2)] == [OrderStatus.UNPLACED] * 2
    assert world.venue.submits == []


async def test_a_cancel_during_the_send_follows_the_answer(world: World) -> None:
    world.venue.script = ["rest"]
    sending = asyncio.create_task(world.approve())
    while not world.venue.submits:
        await asyncio.sleep(0)
    await on_cancel_requested(a_cancel(1), world.desk)
    await sending

    assert world.order().status is OrderStatus.CANCELED


async def test_a_cancel_that_the_venue_does_not_answer_is_repeated(world: World) -> None:
    world.venue.script = ["rest"]
    await world.approve()
    world.venue.is_down = True
    await on_cancel_requested(a_cancel(1), world.desk)
    assert world.order().status is OrderStatus.PENDING_CANCEL
    world.venue.is_down = False
    world.clock.pass_by(5)
    await poll(world.desk)
    await on_cancel_requested(a_cancel(1, part="again"), world.desk)

    assert world.order().status is OrderStatus.CANCELED


async def test_a_cancel_passes_in_a_halt_but_not_when_locked(world: World) -> None:
    world.venue.script = ["rest", "rest"]
    await world.approve(1)
    await world.approve(2)
    await on_stage_changed(a_stage(Scope.GLOBAL, Stage.HALTED, version=2), world.desk)
    await on_cancel_requested(a_cancel(1), world.desk)
    await on_stage_changed(a_stage(Scope.GLOBAL, Stage.LOCKED, version=3), world.desk)
    await on_cancel_requested(a_cancel(2), world.desk)

    assert world.order(1).status is OrderStatus.CANCELED
    assert world.order(2).status is OrderStatus.PENDING_CANCEL


async def test_the_first_reconciliation_opens_the_books_and_nothing_is_sent_before(world: World) -> None:
    world.desk.is_reconciled = False
    world.store.is_reconciled = False
    world.venue.money = {"USDT": Decimal(1000)}
    await world.approve()
    assert world.venue.submits == []

    assert await reconcile(world.desk)
    (told,) = world.told(Reconciled)
    assert (told.passed, told.cash["USDT"].total) == (True, Decimal(1000))
    await sweep(world.desk)
    assert world.order().status is OrderStatus.FILLED


async def test_fills_that_we_missed_are_taken_in_and_the_books_agree(world: World) -> None:
    world.venue.money = {"USDT": Decimal(1000)}
    await reconcile(world.desk)
    world.venue.script = ["rest"]
    await world.approve()
    world.venue.accept(world.order())
    sighting = world.venue.orders[world.order().client_order_id]
    trade = type(sighting.trades[0])(**{**vars(sighting.trades[0]), "venue_order_id": "v1"})
    world.venue.orders = {
        sighting.client_order_id or "": type(sighting)(
            "v1", sighting.word, sighting.client_order_id, "BTC/USDT", (trade,)
        )
    }
    world.venue.money = {"USDT": Decimal(900), "BTC": Decimal("0.999")}

    assert await reconcile(world.desk)
    assert world.order().status is OrderStatus.FILLED
    assert len(world.store.fills) == 1


async def test_what_nobody_can_explain_fails_and_stops_sends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("order_worker.handlers.reconciling._PAUSE_S", 0)
    world.venue.money = {"USDT": Decimal(1000)}
    await reconcile(world.desk)
    world.venue.money = {"USDT": Decimal(900)}

    assert not await reconcile(world.desk)
    assert world.told(Alert)[-1].code == "reconciliation_failed"
    await world.approve()
    assert world.venue.submits == []
    assert len(world.store.transactions) == 1


async def test_f24_nothing_is_sent_while_the_clocks_differ(world: World) -> None:
    world.venue.clock_gap = timedelta(seconds=2)

    assert not await reconcile(world.desk)
    assert world.told(Reconciled)[-1].differences[0].kind == "clock"
    await world.approve()
    assert world.venue.submits == []


async def test_dust_is_adjusted_with_its_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("order_worker.handlers.reconciling._PAUSE_S", 0)
    world.venue.money = {"USDT": Decimal(1000)}
    await reconcile(world.desk)
    world.clock.pass_by(60)
    world.venue.money = {"USDT": Decimal("1000.004")}

    assert await reconcile(world.desk)
    assert [each.reason for each in world.store.transactions.values()] == ["opening", "adjustment: dust"]
    world.clock.pass_by(60)
    assert await reconcile(world.desk)
    assert len(world.store.transactions) == 2
