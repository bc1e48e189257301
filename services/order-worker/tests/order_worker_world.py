"""One worker in a world in memory, and what tests of its handlers ask of it."""

from dataclasses import dataclass
from typing import Any

from order_worker_builders import a_stage, an_approval, an_order
from order_worker_fakes import FakeBooks, FakeBudget, FakeClock, FakeVenue, Store, a_desk

from order_worker.domain.order import Order
from order_worker.handlers.approvals import on_order_approved, on_stage_changed
from order_worker.handlers.desk import Desk
from order_worker.handlers.resolving import resolve_due
from sigmax.schemas.control import Alert
from sigmax.schemas.types import Scope, Stage


@dataclass
class World:
    desk: Desk
    books: FakeBooks
    venue: FakeVenue
    clock: FakeClock
    budget: FakeBudget

    @property
    def store(self) -> Store:
        return self.books.store

    def order(self, number: int = 1) -> Order:
        return self.store.orders[an_order(number).client_order_id]

    def told(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.store.published if isinstance(message, kind)]

    def alerts(self) -> list[str]:
        return [alert.code for alert in self.told(Alert)]

    async def approve(self, number: int = 1, **changes: Any) -> None:
        await on_order_approved(an_approval(number, now=self.clock.at, **changes), self.desk)

    async def stage(self, stage: Stage, version: int) -> None:
        for scope in (Scope.GLOBAL, Scope.ACCOUNT):
            await on_stage_changed(a_stage(scope, stage, version=version, now=self.clock.at), self.desk)

    async def resolve_for(self, seconds: int) -> None:
        """Let time pass, with the resolver at work each second and the stages told as they are."""
        for _ in range(seconds):
            self.clock.pass_by(1)
            await resolve_due(self.desk)


def a_world() -> World:
    desk: Any = a_desk()
    return World(desk, desk.books, desk.venue, desk.clock, desk.budget)
