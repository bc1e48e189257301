"""What the handlers need from the world: the venue, and the books."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from order_worker.domain.booking import Transaction
from order_worker.domain.budget import Kind, Told
from order_worker.domain.health import Health
from order_worker.domain.matching import Listed
from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from order_worker.domain.reconciling import Held
from order_worker.domain.sightings import Answer, Capabilities, Sighting, Trade
from sigmax.domain.ledger import Execution, Position
from sigmax.schemas.base import Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.market import Instrument
from sigmax.schemas.orders import CancelRequested, CashBalance, Difference


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


@dataclass(frozen=True)
class Claim:
    """One order that this worker, and nobody else, may send; and the stages as they stood at that moment."""

    order: Order
    stages: tuple[StageRow, ...]


@dataclass(frozen=True)
class Account:
    """The one row of the account."""

    sequence: int
    """Of the last change of position told to the others."""
    blocked_reason: str | None = None
    """Why nothing is sent until a person says so."""
    blocked_at: datetime | None = None
    reconciled_at: datetime | None = None
    """When the books were last held against the venue's, whatever came of it."""


@dataclass(frozen=True)
class PositionRow:
    """A fold over fills so far, and where in time it stands."""

    position: Position
    last: tuple[datetime, str] | None


@dataclass(frozen=True)
class Locked:
    """What a sighting is booked against, held until the transaction ends."""

    account: Account
    order: Order
    has_orphans: bool
    """Trades of this order came before it was known."""


@dataclass(frozen=True)
class Standing:
    """Sums over fills and entries, as they are in this transaction."""

    filled_quantity: Decimal
    average_price: Decimal | None
    row: PositionRow
    cash: Mapping[str, CashBalance]


@dataclass(frozen=True)
class Movement:
    """What fills of one instrument do to the books."""

    row: PositionRow
    transactions: tuple[Transaction, ...]
    sequence: int


@dataclass(frozen=True)
class Observed:
    """What a reconciliation saw at the venue."""

    venue: Mapping[str, Decimal]
    """The balance of each asset that the books cover; zero where there is none."""
    recent_from: datetime
    """Trades from here on may be in it or not."""


class PagePort(Protocol):
    """One transaction: what is read and recorded here commits together or not at all."""

    async def first_time(self, message: Message) -> bool:
        """Enter a message in the inbox; False when it was handled before."""
        ...

    def publish(self, message: Message) -> None:
        """Tell the others, once this commits."""
        ...

    # orders
    async def add(self, order: Order, now: datetime) -> Order | None:
        """Add an order, and give it, with the wish of a cancel that came before it; None when it is there already."""
        ...

    async def order(self, client_order_id: str) -> Order | None:
        """Give an order, locked."""
        ...

    async def save(self, order: Order, now: datetime) -> bool:
        """Write an order's state; True when another one waits that may be sent after it.

        That is one of its account and instrument, or of its account where the venue keeps no client ids.
        """
        ...

    async def expired(self, now: datetime, limit: int) -> list[Order]:
        """Give orders that wait to be sent and may not be any more, locked."""
        ...

    async def take_due(self, now: datetime, lease_until: datetime, limit: int) -> list[Order]:
        """Give orders that the venue is to be asked for, each to one resolver for the length of a lease."""
        ...

    async def want_cancel(self, request: CancelRequested, now: datetime) -> None:
        """Keep a cancel whose order has not come yet."""
        ...

    # fills, positions, money
    async def lock_account(self) -> Account:
        """Give the account's row, locked: whoever changes money or positions holds it first."""
        ...

    async def lock(self, client_order_id: str, venue_order_id: str) -> Locked:
        """Give the account and the order, locked in this turn. Raises `LookupError` for an order that is gone."""
        ...

    async def is_owned(self, venue_order_id: str) -> bool:
        """Say whether a venue order is ours by now; asked with the account's row locked, it stays so."""
        ...

    async def block(self, reason: str, now: datetime) -> None:
        """Stop all sends of the account until a person releases it."""
        ...

    async def release(self) -> None:
        """Let the account send again."""
        ...

    async def add_fills(self, order: Order, trades: Sequence[Trade], source: str, now: datetime) -> list[Trade]:
        """Enter trades, and give those that were not there."""
        ...

    async def keep_orphan(self, trade: Trade, now: datetime) -> None:
        """Keep a trade whose order is not known yet."""
        ...

    async def adopt_orphans(self, order: Order) -> list[Trade]:
        """Take out the kept trades that are this order's."""
        ...

    async def standing(self, order: Order, now: datetime) -> Standing:
        """Sum the order's fills and the account's money, and give the position as it was last folded."""
        ...

    async def executions(self, instrument_id: str) -> list[Execution]:
        """Give every fill of an instrument, to fold them anew."""
        ...

    async def move(self, instrument_id: str, movement: Movement, now: datetime) -> None:
        """Write a position, its ledger transactions, and the account's sequence, in one step."""
        ...

    async def add_transactions(self, transactions: Sequence[Transaction], now: datetime) -> None:
        """Append to the ledger. Raises `ValueError` unless each transaction sums to zero per asset."""
        ...

    async def cash(self, now: datetime) -> dict[str, CashBalance]:
        """Sum the money by asset."""
        ...

    async def balances(self, recent_from: datetime) -> dict[str, Held]:
        """Sum money and holdings together, by asset, and apart what trades moved from a time on."""
        ...

    async def met_assets(self) -> frozenset[str]:
        """Give the assets that the books have opened with."""
        ...

    async def positions(self) -> dict[str, Decimal]:
        """Give what is held, by instrument."""
        ...

    async def add_reconciliation(
        self, *, passed: bool, differences: Sequence[Difference], now: datetime, observed: Observed | None = None
    ) -> None:
        """Keep the result of a reconciliation, and what was compared."""
        ...

    # stages
    async def put_stage(self, message: StageChanged) -> bool:
        """Keep what a scope allows, unless something newer is known; False when it was."""
        ...


