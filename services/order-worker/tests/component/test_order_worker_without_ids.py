"""The handlers at a venue that keeps no client ids and names no trades."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from order_worker_builders import BTC, ETH, NOW, an_approval, an_order
from order_worker_fakes import FakeVenue, a_desk

from order_worker.domain.matching import Listed
from order_worker.domain.order import Order
from order_worker.domain.sightings import Capabilities, Sighting
from order_worker.handlers.approvals import on_order_approved
from order_worker.handlers.health import health_of
from order_worker.handlers.identifying import on_command
from order_worker.handlers.matching import adopt
from order_worker.handlers.reconciling import reconcile
from order_worker.handlers.resolving import resolve_due
from order_worker.handlers.sending import sweep
from order_worker.ports import VenueError
from sigmax.schemas.control import Alert, Command, CommandName
from sigmax.schemas.types import OrderStatus, Scope, Side, Submission


class Nameless(FakeVenue):
    """Answers with its own ids alone, and lists all orders there are."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.capabilities = Capabilities(client_ids=False, execution_ids=False)
        self.placed: list[Listed] = []
        self.asked = 0

    def accept(self, order: Order, *, is_filled: bool = True) -> Sighting:
        sighting = self._nameless(super().accept(order, is_filled=is_filled))
        self.orders[order.client_order_id] = sighting
        self.place(order, sighting)
        return sighting

    def place(self, order: Order, sighting: Sighting) -> None:
        approved = order.approved
        price, kind = approved.limit_price, approved.order_type
        self.placed.append(
            Listed(sighting, order.symbol, approved.side, approved.quantity, kind, price, None, self.clock.now())
        )

    def by_hand(self, order: Order) -> str:
        venue_order_id = f"h{len(self.placed)}"
        self.place(order, Sighting(venue_order_id, an_order().word, symbol=order.symbol))
        return venue_order_id

    def _nameless(self, sighting: Sighting) -> Sighting:
        notional = sighting.word.filled_quantity * 100
        return replace(sighting, client_order_id=None, trades=(), reference="branch", filled_notional=notional)

    async def find(self, order: Order) -> Sighting | None:
        self._answers()
        if order.venue_order_id is None:
            raise VenueError("no id")
        return next((each for each in self._shown() if each.venue_order_id == order.venue_order_id), None)

    async def orders_listed(self, symbol: str, since: datetime) -> list[Listed]:
        self._answers()
        self.asked += 1
        shown = [] if self.is_hidden else self.placed
        return [each for each in shown if each.symbol == symbol and each.placed_at >= since]


class World:
    def __init__(self) -> None:
        self.desk: Any = a_desk()
        self.clock, self.store_of = self.desk.clock, self.desk.books
        self.venue = Nameless(self.clock)
        self.desk.venue = _Port(self.venue)

    def order(self, number: int = 1) -> Order:
        order: Order = self.store_of.store.orders[an_order(number).client_order_id]
        return order

    def alerts(self, code: str) -> list[Alert]:
        return [each for each in self.store_of.store.published if isinstance(each, Alert) and each.code == code]

    async def approve(self, number: int = 1, **changes: Any) -> None:
        await on_order_approved(an_approval(number, now=self.clock.at, **changes), self.desk)

    async def resolve_for(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.pass_by(1)
            await resolve_due(self.desk)

    async def say(self, number: int, venue_order_id: str, **changes: Any) -> None:
        now = self.clock.at
        values: dict[str, Any] = {
            "command": CommandName.IDENTIFY_ORDER,
            "subject": "paper",
            "scope": Scope.ACCOUNT,
            "values": {"client_order_id": an_order(number).client_order_id, "venue_order_id": venue_order_id},
            "requested_by": "mina",
            "approved_by": "jun",
            "approved_at": now,
            **changes,
        }
        await on_command(Command(**Command.first(f"{number} {venue_order_id} {changes}", now), **values), self.desk)


class _Port:
    """The venue as its port names things: the fake has its orders under the name of the question."""

    def __init__(self, venue: Nameless) -> None:
        self._venue = venue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, "orders_listed" if name == "orders" else name)


@pytest.fixture
def world() -> World:
    return World()


async def test_an_accepted_order_grows_its_fills_and_keeps_what_a_cancel_needs(world: World) -> None:
    await world.approve()

    order = world.order()
    assert (order.status, order.filled_quantity, order.venue_reference) == (OrderStatus.FILLED, Decimal(1), "branch")
    (execution_id,) = world.store_of.store.fills
    assert execution_id.startswith("growth-")


