"""Jobs come with migrations: the service runs them, and only disables one that cannot run.

Revision ID: 0002
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_RIGHTS = {
    "jobs": "SELECT, UPDATE (is_enabled, disabled_reason, updated_at)",
    "job_runs": "SELECT, INSERT, UPDATE (finished_at, finished_by, succeeded, text), DELETE",
    "health_memory": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "scheduler", _RIGHTS)


def downgrade() -> None:
    """Give back what the first revision gave."""
    grant_no_more(op, "scheduler", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
