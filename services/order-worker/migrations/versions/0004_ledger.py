"""Taxes, transfers, and the day of settlement in the ledger; what a comparison with the venue saw.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BEFORE = "'cash', 'holding', 'trading', 'fees', 'opening', 'adjustment'"
_NAMED = "ledger_entries_ledger_account_check"


def upgrade() -> None:
    """Widen the ledger; what is there stays as it is."""
    for statement in (
        f"ALTER TABLE ledger_entries DROP CONSTRAINT {_NAMED}",
        f"ALTER TABLE ledger_entries ADD CONSTRAINT {_NAMED} CHECK (ledger_account IN ({_BEFORE}, 'tax', 'transfer'))",
        # When it was traded: the same as the settlement only where that is immediate, as it was until now.
        "ALTER TABLE ledger_entries ADD COLUMN executed_at timestamptz",
        "ALTER TABLE fills ADD COLUMN tax numeric NOT NULL DEFAULT 0",
        "ALTER TABLE reconciliations ADD COLUMN up_to_entry_id bigint",
        "ALTER TABLE reconciliations ADD COLUMN balances jsonb",
        # A person's transfer is booked once, whoever delivers the command how often.
        """
        CREATE UNIQUE INDEX ledger_entries_transfer ON ledger_entries (transaction_id)
        WHERE ledger_account = 'transfer'
        """,
    ):
        op.execute(statement)


def downgrade() -> None:
    """Narrow it again: only where nothing of the kind was booked."""
    for statement in (
        "DROP INDEX ledger_entries_transfer",
        "ALTER TABLE reconciliations DROP COLUMN balances",
        "ALTER TABLE reconciliations DROP COLUMN up_to_entry_id",
        "ALTER TABLE fills DROP COLUMN tax",
        "ALTER TABLE ledger_entries DROP COLUMN executed_at",
        f"ALTER TABLE ledger_entries DROP CONSTRAINT {_NAMED}",
        f"ALTER TABLE ledger_entries ADD CONSTRAINT {_NAMED} CHECK (ledger_account IN ({_BEFORE}))",
    ):
        op.execute(statement)
