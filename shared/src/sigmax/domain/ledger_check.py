"""Do the books hold? Positions against fills, fills against the ledger, the ledger against itself and the venue.

Rows come in as they lie in order-worker's tables, all of one moment; what is found names the first row that breaks a
rule.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sigmax.domain.ledger import Entry, Execution, LedgerAccount, Position, entries_of
from sigmax.schemas.market import base_of, quote_of
from sigmax.schemas.types import Side

Row = Mapping[str, Any]
_ZERO = Decimal(0)
_HELD = frozenset({LedgerAccount.CASH, LedgerAccount.HOLDING})


@dataclass(frozen=True, slots=True)
class Broken:
    """One rule that does not hold."""

    rule: str
    what: str
    """The first row that breaks it, and how."""


FILL_BOOKED = "I4 every fill has exactly one transaction, of what it moved"
POSITION_FOLDED = "I3 positions are the fold of their fills"
POSITION_HELD = "I3 positions are what the ledger holds of trades"
BALANCED = "I4 every transaction sums to zero"
CHECKPOINTS = "I4 checkpoints equal the sums of their entries"
VENUE = "I4 money and holdings are the venue's, as of the last comparison"
RULES = (FILL_BOOKED, POSITION_FOLDED, POSITION_HELD, BALANCED, CHECKPOINTS, VENUE)


class LedgerCheck:
    """Reads fills, then entries, then judges.

    `positions`, `checkpoints`, and `reconciliations` (the last of each account) are small and come first.
    """

    def __init__(self, positions: Sequence[Row], checkpoints: Sequence[Row], reconciliations: Sequence[Row]) -> None:
        self._positions = {(row["account_id"], row["instrument_id"]): row for row in positions}
        self._checkpoints = [(row, int(row["up_to_entry_id"])) for row in checkpoints]
        self._bounds: dict[str, set[int]] = defaultdict(set)
        for row, up_to in self._checkpoints:
            self._bounds[row["account_id"]].add(up_to)
        self._reconciliations = [_Comparison(row) for row in reconciliations]
        self._found: dict[str, str] = {}
        self._folds: dict[tuple[str, str], Position] = {}
        self._foreign_fees: dict[tuple[str, str], Decimal] = defaultdict(lambda: _ZERO)
        self._traded: dict[tuple[str, str], Decimal] = defaultdict(lambda: _ZERO)
        self._sums: dict[tuple[str, str, str, int], Decimal] = defaultdict(lambda: _ZERO)
        self._transaction: tuple[str, str] = ("", "")
        self._open: dict[str, Decimal] = {}
        self._open_since = 0
        self._unbalanced: tuple[int, str] | None = None

    def fill(self, row: Row) -> None:
        """Take in one fill with its `entries`: in the order of account, instrument, time, and execution id."""
        execution = _execution_of(row)
        if (what := _booked_wrong(execution, row["entries"] or ())) is not None:
            self._note(FILL_BOOKED, f"fills row {row['fill_id']} (execution {row['execution_id']}): {what}")
        account = row["account_id"]
        key = (account, row["instrument_id"])
        self._folds[key] = self._folds.get(key, Position()).after(execution)
        if execution.fee_currency not in (execution.base, execution.quote):
            self._foreign_fees[account, execution.fee_currency] += execution.fee

    def entry(self, row: Row) -> None:
        """Take in one ledger entry: in the order of account, transaction, and entry id."""
        account, asset, entry_id = row["account_id"], row["asset"], int(row["entry_id"])
        amount, place = Decimal(row["amount"]), LedgerAccount(row["ledger_account"])
        if (account, row["transaction_id"]) != self._transaction:
            self._close()
            self._transaction, self._open_since = (account, row["transaction_id"]), entry_id
        self._open[asset] = self._open.get(asset, _ZERO) + amount
        if row["execution_id"] is not None:
            if place is LedgerAccount.HOLDING:
                self._traded[account, asset] += amount
            if not row["has_fill"]:
                self._note(
                    FILL_BOOKED, f"ledger_entries row {entry_id}: books execution {row['execution_id']}, no fill"
                )
        for up_to in self._bounds[account]:
            if entry_id <= up_to:
                self._sums[account, place, asset, up_to] += amount
        for comparison in self._reconciliations:
            comparison.entry(row, place, amount)

    def end(self) -> list[Broken]:
        """Judge what was read; give each rule that does not hold."""
        self._close()
        if self._unbalanced is not None:
            self._note(BALANCED, self._unbalanced[1])
        for what in self._wrong_positions():
            self._note(POSITION_FOLDED, what)
        for what in self._wrong_holdings():
            self._note(POSITION_HELD, what)
        for what in self._wrong_checkpoints():
            self._note(CHECKPOINTS, what)
        for comparison in self._reconciliations:
            for what in comparison.wrong():
                self._note(VENUE, what)
        return [Broken(rule, self._found[rule]) for rule in RULES if rule in self._found]

    def _note(self, rule: str, what: str) -> None:
        self._found.setdefault(rule, what)

    def _close(self) -> None:
        off = {asset: amount for asset, amount in self._open.items() if amount}
        if off and (self._unbalanced is None or self._open_since < self._unbalanced[0]):
            said = ", ".join(f"{amount:f} {asset}" for asset, amount in sorted(off.items()))
            what = f"ledger_entries row {self._open_since} (transaction {self._transaction[1]}): sums to {said}"
            self._unbalanced = (self._open_since, what)
        self._open = {}

    def _wrong_positions(self) -> Iterator[str]:
        for key in sorted(self._positions.keys() | self._folds.keys()):
            row, folded = self._positions.get(key), self._folds.get(key, Position())
            kept = Position() if row is None else _position_of(row)
            if kept != folded:
                yield (
                    f"positions row {key[0]} {key[1]}: has {_said(kept)}; its fills make {_said(folded)}"
                    if row is not None
                    else f"positions row {key[0]} {key[1]} is missing: its fills make {_said(folded)}"
                )

    def _wrong_holdings(self) -> Iterator[str]:
        held: dict[tuple[str, str], Decimal] = defaultdict(lambda: _ZERO)
        for (account, instrument_id), row in self._positions.items():
            held[account, base_of(instrument_id)] += Decimal(row["quantity"])
        for key in sorted(held.keys() | self._traded.keys()):
            expected = held.get(key, _ZERO) - self._foreign_fees.get(key, _ZERO)
            booked = self._traded.get(key, _ZERO)
            if expected != booked:
                yield f"{key[1]} of account {key[0]}: positions have {expected:f}, the ledger holds {booked:f}"

    def _wrong_checkpoints(self) -> Iterator[str]:
        known = set()
        for row, up_to in self._checkpoints:
            key = (row["account_id"], row["ledger_account"], row["asset"], up_to)
            known.add(key)
            summed = self._sums.get(key, _ZERO)
            if Decimal(row["amount"]) != summed:
                yield (
                    f"ledger_checkpoints row {' '.join(key[:3])}: has {Decimal(row['amount']):f}, the entries up to"
                    f" {up_to} make {summed:f}"
                )
        for key in sorted(self._sums.keys() - known):
            if self._sums[key]:
                yield f"ledger_checkpoints row {' '.join(key[:3])} is missing: the entries up to {key[3]} are not 0"


class _Comparison:
    """The last comparison of one account with its venue."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._up_to = int(row["up_to_entry_id"] or 0)
        self._recent_from = datetime.fromisoformat(row["balances"]["recent_from"])
        self._sums: dict[str, Decimal] = defaultdict(lambda: _ZERO)
        self._recent_in: dict[str, Decimal] = defaultdict(lambda: _ZERO)
        self._recent_out: dict[str, Decimal] = defaultdict(lambda: _ZERO)

    def entry(self, row: Row, place: LedgerAccount, amount: Decimal) -> None:
        if row["account_id"] != self._row["account_id"] or place not in _HELD or int(row["entry_id"]) > self._up_to:
            return
        asset = row["asset"]
        self._sums[asset] += amount
        if row["execution_id"] is not None and datetime.fromisoformat(row["moved_at"]) >= self._recent_from:
            moved = self._recent_in if amount > 0 else self._recent_out
            moved[asset] += amount

    def wrong(self) -> Iterator[str]:
        name = f"reconciliations row {self._row['reconciliation_id']} ({self._row['account_id']})"
        told = {difference["subject"] for difference in self._row["differences"]}
        for asset, compared in sorted(self._row["balances"]["assets"].items()):
            ours, venue, total = Decimal(compared["ours"]), Decimal(compared["venue"]), self._sums.get(asset, _ZERO)
            if ours != total:
                yield f"{name}: compared {ours:f} {asset}, the entries up to {self._up_to} make {total:f}"
            low, high = total - self._recent_in.get(asset, _ZERO), total - self._recent_out.get(asset, _ZERO)
            if not low <= venue <= high and asset not in told:
                yield f"{name}: {total:f} {asset} in the ledger, {venue:f} at the venue, and no difference was told"


