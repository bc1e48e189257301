"""Database migrations: one Alembic history per service, in its own schema, run by a role that no service has."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import context
from sqlalchemy.dialects import postgresql

VERSION_TABLE = "alembic_version"

_RIGHTS_OF_ALL = {
    VERSION_TABLE: "SELECT",
    "inbox": "SELECT, INSERT, DELETE",
    # The relay's sweep locks rows, which takes the right to update a column of them, whichever.
    "outbox": "SELECT, INSERT, UPDATE (created_at), DELETE",
}
"""What a service may do with the tables that all services have."""


def run(schema: str) -> None:
    """Run a service's migrations in its schema: the whole of its `env.py`.

    The connection is handed over in Alembic's `config.attributes["connection"]`.
    """
    connection = context.config.attributes["connection"]
    connection.execute(sa.text(f'SET search_path TO "{schema}"'))
    connection.commit()
    connection.dialect.default_schema_name = schema
    context.configure(connection=connection, version_table=VERSION_TABLE, version_table_schema=schema)
    with context.begin_transaction():
        context.run_migrations()
        for table, rights in _RIGHTS_OF_ALL.items():
            if connection.scalar(sa.text("SELECT to_regclass(:table)"), {"table": f"{schema}.{table}"}):
                connection.execute(sa.text(f"REVOKE ALL ON {table} FROM {schema}"))
                connection.execute(sa.text(f"GRANT {rights} ON {table} TO {schema}"))


def create_messaging_tables(op: Any) -> None:
    """Create the outbox and the inbox: the first step of each service's first revision."""
    op.create_table(
        "outbox",
        sa.Column("sequence", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("message_id", postgresql.UUID(as_uuid=True), nullable=False, unique=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.Text, nullable=False, comment="the W3C traceparent"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
    )
    op.create_table(
        "inbox",
        sa.Column("message_id", postgresql.UUID(as_uuid=True), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()"), index=True
        ),
    )


def grant_no_more(op: Any, owner: str, rights: Mapping[str, str]) -> None:
    """Leave a service exactly these rights on its tables and views: `{"accounts": "SELECT, UPDATE (sequence)"}`.

    A new table comes with the right to select, insert, update, and delete. A view acts with the rights of its maker,
    so that a right to change rows through it goes past what its tables refuse.
    """
    for table, verbs in rights.items():
        op.execute(f"REVOKE ALL ON {table} FROM {owner}")
        op.execute(f"GRANT {verbs} ON {table} TO {owner}")


def make_append_only(op: Any, owner: str, *tables: str) -> None:
    """Make tables history: rows are added and never changed or removed, not even by a superuser.

    The trigger is silent under `session_replication_role = replica`, which only a superuser may set: for restoring.
    """
    op.execute(_REFUSE_CHANGE)
    op.execute(f"REVOKE ALL ON FUNCTION refuse_change() FROM PUBLIC, {owner}")
    for table in tables:
        grant_no_more(op, owner, {table: "SELECT, INSERT"})
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def make_changeable(op: Any, *tables: str) -> None:
    """Undo `make_append_only`; the service's own rights stay as they are."""
    for table in tables:
        op.execute(f"DROP TRIGGER append_only ON {table}")
    op.execute(_DROP_UNUSED)


_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '%.% is history: its rows are never changed or removed', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""
_DROP_UNUSED = """
DO $$ BEGIN DROP FUNCTION refuse_change(); EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $$
"""
