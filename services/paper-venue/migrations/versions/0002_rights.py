"""Trades and deposits stay as they were.

Revision ID: 0002
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more, make_append_only, make_changeable

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HISTORY = ("trades", "deposits")
_RIGHTS = {
    "accounts": "SELECT, INSERT",
    "balances": "SELECT, INSERT, UPDATE",
    "orders": "SELECT, INSERT, UPDATE (executed_qty, cummulative_quote_qty, status, update_time)",
    "markets": "SELECT, INSERT, UPDATE",
    "klines": "SELECT, INSERT, UPDATE, DELETE",
    "streams": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "paper_venue", _RIGHTS)
    make_append_only(op, "paper_venue", *_HISTORY)


def downgrade() -> None:
    """Give back what the first revision gave."""
    make_changeable(op, *_HISTORY)
    grant_no_more(op, "paper_venue", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
