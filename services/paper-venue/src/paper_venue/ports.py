"""What the handlers need from the world."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from paper_venue.domain.floor import Changes, MarketRecord
from paper_venue.domain.intervals import Interval
from paper_venue.domain.tape import Kline
from sigmax.domain.venue_orders import VenueOrder, VenueTrade
from sigmax.domain.wallet import Balance
from sigmax.schemas.market import Instrument


@dataclass(slots=True)
class Snapshot:
    """All that is stored and lives in memory while the venue is open."""

    next_order_id: int
    next_trade_id: int
    balances: dict[str, dict[str, Balance]] = field(default_factory=dict)
    """By account and asset; an account without money is there too."""
    open_orders: list[VenueOrder] = field(default_factory=list)
    markets: list[MarketRecord] = field(default_factory=list)
    positions: dict[str, str] = field(default_factory=dict)
    """The last stream entry taken, by stream."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a history are wanted. Without a start: the newest; always answered in ascending order."""

    limit: int
    from_id: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    order_id: int | None = None


@dataclass(frozen=True, slots=True)
class StoredTrade:
    """A fill with what its order adds to it."""

    order_id: int
    is_buyer: bool
    trade: VenueTrade


class StorePort(Protocol):
    """Where the state lives. Everything recorded in one call commits together."""

    async def load(self) -> Snapshot:
        """Read the whole state."""
        ...

    async def open_account(self, account_id: str, opening: dict[str, Decimal]) -> None:
        """Make the account with its opening balances, unless it is there."""
        ...

    async def record(self, changes: Changes) -> None:
        """Store changes; raises when they did not, or may not have, committed."""
        ...

    async def find_order(
        self, account_id: str, instrument_id: str, order_id: int | None, client_order_id: str | None
    ) -> VenueOrder | None:
        """Give the newest order that fits both names, open or not."""
        ...

    async def orders(self, account_id: str, instrument_id: str, page: Page) -> list[VenueOrder]:
        """Give an account's orders of one instrument."""
        ...

    async def trades(self, account_id: str, instrument_id: str, page: Page) -> list[StoredTrade]:
        """Give an account's fills of one instrument."""
        ...

    async def klines(self, instrument_id: str, interval: Interval, page: Page) -> list[Kline]:
        """Give bars of at least a minute; `start_ns` and `end_ns` bound their opening times."""
        ...

    async def forget_klines(self, days: int) -> None:
        """Delete minutes that are older than so many days of wall time."""
        ...


class TailPort(Protocol):
    """Reads the streams of trades onwards."""

    positions: dict[str, str]

    async def read(self) -> list[tuple[str, str, bytes]]:
        """Wait a moment for entries: stream, entry id, body."""
        ...


class FeedPort(Protocol):
    """Where prices and instruments come from."""

    async def instruments(self) -> list[Instrument]:
        """Give every instrument that is known."""
        ...

    async def newest(self, streams: list[str]) -> dict[str, str]:
        """Give the id of each stream's newest entry; `0-0` for an empty one."""
        ...

    def follow(self, positions: dict[str, str]) -> TailPort:
        """Read on from known positions."""
        ...