def _execution_of(row: Row) -> Execution:
    return Execution(
        execution_id=row["execution_id"],
        executed_at=datetime.fromisoformat(row["executed_at"]),
        base=base_of(row["instrument_id"]),
        quote=quote_of(row["instrument_id"]),
        side=Side(row["side"]),
        price=Decimal(row["price"]),
        quantity=Decimal(row["quantity"]),
        fee=Decimal(row["fee"]),
        fee_currency=row["fee_currency"],
        tax=Decimal(row["tax"]),
    )


def _booked_wrong(execution: Execution, entries: Sequence[Row]) -> str | None:
    transactions = {entry["transaction_id"] for entry in entries}
    if len(transactions) != 1:
        return f"has {len(transactions) or 'no'} transaction{'s' if transactions else ''}"
    booked = Counter(
        Entry(LedgerAccount(entry["ledger_account"]), entry["asset"], Decimal(entry["amount"])) for entry in entries
    )
    if booked != Counter(entries_of(execution)):
        return f"transaction {transactions.pop()} books something else than what the fill says"
    return None


def _position_of(row: Row) -> Position:
    return Position(Decimal(row["quantity"]), Decimal(row["average_price"]), Decimal(row["realized_pnl"]))


def _said(position: Position) -> str:
    return f"{position.quantity:f} at {position.average_price:f}, realized {position.realized_pnl:f}"
