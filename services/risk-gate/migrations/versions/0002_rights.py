"""A verdict, a limit, and a fill stay as they were; of an account and a reservation only what moves may change.

Revision ID: 0002
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more, make_append_only, make_changeable

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HISTORY = ("verdicts", "limits", "fills")
_RIGHTS = {
    "accounts": "SELECT, INSERT, UPDATE (reconciled_at, reconciliation_passed)",
    "stages": "SELECT, INSERT, UPDATE (stage, version, reason, changed_by, changed_at)",
    "proposals": "SELECT, INSERT, UPDATE",
    "book_orders": (
        "SELECT, INSERT, UPDATE (status, submission, sequence, filled_quantity, final_quantity, updated_at)"
    ),
    "reservations": "SELECT",
    "strategy_positions": "SELECT, INSERT, UPDATE",
    "book_positions": "SELECT, INSERT, UPDATE",
    "book_cash": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "risk_gate", _RIGHTS)
    make_append_only(op, "risk_gate", *_HISTORY)


def downgrade() -> None:
    """Give back what the first revision gave."""
    make_changeable(op, *_HISTORY)
    grant_no_more(op, "risk_gate", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
