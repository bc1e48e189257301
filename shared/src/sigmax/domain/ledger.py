"""Money and positions as folds over fills: sums over rows, never counters that messages increment.

Every movement is a transaction whose entries sum to zero per asset. Money is in `cash`, what was bought in `holding`;
`trading`, `fees`, `tax`, `transfer`, `opening`, and `adjustment` say where it came from or went.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from enum import StrEnum

from sigmax.schemas.types import Side

_ZERO = Decimal(0)
_FOLDED = Context(prec=28, rounding=ROUND_HALF_EVEN)
"""In which positions are computed, whoever computes them: ccxt changes how the whole process around it rounds."""


class LedgerAccount(StrEnum):
    """Where an amount is booked."""

    CASH = "cash"
    HOLDING = "holding"
    TRADING = "trading"
    FEES = "fees"
    TAX = "tax"
    TRANSFER = "transfer"
    """What people brought in or took out beside the platform."""
    OPENING = "opening"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True)
class Execution:
    """One trade of ours, as the books need it. Quantities in base units, prices in quote per base."""

    execution_id: str
    executed_at: datetime
    base: str
    quote: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    """Positive is paid, negative is a rebate."""
    fee_currency: str
    tax: Decimal = _ZERO
    """In the quote currency."""

    @property
    def base_change(self) -> Decimal:
        """Give the base units that this execution adds to what is held: less a fee that was taken in them."""
        paid_in_base = self.fee if self.fee_currency == self.base else _ZERO
        return self.side.sign * self.quantity - paid_in_base

    @property
    def order_key(self) -> tuple[datetime, str]:
        """Place this execution in time; the id decides between two of one instant."""
        return (self.executed_at, self.execution_id)


@dataclass(frozen=True)
class Entry:
    """One line of a transaction."""

    account: LedgerAccount
    asset: str
    amount: Decimal


@dataclass(frozen=True)
class Position:
    """What is held of one instrument."""

    quantity: Decimal = _ZERO
    """Base units; negative is short."""
    average_price: Decimal = _ZERO
    """Of what is held, fees left out; 0 when flat."""
    realized_pnl: Decimal = _ZERO
    """In the quote currency, fees left out."""

    def after(self, execution: Execution) -> "Position":
        """Give the position after one more execution, which must not be older than those already in it."""
        with localcontext(_FOLDED):
            return self._after(execution)

    def _after(self, execution: Execution) -> "Position":
        traded = execution.side.sign * execution.quantity
        quantity = self.quantity + execution.base_change
        if self.quantity * traded >= 0:  # opens or adds
            entered = self.quantity + traded
            cost = self.quantity * self.average_price + traded * execution.price
            return Position(quantity, cost / entered if quantity else _ZERO, self.realized_pnl)
        closed = min(abs(traded), abs(self.quantity))
        direction = 1 if self.quantity > 0 else -1
        realized = self.realized_pnl + closed * (execution.price - self.average_price) * direction
        if not quantity:
            return Position(quantity, _ZERO, realized)
        turned = abs(traded) > abs(self.quantity) or quantity * self.quantity < 0
        return Position(quantity, execution.price if turned else self.average_price, realized)


def fold(executions: Iterable[Execution]) -> Position:
    """Give the position that a set of executions makes: the same for every order of arrival and for duplicates."""
    unique = {execution.execution_id: execution for execution in executions}
    position = Position()
    for execution in sorted(unique.values(), key=lambda each: each.order_key):
        position = position.after(execution)
    return position


def entries_of(execution: Execution) -> tuple[Entry, ...]:
    """Give the double entry of one execution: what was traded, what was paid for it, the fee, and the tax.

    A fee in the quote currency leaves the cash, a fee in any other asset leaves the holding of that asset.
    """
    base = execution.side.sign * execution.quantity
    money = base * execution.price
    entries = [
        Entry(LedgerAccount.HOLDING, execution.base, base),
        Entry(LedgerAccount.TRADING, execution.base, -base),
        Entry(LedgerAccount.CASH, execution.quote, -money),
        Entry(LedgerAccount.TRADING, execution.quote, money),
    ]
    if execution.fee:
        paid_from = LedgerAccount.CASH if execution.fee_currency == execution.quote else LedgerAccount.HOLDING
        entries += transfer(LedgerAccount.FEES, paid_from, execution.fee_currency, execution.fee)
    if execution.tax:
        entries += transfer(LedgerAccount.TAX, LedgerAccount.CASH, execution.quote, execution.tax)
    return tuple(entries)


def transfer(into: LedgerAccount, out_of: LedgerAccount, asset: str, amount: Decimal) -> tuple[Entry, Entry]:
    """Give the two entries that move an amount of one asset between two accounts."""
    return Entry(into, asset, amount), Entry(out_of, asset, -amount)


def imbalance(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """Give the assets whose entries do not sum to zero, with the sum: empty for a sound transaction."""
    sums: dict[str, Decimal] = {}
    for entry in entries:
        sums[entry.asset] = sums.get(entry.asset, _ZERO) + entry.amount
    return {asset: amount for asset, amount in sums.items() if amount}


def average_price(executions: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    """Give the quantity-weighted price of (price, quantity) pairs, or None without any."""
    pairs = list(executions)
    quantity = sum((each[1] for each in pairs), _ZERO)
    return sum((price * size for price, size in pairs), _ZERO) / quantity if quantity else None
