"""Database migrations: one Alembic history per service, in its own schema, run by a role that no service has."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from sqlalchemy.dialects import postgresql

VERSION_TABLE = "alembic_version"


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
