"""Decisions, the tape of model calls, and the budget of each day.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from sigmax.runtime.migrations import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_UUID = UUID(as_uuid=True)


def upgrade() -> None:
    create_messaging_tables(op)
    op.create_table(
        "decisions",
        sa.Column("decision_id", _UUID, primary_key=True),
        sa.Column("request_id", _UUID, nullable=False, unique=True),
        sa.Column("signal_id", _UUID, nullable=False, index=True),
        sa.Column("correlation_id", _UUID, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("size_factor", sa.Numeric, nullable=False),
        sa.Column("confidence", sa.Numeric, nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("answers", JSONB, nullable=False),
        sa.Column("cost_usd", sa.Numeric, nullable=False),
        sa.Column("latency_ms", sa.Numeric, nullable=False),
        sa.Column("tape_id", _UUID),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("decisions_by_time", "decisions", [sa.text("created_at DESC"), "decision_id"])
    op.create_table(
        "calls",
        sa.Column("tape_id", _UUID, primary_key=True),
        sa.Column("call_number", sa.BigInteger, sa.Identity(), nullable=False, unique=True),
        sa.Column("request_id", _UUID, nullable=False, unique=True),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("prompt", JSONB, nullable=False),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("reply", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("latency_ms", sa.Numeric, nullable=False),
        sa.Column("input_tokens", sa.Integer),
        sa.Column("output_tokens", sa.Integer),
        sa.Column("cost_usd", sa.Numeric, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_index("calls_used", "calls", ["call_number"], postgresql_where=sa.text("error IS NULL"))
    op.create_table(
        "budgets",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_usd", sa.Numeric, nullable=False),
    )
    # What was judged, and on which words, stays as it was.
    for table in ("decisions", "calls"):
        op.execute(f"REVOKE UPDATE, DELETE ON {table} FROM llm_controller")


def downgrade() -> None:
    for table in ("budgets", "calls", "decisions", "inbox", "outbox"):
        op.drop_table(table)
