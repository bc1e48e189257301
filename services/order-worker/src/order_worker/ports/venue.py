"""What the handlers need of the venue, of what it takes, and of what is traded there."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from order_worker.domain.budget import Kind, Told
from order_worker.domain.health import Health
from order_worker.domain.matching import Listed
from order_worker.domain.order import Order
from order_worker.domain.sightings import Answer, Capabilities, Sighting, Trade
from sigmax.schemas.market import Instrument


class VenueError(Exception):
    """A question to the venue was not answered: it proves nothing."""


class BudgetUnreadableError(Exception):
    """The common request budget cannot be read: nothing is sent that nobody counts."""


class BudgetPort(Protocol):
    """What all replicas together may ask of the venue."""

    async def take(self, kind: Kind, amount: float = 1, *, is_exit: bool = True) -> float:
        """Take from the budget: 0, or the seconds to wait before asking again; entries leave a part to exits.

        Raises `BudgetUnreadableError` for orders when the budget cannot be read.
        """
        ...

    async def give_back(self, kind: Kind) -> None:
        """Return what was taken and not used."""
        ...

    async def close(self, kind: Kind, for_s: float) -> None:
        """Let no replica ask for so long, and then only slowly: the venue said "too many"."""
        ...


class VenuePort(Protocol):
    """The venue. Questions and cancels are retried a few bounded times; a submit is one request."""

    @property
    def health(self) -> Health:
        """Say which kinds of requests are answered."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Say what the venue keeps and tells of our orders; the same for as long as the process runs."""
        ...

    async def submit(self, order: Order) -> Answer:
        """Send one order, once, before its deadline. Never raises for what the venue or the network does."""
        ...

    async def cancel(self, order: Order) -> Sighting | None:
        """Cancel an order; None when the venue says that nothing of it is open. Raises `VenueError`."""
        ...

    async def find(self, order: Order) -> Sighting | None:
        """Ask for an order by the venue's id, or else by ours; None when the venue does not know it.

        Raises `VenueError`, also where the venue keeps no id of ours and gave none of its own.
        """
        ...

    async def order(self, symbol: str, venue_order_id: str) -> Sighting | None:
        """Ask for an order by the venue's id. Raises `VenueError`."""
        ...

    async def open_orders(self, symbols: Collection[str]) -> list[Sighting]:
        """Give the orders that rest. Raises `VenueError`."""
        ...

    async def orders(self, symbol: str, since: datetime) -> list[Listed]:
        """Give every order placed since a time, whatever became of it, every page.

        Raises `VenueError` unless each page was answered, and for an empty list right after an error: neither says
        that anything is not there.
        """
        ...

    async def trades_of(self, order: Order) -> list[Trade]:
        """Give the trades of one order that the venue has; none where they have no ids. Raises `VenueError`."""
        ...

    async def trades(self, symbol: str, since: datetime) -> list[Trade]:
        """Give our trades from a time on, every page; none where they have no ids. Raises `VenueError`."""
        ...

    async def balances(self) -> dict[str, Decimal]:
        """Give free and locked together, by asset. Raises `VenueError`."""
        ...

    async def now(self) -> datetime:
        """Give the venue's time. Raises `VenueError`."""
        ...

    async def symbols(self) -> frozenset[str]:
        """Give what is traded there. Raises `VenueError`."""
        ...

    async def limits(self) -> Told:
        """Give how many requests the venue says it takes. Raises `VenueError`."""
        ...


class InstrumentsPort(Protocol):
    """What is traded, from the live state."""

    async def all(self) -> dict[str, Instrument]:
        """Give the instruments that the collector knows, by id."""
        ...