class BooksPort(Protocol):
    """The books of one account."""

    def open(self) -> AbstractAsyncContextManager[PagePort]:
        """Open a transaction."""
        ...

    async def claim(self, key: tuple[str, str], now: datetime, known_ids: frozenset[str] | None = None) -> Claim | None:
        """Claim the next order of a key, and commit. None when there is none, or none may go now.

        An order of a venue without client ids is claimed with `known_ids`, the venue orders that are there already.
        """
        ...

    async def next_key(self, account_id: str, now: datetime) -> tuple[str, str] | None:
        """Give the key of the order that may go next in an account whose venue keeps no client ids."""
        ...

    async def unmatched(self, claimed_since: datetime) -> list[Order]:
        """Give the orders without client ids that may be at the venue and have no id of its own yet, unlocked.

        They are in flight, unknown, or were claimed since a time and proven absent.
        """
        ...

    async def ready_keys(self, now: datetime, limit: int) -> Mapping[tuple[str, str], bool]:
        """Give the keys that have an order waiting, and whether one of these is an exit: those first."""
        ...

    async def was_handled(self, message: Message) -> bool:
        """Say whether a message is in the inbox; its handler asks before it does what costs something."""
        ...

    async def known_executions(self, execution_ids: Sequence[str]) -> frozenset[str]:
        """Say which of these trades are entered already."""
        ...

    async def orders_of(self, sightings: Sequence[Sighting]) -> Mapping[str, Order]:
        """Give the orders that these sightings are of, by venue order id, unlocked."""
        ...

    async def unfinished(self) -> list[Order]:
        """Give the orders that rest, or may rest, at the venue, unlocked."""
        ...

    async def owned(self, venue_order_ids: Collection[str]) -> frozenset[str]:
        """Say which of these venue orders are ours."""
        ...

    async def instruments(self) -> frozenset[str]:
        """Give every instrument we ever had an order in."""
        ...

    async def stages(self) -> tuple[StageRow, ...]:
        """Give every stage we were told."""
        ...

    async def account(self) -> Account:
        """Give the account's row, unlocked."""
        ...

    async def checkpoint(self, now: datetime) -> None:
        """Keep the sum of the ledger so far, so that sums stay quick."""
        ...
