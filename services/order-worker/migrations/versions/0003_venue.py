"""A resting stop's trigger price, spelt out beside its approval.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; orders that are there rest at no trigger."""
    op.execute("ALTER TABLE orders ADD COLUMN trigger_price numeric CHECK (trigger_price > 0)")


def downgrade() -> None:
    """Forget it: the approval still says it."""
    op.execute("ALTER TABLE orders DROP COLUMN trigger_price")
