"""What waits for a second person, bound to its exact values; who approved or refused it, and when.

And who else set a login's password or gave it rights: with that person it is no two people for a while.

Revision ID: 0003
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_USERS = "role, accounts, password_hash, is_active, token_version, last_login_at"
_SET = "is_own_password, password_set_by, password_set_at, rights_set_by, rights_set_at"
_RIGHTS = {
    "approvals": "SELECT, INSERT, UPDATE (outcome, decided_by, decided_at)",
    "users": f"SELECT, INSERT, UPDATE ({_USERS}, {_SET})",
}
_RIGHTS_BEFORE = {"users": f"SELECT, INSERT, UPDATE ({_USERS})"}


def upgrade() -> None:
    """Create the table of requests that need a second person, and note who set whose login."""
    for statement in (*_COLUMNS, _KNOWN, _TOLD, *_TABLES):
        op.execute(statement)
    grant_no_more(op, "api_gateway", _RIGHTS)


def downgrade() -> None:
    """Drop them; what still waits is then never carried out."""
    op.execute("DROP TABLE approvals")
    op.execute("ALTER TABLE users DROP CONSTRAINT users_set_by_whom")
    for column in _SET.split(", "):
        op.execute(f"ALTER TABLE users DROP COLUMN {column}")
    grant_no_more(op, "api_gateway", _RIGHTS_BEFORE)


_COLUMNS = (
    "ALTER TABLE users ADD COLUMN is_own_password boolean NOT NULL DEFAULT true",
    "ALTER TABLE users ADD COLUMN password_set_by uuid",
    "ALTER TABLE users ADD COLUMN password_set_at timestamptz",
    "ALTER TABLE users ADD COLUMN rights_set_by uuid[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE users ADD COLUMN rights_set_at timestamptz",
    """
    ALTER TABLE users ADD CONSTRAINT users_set_by_whom CHECK (
        (password_set_by IS NULL) = (password_set_at IS NULL)
        AND (is_own_password OR password_set_by IS NOT NULL)
        AND (rights_set_by = '{}' OR rights_set_at IS NOT NULL)
        AND password_set_by IS DISTINCT FROM user_id
        AND NOT user_id = ANY (rights_set_by)
    )
    """,
)
_KNOWN = """
UPDATE users u SET password_set_by = by_another.user_id, password_set_at = by_another.at, is_own_password = false
FROM (
    SELECT DISTINCT ON (a.subject) a.subject, a.at, s.user_id FROM audit a JOIN users s ON s.login = a.actor
    WHERE a.action IN ('user_added', 'password_changed') AND a.actor <> a.subject
    ORDER BY a.subject, a.entry_id DESC
) AS by_another
WHERE by_another.subject = u.login
"""
"""Of the users that are there already, the audit knows it."""
_TOLD = """
UPDATE users u SET is_own_password = true
WHERE EXISTS (
    SELECT 1 FROM audit a WHERE a.action = 'password_changed' AND a.actor = u.login AND a.subject = u.login
    AND a.at > u.password_set_at
)
"""


_TABLES = (
    """
    CREATE TABLE approvals (
        approval_id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('command', 'user_change')),
        action text NOT NULL,
        subject text NOT NULL,
        scope text NOT NULL,
        "values" jsonb NOT NULL,
        before jsonb NOT NULL,
        reason text NOT NULL,
        fingerprint text NOT NULL,
        needed_right text NOT NULL,
        account_id text,
        requested_by_id uuid NOT NULL REFERENCES users (user_id),
        requested_by text NOT NULL,
        requested_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL CHECK (expires_at > requested_at),
        outcome text CHECK (outcome IN ('approved', 'refused', 'expired')),
        decided_by text,
        decided_at timestamptz,
        CHECK ((outcome IS NULL) = (decided_by IS NULL) AND (outcome IS NULL) = (decided_at IS NULL)),
        CHECK (outcome IS DISTINCT FROM 'approved' OR decided_by <> requested_by)
    )
    """,
    "CREATE INDEX approvals_requested ON approvals (requested_at DESC, approval_id DESC)",
    "CREATE INDEX approvals_waiting ON approvals (expires_at) WHERE outcome IS NULL",
)
