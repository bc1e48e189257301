"""What people were told stays.

Revision ID: 0002
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_RIGHTS = {
    "alerts": "SELECT, INSERT, UPDATE",
    "deliveries": "SELECT, INSERT, UPDATE",
    "stages": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "notifier", _RIGHTS)


def downgrade() -> None:
    """Give back what the first revision gave."""
    grant_no_more(op, "notifier", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
