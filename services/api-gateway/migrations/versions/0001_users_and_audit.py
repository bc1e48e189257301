"""Users, their sessions, what they asked for, and the audit chain."""

from alembic import op

from sigmax.runtime.migrations import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the gateway's tables."""
    create_messaging_tables(op)
    for statement in _TABLES:
        op.execute(statement)
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM api_gateway")


def downgrade() -> None:
    """Drop the gateway's own tables."""
    for table in (
        "audit",
        "acknowledgements",
        "commands",
        "login_attempts",
        "refresh_tokens",
        "refresh_families",
        "users",
    ):
        op.execute(f"DROP TABLE {table}")


_TABLES = (
    """
    CREATE TABLE users (
        user_id uuid PRIMARY KEY,
        login text NOT NULL UNIQUE CHECK (login = lower(login)),
        role text NOT NULL CHECK (role IN ('viewer', 'trader', 'admin')),
        accounts text[] NOT NULL DEFAULT '{}',
        password_hash text NOT NULL,
        is_active boolean NOT NULL DEFAULT true,
        token_version integer NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL,
        last_login_at timestamptz
    )
    """,
    """
    CREATE TABLE refresh_families (
        family_id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users,
        address text NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        revoked_why text
    )
    """,
    "CREATE INDEX refresh_families_user ON refresh_families (user_id) WHERE revoked_at IS NULL",
    """
    CREATE TABLE refresh_tokens (
        token_hash text PRIMARY KEY,
        family_id uuid NOT NULL REFERENCES refresh_families ON DELETE CASCADE,
        issued_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        used_at timestamptz
    )
    """,
    "CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id)",
    """
    CREATE TABLE login_attempts (
        attempt_id bigserial PRIMARY KEY,
        login text NOT NULL,
        address text NOT NULL,
        at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX login_attempts_login ON login_attempts (login, at)",
    "CREATE INDEX login_attempts_address ON login_attempts (address, at)",
    """
    CREATE TABLE commands (
        command_id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users,
        idempotency_key text NOT NULL,
        fingerprint text NOT NULL,
        command text NOT NULL,
        subject text NOT NULL,
        scope text NOT NULL,
        "values" jsonb NOT NULL,
        reason text NOT NULL,
        requested_by text NOT NULL,
        requested_at timestamptz NOT NULL,
        done_at timestamptz,
        UNIQUE (user_id, idempotency_key)
    )
    """,
    "CREATE INDEX commands_requested ON commands (requested_at DESC, command_id DESC)",
    """
    CREATE TABLE acknowledgements (
        alert_id uuid PRIMARY KEY,
        acknowledged_by text NOT NULL,
        acknowledged_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE audit (
        entry_id bigint PRIMARY KEY,
        at timestamptz NOT NULL,
        actor text NOT NULL,
        action text NOT NULL,
        subject text NOT NULL,
        detail jsonb NOT NULL,
        address text NOT NULL,
        previous_hash text NOT NULL,
        hash text NOT NULL
    )
    """,
)
