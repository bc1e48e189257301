"""What a service's tables look like to its handlers: one transaction, with the inbox and the outbox in it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from sigmax.runtime.database import Database, Unit
from sigmax.schemas.base import Message

L = TypeVar("L", bound="Ledger")


class Ledger:
    """One transaction over a service's tables; each service adds what its handlers load and record."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._session = unit.session

    async def first_time(self, message: Message) -> bool:
        """Enter a message in the inbox; False means that it was handled before."""
        return await self._unit.first_time(message)

    def publish(self, message: Message) -> None:
        """Have a message sent after the commit, and only if there is one."""
        self._unit.publish(message)


def opener(database: Database, make: Callable[[Unit], L]) -> Callable[[], AbstractAsyncContextManager[L]]:
    """Give what opens one transaction after another; each commits on leaving and rolls back when its block raises."""

    @asynccontextmanager
    async def open_ledger() -> AsyncIterator[L]:
        async with database.transaction() as unit:
            yield make(unit)

    return open_ledger
