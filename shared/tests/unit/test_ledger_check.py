"""Books that hold are quiet; each rule that does not is told once, with the first row that breaks it."""

from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from typing import Any

from sigmax.domain.ledger import Execution, Position, entries_of, fold
from sigmax.domain.ledger_check import (
    BALANCED,
    CHECKPOINTS,
    FILL_BOOKED,
    POSITION_FOLDED,
    POSITION_HELD,
    VENUE,
    LedgerCheck,
)
from sigmax.schemas.types import Side

BTC = "BTC/USDT@binance"
_TRADES = (("1", Side.BUY, "100", "2", "0.002", "BTC"), ("2", Side.SELL, "110", "1", "0.11", "USDT"))


def books() -> dict[str, Any]:
    """Give sound books: an opening, a buy with a fee in what was bought, a sale with a fee in a third currency."""
    trades = (*_TRADES, ("3", Side.SELL, "120", "0.5", "0.01", "BNB"))
    fills, entries = [], []
    executions = []

    def enter(transaction: str, account: str, asset: str, amount: Any, execution_id: str | None, at: str) -> None:
        entries.append(
            {
                "entry_id": len(entries) + 1,
                "account_id": "paper",
                "transaction_id": transaction,
                "ledger_account": account,
                "asset": asset,
                "amount": str(amount),
                "execution_id": execution_id,
                "moved_at": at,
                "has_fill": execution_id is not None,
            }
        )

    enter("t0", "cash", "USDT", 1000, None, "2026-01-05T08:00:00+00:00")
    enter("t0", "opening", "USDT", -1000, None, "2026-01-05T08:00:00+00:00")
    for number, (name, side, price, quantity, fee, currency) in enumerate(trades, start=1):
        at = f"2026-01-05T09:00:0{number}+00:00"
        row = {
            "fill_id": number,
            "account_id": "paper",
            "execution_id": name,
            "instrument_id": BTC,
            "side": str(side),
            "price": price,
            "quantity": quantity,
            "fee": fee,
            "fee_currency": currency,
            "tax": 0,
            "executed_at": at,
        }
        fills.append(row)
        executions.append(_execution(row))
        for entry in entries_of(executions[-1]):
            enter(f"t{number}", str(entry.account), entry.asset, entry.amount, name, at)
    position = fold(executions)
    return {
        "fills": fills,
        "entries": entries,
        "positions": [_row(position)],
        "checkpoints": _checkpoints(entries, 8),
        "reconciliations": [_compared(entries)],
    }


def _execution(row: dict[str, Any]) -> Execution:
    return Execution(
        row["execution_id"],
        datetime.fromisoformat(row["executed_at"]),
        "BTC",
        "USDT",
        Side(row["side"]),
        Decimal(row["price"]),
        Decimal(row["quantity"]),
        Decimal(row["fee"]),
        row["fee_currency"],
    )


def _row(position: Position) -> dict[str, Any]:
    return {
        "account_id": "paper",
        "instrument_id": BTC,
        "quantity": str(position.quantity),
        "average_price": str(position.average_price),
        "realized_pnl": str(position.realized_pnl),
    }


def _sums(entries: list[dict[str, Any]], up_to: int) -> dict[tuple[str, str], Any]:
    sums: dict[tuple[str, str], Any] = {}
    for entry in entries:
        if entry["entry_id"] <= up_to:
            key = (entry["ledger_account"], entry["asset"])
            sums[key] = sums.get(key, Decimal(0)) + Decimal(entry["amount"])
    return sums


def _checkpoints(entries: list[dict[str, Any]], up_to: int) -> list[dict[str, Any]]:
    return [
        {
            "account_id": "paper",
            "ledger_account": account,
            "asset": asset,
            "amount": str(amount),
            "up_to_entry_id": up_to,
        }
        for (account, asset), amount in _sums(entries, up_to).items()
    ]


