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


def downgrade() -> None:
    """Forget them: stops that wait must have been canceled before."""
    op.execute("ALTER TABLE orders DROP COLUMN stop_price, DROP COLUMN triggered_at")
