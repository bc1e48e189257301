"""Signals, fills, and versions of parameters stay as they were.

Revision ID: 0002
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more, make_append_only, make_changeable

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HISTORY = ("signals", "fills", "versions")
_RIGHTS = {
    "strategies": "SELECT, INSERT, UPDATE (version, status, params, paused_reason, updated_at)",
    "holdings": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "strategy_engine", _RIGHTS)
    make_append_only(op, "strategy_engine", *_HISTORY)


def downgrade() -> None:
    """Give back what the first revision gave."""
    make_changeable(op, *_HISTORY)
    grant_no_more(op, "strategy_engine", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