async def test_one_request_is_in_flight_for_the_whole_account(world: World) -> None:
    world.venue.script = [lambda: None, "lose"]
    await world.approve(1)
    await world.approve(2, instrument_id=ETH)

    assert (world.order(1).submission, world.order(2).submission) == (Submission.UNKNOWN, Submission.READY)


async def test_whoever_finishes_wakes_what_waits_for_another_instrument(world: World) -> None:
    async with world.desk.books.open() as page:
        for number, instrument_id in ((1, BTC), (2, ETH)):
            await page.add(an_order(number, instrument_id=instrument_id, client_ids=False), NOW)
    await sweep(world.desk)

    assert {world.order(number).status for number in (1, 2)} == {OrderStatus.FILLED}


async def test_nothing_is_sent_while_the_venue_does_not_say_what_is_there(world: World) -> None:
    world.venue.is_down = True
    await world.approve()

    assert world.order().submission is Submission.READY
    assert world.venue.submits == []


async def test_a_lost_answer_is_found_by_looks_and_not_for_what_was_there_before(world: World) -> None:
    before = world.venue.by_hand(an_order())
    world.venue.script = ["accept_lose"]
    await world.approve()
    assert world.order().known_ids == {before}
    await world.resolve_for(3)

    assert (world.order().submission, world.order().status) == (Submission.ACKED, OrderStatus.FILLED)
    assert world.order().venue_order_id != before


async def test_an_order_that_found_its_other_half_meanwhile_takes_no_second_one(world: World) -> None:
    await world.approve()
    known = world.order()
    imitation = world.venue.by_hand(an_order())
    rows = await world.desk.venue.orders(known.symbol, NOW - timedelta(minutes=1))
    row = next(each for each in rows if each.venue_order_id == imitation)

    # The resolver saw it without a venue id, before its answer came.
    assert await adopt(world.desk, replace(known, venue_order_id=None), row, "resolver") is None
    assert world.order() == known


async def test_of_several_nothing_is_guessed_and_a_person_is_asked_once(world: World) -> None:
    world.venue.script = ["accept_lose"]
    await world.approve()
    imitation = world.venue.by_hand(an_order())
    await world.resolve_for(60)

    order = world.order()
    assert (order.submission, order.looks.is_unclear, order.looks.absences) == (Submission.UNKNOWN, True, 0)
    assert len(world.alerts("submission_unclear")) == 1
    assert (await health_of(world.desk, world.clock.at)).orders_unclear == 1
    ours = next(each.venue_order_id for each in world.venue.placed if each.venue_order_id != imitation)
    for refused in ({"approved_by": None}, {"approved_by": "Mina"}):
        await world.say(1, ours, **refused)
    await world.say(1, "v999")
    assert world.order().submission is Submission.UNKNOWN
    assert len(world.alerts("identity_refused")) == 3
    await world.say(1, ours)
    assert (world.order().submission, world.order().venue_order_id) == (Submission.ACKED, ours)


async def test_people_may_say_that_it_is_none_of_them(world: World) -> None:
    world.venue.script = ["accept_lose"]
    await world.approve()
    world.venue.by_hand(an_order())
    await world.resolve_for(10)
    await world.say(1, "")

    assert (world.order().submission, world.order().status) == (Submission.ABSENT, OrderStatus.UNPLACED)


async def test_a_list_with_holes_is_no_evidence(world: World) -> None:
    world.venue.by_hand(an_order(2, side=Side.SELL))
    world.venue.script = ["lose"]
    await world.approve()
    world.venue.is_hidden = True  # it says that there is nothing at all
    await world.resolve_for(120)
    assert (world.order().submission, world.order().looks.absences) == (Submission.UNKNOWN, 0)

    world.venue.is_hidden = False
    await world.resolve_for(120)
    assert world.order().submission is Submission.ABSENT


async def test_f19_what_was_proven_absent_and_comes_late_stops_the_account(world: World) -> None:
    world.venue.script = ["lose"]
    await world.approve()
    await world.resolve_for(60)
    assert world.order().submission is Submission.ABSENT
    late = world.venue.by_hand(world.order())
    await reconcile(world.desk)

    assert (world.order().submission, world.order().venue_order_id) == (Submission.ACKED, late)
    assert len(world.alerts("order_seen_late")) == 1
    assert world.store_of.store.account.blocked_reason is not None


async def test_a_market_order_that_found_no_room_is_not_sent_twice_under_one_approval(world: World) -> None:
    world.venue.script = ["limited", "limited"]
    await world.approve(1, limit_price=None)
    await world.approve(2)

    assert (world.order(1).submission, world.order(2).submission) == (Submission.ABSENT, Submission.READY)
    assert "not sent twice" in world.order(1).reason
