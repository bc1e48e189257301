"""What operators watch in the books: read every few seconds, off the path of any order."""

from datetime import datetime

from sqlalchemy import text

from order_worker.adapters import metrics
from sigmax.runtime.database import Database

_ORDERS = text(
    """
    SELECT submission, count(*) AS number, extract(epoch FROM :now - min(coalesce(claimed_at, created_at))) AS oldest_s
    FROM orders
    WHERE account_id = :account_id AND status IN ('pending_new', 'new', 'partially_filled', 'pending_cancel')
    GROUP BY submission
    """
)
_ACCOUNT = text(
    """
    SELECT a.is_reconciled, a.blocked_reason IS NOT NULL AS is_blocked,
           extract(epoch FROM :now - a.reconciled_at) AS age_s,
           (SELECT count(*) FROM jsonb_array_elements(
               (SELECT differences FROM reconciliations r WHERE r.account_id = a.account_id
                ORDER BY reconciliation_id DESC LIMIT 1)) AS difference
            WHERE NOT (difference ->> 'is_dust')::boolean) AS differences
    FROM accounts a WHERE a.account_id = :account_id
    """
)
# Each transaction sums to zero per asset, so all of them together do: of the old ones the checkpoint knows the sum.
_IMBALANCES = text(
    """
    SELECT count(*) FROM (
        SELECT asset FROM (
            SELECT asset, amount FROM ledger_checkpoints WHERE account_id = :account_id
            UNION ALL
            SELECT asset, amount FROM ledger_entries
            WHERE account_id = :account_id AND entry_id > COALESCE(
                (SELECT max(up_to_entry_id) FROM ledger_checkpoints WHERE account_id = :account_id), 0)) AS all_entries
        GROUP BY asset HAVING sum(amount) <> 0) AS unbalanced
    """
)


class Watch:
    """Shows to Prometheus how the books of one account stand."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def look(self, now: datetime) -> None:
        """Read the books, and show what they say."""
        values = {"account_id": self._account_id}
        async with self._database.reading() as session:
            orders = {row.submission: row for row in await session.execute(_ORDERS, {**values, "now": now})}
            account = (await session.execute(_ACCOUNT, {**values, "now": now})).one()
            imbalances = (await session.execute(_IMBALANCES, values)).scalar_one()
        for submission in metrics.OPEN:
            row = orders.get(submission)
            metrics.orders_open.labels(submission).set(row.number if row else 0)
            metrics.orders_oldest_seconds.labels(submission).set(max(row.oldest_s, 0) if row else 0)
        metrics.reconciled.set(account.is_reconciled)
        if account.age_s is not None:
            metrics.reconciliation_age_seconds.set(account.age_s)
        metrics.reconciliation_differences.set(account.differences)
        metrics.account_blocked.set(account.is_blocked)
        metrics.ledger_imbalances.set(imbalances)
