"""What the controls need of the world beyond the book: marks, latches, the venue's health, and the other services."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from risk_gate.domain.facts import Fleet, Latch
from risk_gate.domain.post_trade import ApprovedOrder
from risk_gate.domain.situation import Book
from sigmax.schemas.market import Quote
from sigmax.schemas.orders import VenueHealth
from sigmax.schemas.types import Scope


@dataclass(frozen=True, slots=True)
class AccountBook:
    """What an account has by our own count, to be marked."""

    account_id: str
    reconciled_at: datetime | None
    book: Book


class FactLedgerPort(Protocol):
    """What accounts have been doing."""

    async def approved_order(self, client_order_id: str) -> ApprovedOrder | None:
        """Give what was approved under an id, and how much of it has filled so far."""
        ...

    async def apply_health(self, health: VenueHealth) -> bool:
        """Note how the venue fares, unless something newer is known; True when another trades there than before."""
        ...

    async def latch(self, account_id: str, latch: Latch, now: datetime) -> None:
        """Lock something until it expires or a person releases it; what is locked already stays as it is."""
        ...

    async def release(self, scope: Scope, scope_id: str, released_by: str, now: datetime) -> Sequence[Latch]:
        """Take every latch off something, and count its orders anew; give the latches.

        Of an account the losses so far are forgotten too: marks begin anew. Lock the accounts first.
        """
        ...

    async def books(self) -> Sequence[AccountBook]:
        """Give every account that was reconciled and passed, nothing locked."""
        ...

    async def mark_equity(self, account_id: str, equity: Decimal, now: datetime) -> None:
        """Keep the equity of this minute; the first mark of a minute stands."""
        ...

    async def overdue_entries(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Give client order id and account of each resting entry whose time is over, once in a while each."""
        ...

    async def unasked(self, before: datetime) -> Sequence[UUID]:
        """Settle the decisions, from before a time, on signals that nobody asked about; give the signals' ids."""
        ...

    async def forget_activity(self, before: datetime) -> None:
        """Drop the counts that no window reaches back to."""
        ...


class FleetPort(Protocol):
    """The other services, by their heartbeats."""

    def seen(self) -> Fleet | None:
        """Give who was heard of; None where that could not be read yet."""
        ...


class SourcesPort(Protocol):
    """A second look at prices, for what the first one cannot know."""

    async def rival(self, instrument_id: str) -> Quote | None:
        """Give the newest quote of the same pair at another market, where one is listed."""
        ...

    def volatility_pct(self, instrument_id: str) -> Decimal | None:
        """Give the usual move of an instrument in a day, in percent; None before enough bars were seen."""
        ...

    def close_before(self, instrument_id: str, ts_ns: int) -> Decimal | None:
        """Give the last close of an earlier day of the market than a moment's; None where none is known."""
        ...
