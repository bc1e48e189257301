"""What holds for every sequence of events: the life of an order, fills in any order, sums, claims and fences.

`make chaos` runs this file again and again, each time from another seed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from chaos_builders import APPROVED, NOW, TERMS, approval, trade
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from order_worker.domain.booking import cash_after, counted, execution_of, fill_of, is_late, seen, transaction_of
from order_worker.domain.budget import Bucket, Kind
from order_worker.domain.order import Order, renumbered
from order_worker.domain.resolving import after_absence, after_failure, is_absence_proven
from order_worker.domain.sightings import ALL_IDS, Answer, Outcome, Sighting, Trade
from order_worker.handlers import sending
from order_worker.handlers.desk import Desk
from order_worker.handlers.resolving import resolve_due
from order_worker.ports import Account, Claim
from sigmax.domain.ledger import Execution, LedgerAccount, entries_of, fold, imbalance
from sigmax.domain.orders import SUBMISSIONS, VenueWord
from sigmax.schemas.types import OrderStatus, Side, Submission
from sigmax_local.chaos.simulation.books import MemoryBooks
from sigmax_local.chaos.simulation.budget import MemoryBudget
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.process import Process
from sigmax_local.chaos.simulation.rows import AccountRow, OrderRow
from sigmax_local.chaos.simulation.server import Server

OPEN = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED)
ENDS = (OrderStatus.CANCELED, OrderStatus.EXPIRED)
TRADES = st.lists(st.integers(1, 4), min_size=1, max_size=4, unique=True).map(
    lambda numbers: [trade(n) for n in numbers]
)


def _words(*statuses: OrderStatus) -> st.SearchStrategy[VenueWord]:
    return st.builds(VenueWord, st.sampled_from(statuses), st.integers(0, 4).map(Decimal))


def _things(end: OrderStatus) -> st.SearchStrategy[list[VenueWord | Trade]]:
    return st.lists(st.one_of(_words(*OPEN, end), st.integers(1, 4).map(trade)), min_size=1, max_size=8)


WORDS = _words(*OPEN, *ENDS)


THINGS = st.sampled_from(ENDS).flatmap(_things)
"""What the venue may say of one order, in any order: it may end in one way or the other, and never in both."""


def taken_in(things: Sequence[VenueWord | Trade], *, is_cancel_wanted: bool) -> tuple[Order, dict[str, Trade]]:
    """Show an order what the venue says, one thing after the other, as the books take it in."""
    order = replace(Order(APPROVED), submission=Submission.SENDING, cancel_wanted=is_cancel_wanted)
    fills: dict[str, Trade] = {}
    for thing in things:
        if isinstance(thing, Trade):
            order = seen(order, Sighting("v1", VenueWord(), trades=(thing,)), NOW)
            fills.setdefault(thing.execution_id, thing)
        else:
            order = seen(order, Sighting("v1", thing), NOW)
        order = counted(order, sum((each.quantity for each in fills.values()), Decimal(0)), None)
    return order, fills


@given(st.data(), THINGS, st.booleans())
def test_fills_and_words_in_any_order_and_any_number_make_the_same_order(
    data: st.DataObject, things: list[VenueWord | Trade], is_cancel_wanted: bool
) -> None:
    shuffled = data.draw(st.permutations(things + data.draw(st.lists(st.sampled_from(things), max_size=4))))
    first, fills = taken_in(things, is_cancel_wanted=is_cancel_wanted)
    second, again = taken_in(shuffled, is_cancel_wanted=is_cancel_wanted)

    assert fills == again
    assert (first.word, first.filled_quantity) == (second.word, second.filled_quantity)
    if not first.misses_fills:  # until then, an end that was told too early stands, and another one waits for the fills
        assert first.status is second.status
        assert first.leaves_quantity == second.leaves_quantity


@given(THINGS, st.booleans())
def test_an_order_ends_only_when_every_fill_that_the_venue_counts_is_here(
    things: list[VenueWord | Trade], is_cancel_wanted: bool
) -> None:
    told = [each for each in things if isinstance(each, VenueWord)]
    most = max((each.filled_quantity for each in told), default=Decimal(0))
    things = [replace(each, filled_quantity=most) if isinstance(each, VenueWord) else each for each in things]
    order, fills = taken_in(things, is_cancel_wanted=is_cancel_wanted)

    if order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        assert order.filled_quantity >= order.word.filled_quantity
    if order.status is OrderStatus.FILLED:
        assert order.filled_quantity >= APPROVED.quantity
    assert order.leaves_quantity == (0 if order.status.is_terminal else APPROVED.quantity - order.filled_quantity)
    assert order.filled_quantity == sum(each.quantity for each in fills.values())


EXECUTIONS = st.lists(
    st.builds(
        Execution,
        execution_id=st.integers(1, 12).map(str),
        executed_at=st.integers(0, 5).map(lambda seconds: NOW + timedelta(seconds=seconds)),
        base=st.just("BTC"),
        quote=st.just("USDT"),
        side=st.sampled_from(Side),
        price=st.decimals("0.01", "1000", places=2),
        quantity=st.decimals("0.001", "50", places=3),
        fee=st.decimals("-0.01", "0.1", places=4),
        fee_currency=st.sampled_from(("BTC", "USDT", "BNB")),
    ),
    max_size=10,
    unique_by=lambda each: each.execution_id,
)


@given(EXECUTIONS, st.data())
def test_positions_are_sums_whatever_comes_first_and_how_often(
    executions: list[Execution], data: st.DataObject
) -> None:
    doubled = executions + (data.draw(st.lists(st.sampled_from(executions), max_size=5)) if executions else [])

    assert fold(data.draw(st.permutations(doubled))) == fold(executions)
    assert fold(executions).quantity == sum((each.base_change for each in executions), Decimal(0))


@given(EXECUTIONS)
def test_every_execution_is_booked_in_entries_that_sum_to_zero_and_hold_what_was_traded(
    executions: list[Execution],
) -> None:
    entries = [entry for each in executions for entry in entries_of(each)]
    home = (LedgerAccount.CASH, LedgerAccount.HOLDING)
    base = sum((entry.amount for entry in entries if entry.asset == "BTC" and entry.account in home), Decimal(0))

    assert all(imbalance(entries_of(each)) == {} for each in executions)
    assert base == fold(executions).quantity


@given(TRADES)
def test_cash_after_transactions_is_the_sum_of_their_entries(trades: list[Trade]) -> None:
    order = replace(Order(APPROVED), venue_order_id="v1")
    transactions = [
        transaction_of(execution_of(APPROVED, each), fill_of(order, each, NOW), TERMS.market, TERMS.calendar)
        for each in trades
    ]
    entries = [entry for each in transactions for entry in each.entries if entry.account is LedgerAccount.CASH]

    assert cash_after({}, transactions)["USDT"].total == sum(entry.amount for entry in entries if entry.asset == "USDT")
    assert len({each.transaction_id for each in transactions}) == len(trades)


class LifeOfAnOrder(RuleBasedStateMachine):
    """One order, whatever happens to it, in the pure code alone."""

    def __init__(self) -> None:
        super().__init__()
        self.order = Order(approval(1))
        self.before = self.order
        self.now = NOW
        self.fills: dict[str, Trade] = {}
        self.missed_since: Any = None
        self.misses = 0

    def become(self, after: Order) -> None:
        self.before, self.order = self.order, renumbered(self.order, after)

    @rule(seconds=st.integers(0, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.order.submission is Submission.READY)
    @rule()
    def claim(self) -> None:
        order = self.order
        self.become(
            replace(
                order,
                submission=Submission.SENDING,
                fence=order.fence + 1,
                claimed_at=self.now,
                send_deadline=self.now + TERMS.send,
            )
        )

    @precondition(lambda self: self.order.submission is Submission.SENDING)
    @rule(outcome=st.sampled_from([each for each in Outcome if each is not Outcome.ACCEPTED]))
    def answer(self, outcome: Outcome) -> None:
        desk: Any = type("", (), {"terms": TERMS})()
        self.become(sending._after(self.order, Answer(outcome, "a reason"), self.now, desk))

    @precondition(lambda self: self.order.submission is Submission.READY)
    @rule()
    def expire(self) -> None:
        self.become(self.order.unplaced("too late"))

    @precondition(lambda self: self.order.submission is Submission.SENDING)
    @rule()
    def lose(self) -> None:
        self.become(replace(self.order.unknown("nobody reported", self.now), fence=self.order.fence + 1))

    @precondition(lambda self: self.order.submission is Submission.UNKNOWN)
    @rule(is_answered=st.booleans())
    def look(self, is_answered: bool) -> None:
        count = after_absence if is_answered else after_failure
        looks = count(self.order.looks, self.now, TERMS)
        is_proven = is_answered and is_absence_proven(self.order, looks, self.now, TERMS)
        if is_answered:
            self.missed_since = self.now if not self.order.looks.absences else self.missed_since
            self.misses = looks.absences
        after = replace(self.order, looks=looks)
        self.become(after.unplaced("absent") if is_proven else after)
        if is_proven:
            assert self.misses >= TERMS.absence_looks_min
            assert self.now - self.missed_since >= 2 * (TERMS.recv_window + TERMS.submit_timeout)

    @rule()
    def want_cancel(self) -> None:
        self.become(replace(self.order, cancel_wanted=True))

    @rule(word=WORDS, trades=st.lists(st.integers(1, 4).map(trade), max_size=3))
    def show(self, word: VenueWord, trades: list[Trade]) -> None:
        was_late = is_late(self.order)
        self.fills |= {each.execution_id: each for each in trades}
        after = seen(self.order, Sighting("v1", word, trades=tuple(trades)), self.now)
        self.become(counted(after, sum((each.quantity for each in self.fills.values()), Decimal(0)), None))
        assert was_late is (self.before.submission in (Submission.READY, Submission.REFUSED, Submission.ABSENT))

    @invariant()
    def every_step_is_on_the_table(self) -> None:
        before, after = self.before.submission, self.order.submission
        assert after is before or after in SUBMISSIONS[before]

    @invariant()
    def what_the_venue_has_is_never_forgotten(self) -> None:
        if self.before.submission is Submission.ACKED:
            assert self.order.submission is Submission.ACKED
            assert self.order.venue_order_id == "v1"

    @invariant()
    def only_what_is_known_has_ended(self) -> None:
        if self.order.status.is_terminal:
            assert self.order.submission in (Submission.ACKED, Submission.REFUSED, Submission.ABSENT)
            assert self.order.leaves_quantity == 0
        if self.order.submission in (Submission.SENDING, Submission.UNKNOWN, Submission.READY):
            assert self.order.leaves_quantity == self.order.approved.quantity

    @invariant()
    def the_others_hear_of_changes_in_turn(self) -> None:
        assert self.order.sequence - self.before.sequence in (0, 1)


class ClaimsAndFences(RuleBasedStateMachine):
    """Three workers at the same rows: the claim, the lease, the fence, and the resolver, over the books in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.server = Server(self.loop, Random(1))
        self.server.tables.of("accounts")["paper"] = AccountRow(Account(0, reconciled_at=NOW), is_reconciled=True)
        self.buckets: dict[Kind, Bucket] = {}
        self.desks = [self._desk(f"order-worker-{number}") for number in range(3)]
        self.claims: list[tuple[Desk, Claim]] = []
        self.fences: dict[str, int] = {}
        self.added = 0

    def teardown(self) -> None:
        self.loop.end()

    def _desk(self, name: str) -> Desk:
        process = Process(name, self.loop, lambda *_: None)
        books = MemoryBooks(self.server, process, TERMS, lambda _: None)
        budget = MemoryBudget(self.buckets, process)
        return Desk(books, NowhereVenue(), None, process, TERMS, budget, is_reconciled=True)  # type: ignore[arg-type]

    def _run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def rows(self) -> dict[str, OrderRow]:
        return self.server.tables.of("orders")

    @rule(worker=st.integers(0, 2))
    def add(self, worker: int) -> None:
        assume(self.added < 5)
        self.added += 1

        async def record() -> None:
            async with self.desks[worker].books.open() as page:
                await page.add(Order(approval(self.added)), NOW)

        self._run(record())

    @rule(worker=st.integers(0, 2))
    def claim(self, worker: int) -> None:
        desk = self.desks[worker]
        unknown = [each for each in self.rows().values() if each.order.submission is Submission.UNKNOWN]
        claim = self._run(desk.books.claim(Order(approval(1)).key, desk.clock.now()))
        if claim is not None:
            assert not unknown, "an entry was claimed beside an unknown order of its key"
            order = claim.order
            assert order.fence > self.fences.get(order.client_order_id, 0)
            self.fences[order.client_order_id] = order.fence
            self.claims.append((desk, claim))

    @rule(
        data=st.data(), outcome=st.sampled_from([Outcome.REFUSED, Outcome.UNKNOWN, Outcome.NOT_SENT, Outcome.LIMITED])
    )
    def report(self, data: st.DataObject, outcome: Outcome) -> None:
        assume(self.claims)
        desk, claim = data.draw(st.sampled_from(self.claims))
        before = self.rows()[claim.order.client_order_id].order
        is_current = (before.submission, before.fence) == (Submission.SENDING, claim.order.fence)
        changed = self._run(sending._record(desk, claim.order, Answer(outcome, "told")))
        after = self.rows()[claim.order.client_order_id].order
        assert (changed is not None) is is_current
        if not is_current:
            assert after == before, "a worker whose fence had passed wrote"

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self._run(asyncio.sleep(seconds))

    @rule(worker=st.integers(0, 2))
    def resolve(self, worker: int) -> None:
        self._run(resolve_due(self.desks[worker]))

    @invariant()
    def one_request_is_in_flight_per_key(self) -> None:
        sending_now = [each for each in self.rows().values() if each.order.submission is Submission.SENDING]
        assert len(sending_now) <= 1

    @invariant()
    def no_row_stays_locked(self) -> None:
        assert self.server.owners == {}


class NowhereVenue:
    """A venue that has no orders and takes none: only the rows are of interest here."""

    capabilities = ALL_IDS

    async def submit(self, _: Order) -> Answer:
        return Answer(Outcome.REFUSED, "nowhere")

    async def find(self, _: Order) -> None:
        return None

    async def open_orders(self, _: object) -> list[Sighting]:
        return []

    async def trades(self, *_: object) -> list[Trade]:
        return []

    async def balances(self) -> dict[str, Decimal]:
        return {}


LifeOfAnOrderTest = LifeOfAnOrder.TestCase
ClaimsAndFencesTest = ClaimsAndFences.TestCase
LifeOfAnOrderTest.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
ClaimsAndFencesTest.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
