"""What the books give to the handlers, and take from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from order_worker.domain.booking import Transaction
from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from sigmax.domain.ledger import Position
from sigmax.schemas.orders import CashBalance


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
