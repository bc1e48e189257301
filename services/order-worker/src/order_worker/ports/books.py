"""What the handlers need of the books: transactions, claims, and plain reads."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from order_worker.domain.booking import Transaction
from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from order_worker.domain.reconciling import Held
from order_worker.domain.sightings import Sighting, Trade
from order_worker.ports.records import Account, Claim, Locked, Movement, Observed, Standing
from sigmax.domain.ledger import Execution
from sigmax.schemas.base import Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested, CashBalance, Difference


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
