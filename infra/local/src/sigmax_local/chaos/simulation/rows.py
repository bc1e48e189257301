"""The rows of the books in memory."""

from dataclasses import dataclass
from datetime import datetime

from order_worker.domain.order import Order
from order_worker.domain.sightings import Trade
from order_worker.ports import Account


@dataclass(frozen=True)
class OrderRow:
    """A row of `orders`: the order, and what only the statements look at."""

    order: Order
    number: int
    lease_until: datetime | None = None


@dataclass(frozen=True)
class AccountRow:
    """The row of `accounts`."""

    account: Account
    is_reconciled: bool = False


@dataclass(frozen=True)
class FillRow:
    """A row of `fills`."""

    client_order_id: str
    instrument_id: str
    trade: Trade
