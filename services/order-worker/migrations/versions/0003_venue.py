"""What venues differ in: resting stops, and venues that keep no client ids.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = {
    # A resting stop's trigger price, spelt out beside its approval.
    "trigger_price": "numeric CHECK (trigger_price > 0)",
    # Whether the venue keeps our id of it; every order that is there was sent to one that does.
    "client_ids": "boolean NOT NULL DEFAULT true",
    # The venue orders that were there before this one was sent: none of them is it.
    "known_venue_ids": "text[]",
    # What a cancel needs beside the venue's id.
    "venue_reference": "text",
    # More than one venue order may be it: a person says which.
    "is_unclear": "boolean NOT NULL DEFAULT false",
}


def upgrade() -> None:
    """Add the columns, and keep one request per account in flight where orders could not be told apart."""
    for column, kind in _COLUMNS.items():
        op.execute(f"ALTER TABLE orders ADD COLUMN {column} {kind}")
    for statement in (
        "GRANT UPDATE (known_venue_ids, venue_reference, is_unclear) ON orders TO order_worker",
        """
        CREATE UNIQUE INDEX orders_one_sending_per_account ON orders (account_id)
        WHERE submission = 'sending' AND NOT client_ids
        """,
        # A venue order is one order of ours: two that claim it are a fault of ours, and the second does not commit.
        "CREATE UNIQUE INDEX orders_one_owner ON orders (account_id, venue_order_id) WHERE NOT client_ids",
        """
        CREATE INDEX orders_unmatched ON orders (account_id, order_id)
        WHERE NOT client_ids AND venue_order_id IS NULL AND submission IN ('sending', 'unknown', 'absent')
        """,
    ):
        op.execute(statement)


def downgrade() -> None:
    """Forget them: only where no order is at a venue without client ids."""
    for column in reversed(_COLUMNS):
        op.execute(f"ALTER TABLE orders DROP COLUMN {column}")
