"""Bugs of the kind that lose or double orders, planted in the handlers or beneath them while one test runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from order_worker.domain.growth import growth
from order_worker.domain.matching import Match, Verdict, match
from order_worker.domain.order import Order
from order_worker.domain.sightings import Answer, Outcome, Sighting, Trade
from order_worker.handlers import approvals, booking, matching, resolving, sending
from order_worker.handlers.desk import Desk
from order_worker.ports import Claim
from sigmax.domain.orders import SUBMISSIONS
from sigmax_local.chaos.simulation import worker
from sigmax_local.chaos.simulation.books import MemoryBooks
from sigmax_local.chaos.simulation.broker import Delivery
from sigmax_local.chaos.simulation.page import MemoryPage
from sigmax_local.chaos.simulation.rows import OrderRow
from sigmax_local.chaos.simulation.server import Transaction
from sigmax_local.chaos.simulation.wire import Wire

Plant = Callable[[pytest.MonkeyPatch], None]


def send_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """The claim is written only after the request has left."""

    async def claim(
        self: MemoryBooks, key: tuple[str, str], now: datetime, known_ids: frozenset[str] | None = None
    ) -> Claim | None:
        transaction = Transaction(self._server, self._process)
        try:
            await transaction.statement("claim asked")
            claimed = await self._claim(transaction, key, now, known_ids)
        finally:
            transaction.abort()
        if claimed is None:
            return None
        order = claimed.order

        def commit_later() -> None:
            if self._process.is_alive:
                self._server.apply({("orders", order.client_order_id): claimed})

        self._server.loop.call_later(0.15, commit_later)
        return Claim(order, tuple(stage for stage, _ in self._table("stages").values()))

    patch.setattr(MemoryBooks, "claim", claim)


def retry_a_submit(patch: pytest.MonkeyPatch) -> None:
    """What was not answered is sent again."""
    submit = Wire.submit

    async def twice(self: Wire, order: Order) -> Answer:
        answer = await submit(self, order)
        return await submit(self, order) if answer.outcome is Outcome.UNKNOWN else answer

    patch.setattr(Wire, "submit", twice)


def take_unknown_for_rejected(patch: pytest.MonkeyPatch) -> None:
    """A timeout counts as a no."""
    after = sending._after

    def rejected(order: Order, answer: Answer, now: datetime, desk: Desk) -> Order:
        if answer.outcome is Outcome.UNKNOWN:
            return order.refused(answer.reason)
        return after(order, answer, now, desk)

    patch.setattr(sending, "_after", rejected)


def take_unknown_for_not_sent(patch: pytest.MonkeyPatch) -> None:
    """A timeout puts the order back, and the sweep sends it once more."""
    after = sending._after

    def put_back(order: Order, answer: Answer, now: datetime, desk: Desk) -> Order:
        if answer.outcome is Outcome.UNKNOWN:
            return order.not_sent(answer.reason, now, desk.terms)
        return after(order, answer, now, desk)

    patch.setattr(sending, "_after", put_back)


def count_fills_by_increments(patch: pytest.MonkeyPatch) -> None:
    """Every message of a trade adds to what is filled and held, whether the trade is known or not."""
    add_fills = MemoryPage.add_fills
    counted = booking._move

    async def all_of_them(
        self: MemoryPage, order: Order, trades: Sequence[Trade], source: str, now: datetime
    ) -> list[Trade]:
        await add_fills(self, order, trades, source, now)
        return list(trades)

    async def incremented(page: Any, account: Any, order: Order, fresh: Sequence[Trade], now: datetime) -> Order:
        moved = await counted(page, account, order, fresh, now)
        return replace(moved, filled_quantity=order.filled_quantity + sum(each.quantity for each in fresh))

    patch.setattr(MemoryPage, "add_fills", all_of_them)
    patch.setattr(booking, "_move", incremented)


def acknowledge_first(patch: pytest.MonkeyPatch) -> None:
    """The broker forgets the message before it was handled."""
    handle = worker.Worker._handle

    async def acknowledged(self: worker.Worker, handler: Any, delivery: Delivery) -> None:
        await self._broker.acknowledge(delivery)
        await handle(self, handler, delivery)

    patch.setattr(worker.Worker, "_handle", acknowledged)


def trust_the_list_of_open_orders(patch: pytest.MonkeyPatch) -> None:
    """What does not rest at the venue was never placed."""

    async def ask(desk: Desk, order: Order) -> Sighting | None:
        resting = await desk.venue.open_orders({order.symbol})
        return next((each for each in resting if each.client_order_id == order.client_order_id), None)

    patch.setattr(resolving, "_ask", ask)
    patch.setattr(resolving, "_unexplained", _nothing)


async def _nothing(*_: object) -> None:
    """Find nothing unexplained."""


def prove_absence_by_one_look(patch: pytest.MonkeyPatch) -> None:
    """The first look that does not find the order ends it, whatever the money says."""
    patch.setattr(resolving, "is_absence_proven", lambda *_: True)
    patch.setattr(resolving, "_unexplained", _nothing)


def claim_without_the_row(patch: pytest.MonkeyPatch) -> None:
    """Whoever saw the row waiting takes it, without holding it and without looking whether it still waits."""

    async def claim(
        self: MemoryBooks, transaction: Transaction, key: tuple[str, str], now: datetime, known_ids: Any
    ) -> Any:
        for _, row in transaction.all("orders"):
            if row.order.key == key and str(row.order.submission) == "ready":
                await self._process.hop("claiming", 0.005)
                order = replace(
                    row.order, fence=row.order.fence + 1, claimed_at=now, send_deadline=now + self._terms.send
                )
                order = replace(order, known_ids=known_ids or frozenset())
                order = replace(order, submission=next(each for each in SUBMISSIONS if str(each) == "sending"))
                return OrderRow(order, row.number, now + self._terms.lease)
        return None

    patch.setattr(MemoryBooks, "_claim", claim)


def ignore_the_halt(patch: pytest.MonkeyPatch) -> None:
    """The stages are not looked at before the send."""
    patch.setattr(sending, "refusal_to_send", lambda *_: None)


def believe_every_approval(patch: pytest.MonkeyPatch) -> None:
    """Signatures are not verified."""
    patch.setattr(approvals, "verify", lambda *_: True)
    patch.setattr("order_worker.domain.permission.verify", lambda *_: True)


def tell_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """The others hear what may still be rolled back."""

    @asynccontextmanager
    async def told_at_once(self: MemoryBooks) -> AsyncIterator[MemoryPage]:
        transaction = Transaction(self._server, self._process)
        page = MemoryPage(transaction, self._terms)
        try:
            yield page
            self._on_commit(page.letters)
            await asyncio.sleep(0.01)
            await transaction.commit()
        finally:
            transaction.leave()

    patch.setattr(MemoryBooks, "open", told_at_once)


def forget_what_was_there_before(patch: pytest.MonkeyPatch) -> None:
    """Without client ids: any venue order that looks like ours may be ours."""
    patch.setattr(matching, "remembered", lambda _: frozenset())


def take_the_first_of_several(patch: pytest.MonkeyPatch) -> None:
    """Without client ids: of several venue orders that look like ours, the first is taken."""

    def first(*values: Any) -> Match:
        found = match(*values)
        return Match(Verdict.FOUND, found.rows[:1]) if found.verdict is Verdict.SEVERAL else found

    patch.setattr(matching, "match", first)


def take_what_is_owned(patch: pytest.MonkeyPatch) -> None:
    """Without client ids: what is another order of ours already is taken once more."""

    async def nobodys(*_: object) -> bool:
        return False

    patch.setattr(matching, "match", lambda order, rivals, rows, _: match(order, rivals, rows, ()))
    patch.setattr(MemoryPage, "is_owned", nobodys)


def take_what_another_may_be(patch: pytest.MonkeyPatch) -> None:
    """Without client ids: a venue order that may be another one of ours is taken by who looks first."""
    patch.setattr(matching, "match", lambda order, _, rows, owned: match(order, (), rows, owned))


def count_every_total_as_a_trade(patch: pytest.MonkeyPatch) -> None:
    """Without ids of trades: what has filled in all is booked as often as it grows."""

    def total(order: Order, sighting: Sighting, now: datetime) -> tuple[Trade, ...]:
        return growth(replace(order, filled_quantity=Decimal(0), average_price=None), sighting, now)

    patch.setattr(booking, "growth", total)


PLANTED: dict[str, tuple[Plant, str]] = {
    plant.__name__: (plant, invariant)
    for plant, invariant in (
        (send_before_the_commit, "I2"),
        (retry_a_submit, "I2"),
        (take_unknown_for_rejected, "I2"),
        (take_unknown_for_not_sent, "I2"),
        (count_fills_by_increments, "I3"),
        (acknowledge_first, "I1"),
        (trust_the_list_of_open_orders, "I2"),
        (prove_absence_by_one_look, "I2"),
        (claim_without_the_row, "I2"),
        (ignore_the_halt, "I6"),
        (believe_every_approval, "I5"),
        (tell_before_the_commit, "I7"),
    )
}
"""Each bug, with the invariant that it must be seen to break."""
PLANTED_WITHOUT_IDS: dict[str, tuple[Plant, str]] = {
    plant.__name__: (plant, invariant)
    for plant, invariant in (
        (forget_what_was_there_before, "I2"),
        (take_the_first_of_several, "I2"),
        (take_what_is_owned, "I2"),
        (take_what_another_may_be, "I2"),
        (count_every_total_as_a_trade, "I3"),
    )
}
"""The same, of bugs that show only where the venue keeps no ids."""
