"""What waits for a second person, bound to its exact values; who approved or refused it, and when.

Revision ID: 0003
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_RIGHTS = {"approvals": "SELECT, INSERT, UPDATE (outcome, decided_by, decided_at)"}


def upgrade() -> None:
    """Create the table of requests that need a second person."""
    for statement in _TABLES:
        op.execute(statement)
    grant_no_more(op, "api_gateway", _RIGHTS)


def downgrade() -> None:
    """Drop it; what still waits is then never carried out."""
    op.execute("DROP TABLE approvals")


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
