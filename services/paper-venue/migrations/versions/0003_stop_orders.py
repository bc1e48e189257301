"""Stop orders: the price that wakes an order up, and when it did.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what a stop has beside other orders; those that are there are none."""
    op.execute(
        "ALTER TABLE orders ADD COLUMN stop_price numeric CHECK (stop_price > 0), ADD COLUMN triggered_at timestamptz"
    )
    op.execute("GRANT UPDATE (triggered_at) ON orders TO paper_venue")


_LET_GO = """
UPDATE balances AS b SET free = b.free + least(b.locked, s.amount), locked = b.locked - least(b.locked, s.amount)
FROM (
    SELECT account_id,
        CASE side WHEN 'sell' THEN split_part(instrument_id, '/', 1)
                  ELSE split_part(split_part(instrument_id, '@', 1), '/', 2) END AS asset,
        sum((orig_qty - executed_qty) * CASE side WHEN 'sell' THEN 1 ELSE coalesce(price, stop_price) END) AS amount
    FROM orders WHERE stop_price IS NOT NULL AND status IN ('new', 'partially_filled') GROUP BY 1, 2
) AS s WHERE b.account_id = s.account_id AND b.asset = s.asset
"""
_CANCEL = """
UPDATE orders SET status = 'canceled', update_time = now()
WHERE stop_price IS NOT NULL AND status IN ('new', 'partially_filled')
"""


def downgrade() -> None:
    """Cancel the stops that wait, and give back what they held: the version before knows no such order."""
    for statement in (_LET_GO, _CANCEL, "ALTER TABLE orders DROP COLUMN stop_price, DROP COLUMN triggered_at"):
        op.execute(statement)
