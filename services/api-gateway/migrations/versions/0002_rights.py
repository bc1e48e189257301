"""The audit chain stays as it was written; commands and users are never removed.

Revision ID: 0002
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more, make_append_only, make_changeable

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HISTORY = ("audit",)
_RIGHTS = {
    "users": ("SELECT, INSERT, UPDATE (role, accounts, password_hash, is_active, token_version, last_login_at)"),
    "refresh_families": "SELECT, INSERT, UPDATE (revoked_at, revoked_why), DELETE",
    "refresh_tokens": "SELECT, INSERT, UPDATE (used_at)",
    "login_attempts": "SELECT, INSERT, DELETE",
    "commands": "SELECT, INSERT, UPDATE (done_at)",
    "acknowledgements": "SELECT, INSERT",
}


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "api_gateway", _RIGHTS)
    make_append_only(op, "api_gateway", *_HISTORY)


def downgrade() -> None:
    """Give back what the first revision gave."""
    make_changeable(op, *_HISTORY)
    grant_no_more(op, "api_gateway", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
