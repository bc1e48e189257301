"""Decisions and the tape stay as they were.

Revision ID: 0002
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more, make_append_only, make_changeable

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HISTORY = ("decisions", "calls")
_RIGHTS = {
    "budgets": "SELECT, INSERT, UPDATE (tokens, cost_usd)",
}


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "llm_controller", _RIGHTS)
    make_append_only(op, "llm_controller", *_HISTORY)


def downgrade() -> None:
    """Give back what the first revision gave."""
    make_changeable(op, *_HISTORY)
    grant_no_more(op, "llm_controller", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
