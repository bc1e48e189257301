"""An approved order stays as it was approved, and what was booked stays booked.

Revision ID: 0002
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more, make_append_only, make_changeable

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HISTORY = ("fills", "ledger_entries", "reconciliations")
_RIGHTS = {
    "orders": (
        "SELECT, INSERT, UPDATE (status, submission, sequence, fence, attempts, cancel_wanted, "
        "venue_order_id, venue_status, venue_filled_quantity, filled_quantity, average_price, reason, "
        "not_before, sent_at, acked_at, looks, absences, absent_since, look_at, worker, claimed_at, "
        "send_deadline, lease_until, updated_at)"
    ),
    "orphan_fills": "SELECT, INSERT, DELETE",
    "ledger_checkpoints": "SELECT, INSERT, UPDATE",
    "accounts": "SELECT, INSERT, UPDATE",
    "positions": "SELECT, INSERT, UPDATE",
    "stages": "SELECT, INSERT, UPDATE",
    "cancels_wanted": "SELECT, INSERT",
}


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "order_worker", _RIGHTS)
    make_append_only(op, "order_worker", *_HISTORY)


def downgrade() -> None:
    """Give back what the first revision gave."""
    make_changeable(op, *_HISTORY)
    grant_no_more(op, "order_worker", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
