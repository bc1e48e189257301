"""What must hold when all is quiet."""

from decimal import Decimal
from typing import Any


async def sound(platform: Any, venue: Any) -> None:
    """Check what must hold when all is quiet: one order each, positions and money as the venue has them, sums zero."""
    ids = [order["clientOrderId"] for order in venue.orders.values()]
    assert len(ids) == len(set(ids))
    assert await platform.value("SELECT count(*) FROM fills") == len(venue.trades)
    off = await platform.rows(
        "SELECT transaction_id FROM ledger_entries GROUP BY transaction_id, asset HAVING sum(amount) <> 0"
    )
    assert off == []
    books = await platform.rows(
        "SELECT asset, sum(amount) AS amount FROM ledger_entries WHERE ledger_account IN ('cash', 'holding') GROUP BY asset"
    )
    assert {row["asset"]: row["amount"] for row in books if row["amount"]} == {
        asset: amount for asset, amount in venue.balances.items() if amount
    }
    positions = await platform.rows("SELECT instrument_id, quantity FROM positions")
    for row in positions:
        held = sum(
            (
                Decimal(trade["qty"]) * (1 if trade["isBuyer"] else -1)
                for trade in venue.trades
                if trade["symbol"] == row["instrument_id"].split("@")[0].replace("/", "")
            ),
            Decimal(0),
        )
        fees = sum(
            (
                Decimal(trade["commission"])
                for trade in venue.trades
                if trade["commissionAsset"] == row["instrument_id"].split("/")[0]
            ),
            Decimal(0),
        )
        assert row["quantity"] == held - fees