def _compared(entries: list[dict[str, Any]]) -> dict[str, Any]:
    totals: dict[str, Any] = {}
    for (account, asset), amount in _sums(entries, len(entries)).items():
        if account in ("cash", "holding"):
            totals[asset] = totals.get(asset, Decimal(0)) + amount
    return {
        "reconciliation_id": 7,
        "account_id": "paper",
        "up_to_entry_id": len(entries),
        "differences": [],
        "balances": {
            "recent_from": "2026-01-05T10:00:00+00:00",
            "assets": {asset: {"ours": str(amount), "venue": str(amount)} for asset, amount in totals.items()},
        },
    }


def broken(books: dict[str, Any]) -> dict[str, str]:
    check = LedgerCheck(books["positions"], books["checkpoints"], books["reconciliations"])
    for fill in books["fills"]:
        own = [entry for entry in books["entries"] if entry["execution_id"] == fill["execution_id"]]
        check.fill({**fill, "entries": own})
    for entry in sorted(books["entries"], key=lambda each: (each["transaction_id"], each["entry_id"])):
        check.entry(entry)
    return {one.rule: one.what for one in check.end()}


def changed(table: str, place: int, **values: Any) -> dict[str, Any]:
    forged = deepcopy(books())
    forged[table][place].update(values)
    return forged


def test_sound_books_are_quiet() -> None:
    assert broken(books()) == {}


def test_no_books_are_quiet() -> None:
    assert LedgerCheck([], [], []).end() == []


def test_a_fill_that_was_changed_is_named() -> None:
    found = broken(changed("fills", 1, quantity="1.5"))
    assert "fills row 2 (execution 2)" in found[FILL_BOOKED]
    assert POSITION_FOLDED in found


def test_a_fill_that_was_booked_twice_is_named() -> None:
    forged = books()
    twice = [{**entry, "transaction_id": "again"} for entry in forged["entries"] if entry["execution_id"] == "1"]
    for number, entry in enumerate(twice, start=100):
        entry["entry_id"] = number
    forged["entries"] += twice
    found = broken(forged)
    assert "fills row 1 (execution 1): has 2 transactions" in found[FILL_BOOKED]
    assert POSITION_HELD in found


def test_a_booking_without_its_fill_is_named() -> None:
    forged = books()
    del forged["fills"][2]
    for entry in forged["entries"]:
        entry["has_fill"] = entry["execution_id"] not in (None, "3")
    found = broken(forged)
    assert "books execution 3, no fill" in found[FILL_BOOKED]


def test_the_first_transaction_that_does_not_balance_is_named() -> None:
    forged = changed("entries", 0, amount="1001")
    forged["entries"][-1]["amount"] = "9"
    found = broken(forged)
    assert found[BALANCED] == "ledger_entries row 1 (transaction t0): sums to 1 USDT"
    assert CHECKPOINTS in found
    assert VENUE in found


def test_an_average_price_that_no_fill_made_is_named() -> None:
    assert list(broken(changed("positions", 0, average_price="99"))) == [POSITION_FOLDED]


def test_a_checkpoint_that_is_not_the_sum_is_named() -> None:
    found = broken(changed("checkpoints", 0, amount="0"))
    assert list(found) == [CHECKPOINTS]
    assert "paper cash USDT" in found[CHECKPOINTS]


def test_a_comparison_that_did_not_tell_its_difference_is_named_and_one_that_did_is_not() -> None:
    forged = books()
    forged["reconciliations"][0]["balances"]["assets"]["USDT"]["venue"] = "5"
    assert list(broken(forged)) == [VENUE]
    forged["reconciliations"][0]["differences"] = [{"subject": "USDT", "is_dust": False}]
    assert broken(forged) == {}


def test_trades_of_the_moment_of_a_comparison_may_be_in_the_venues_answer_or_not() -> None:
    forged = books()
    compared = forged["reconciliations"][0]["balances"]
    compared["recent_from"] = "2026-01-05T09:00:03+00:00"  # the last trade is as young
    compared["assets"]["BTC"]["venue"] = "0.998"  # before it
    assert broken(forged) == {}
    compared["recent_from"] = "2026-01-05T09:00:04+00:00"
    assert list(broken(forged)) == [VENUE]
