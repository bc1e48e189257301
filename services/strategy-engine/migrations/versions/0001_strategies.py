"""Strategies and their versions, signals, and what each strategy holds.

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
_NOW = sa.text("now()")


def upgrade() -> None:
    create_messaging_tables(op)
    op.create_table(
        "strategies",
        sa.Column("strategy_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, sa.CheckConstraint("version >= 1"), nullable=False),
        sa.Column("status", sa.Text, sa.CheckConstraint("status IN ('active', 'stopped', 'paused')"), nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("timeframe_s", sa.Integer, sa.CheckConstraint("timeframe_s >= 1"), nullable=False),
        sa.Column("instruments", JSONB, nullable=False, comment='a list; ["*"] is whatever the feed brings'),
        sa.Column("params", JSONB, nullable=False),
        sa.Column("asks_judgement", sa.Boolean, nullable=False),
        sa.Column("paused_reason", sa.Text),
        sa.Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "versions",
        sa.Column("strategy_id", sa.Text, sa.ForeignKey("strategies.strategy_id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("params", JSONB, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "signals",
        sa.Column("signal_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("correlation_id", UUID(as_uuid=True), nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("strategy_version", sa.Integer, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("strength", sa.Numeric, nullable=False),
        sa.Column("reference_price", sa.Numeric, nullable=False),
        sa.Column("stop_pct", sa.Numeric),
        sa.Column("target_pct", sa.Numeric),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("snapshot_id", UUID(as_uuid=True), nullable=False),
        sa.Column("features", JSONB, nullable=False),
        sa.Column("market_time", _TIME, nullable=False),
        sa.Column("tick_received_at", _TIME, nullable=False),
        sa.Column("valid_until", _TIME, nullable=False),
        sa.Column("asks_judgement", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_index("signals_by_time", "signals", [sa.text("created_at DESC"), "signal_id"])
    op.create_index("signals_of_chain", "signals", ["correlation_id"])
    op.create_table(
        "fills",
        sa.Column("venue", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("execution_id", sa.Text, primary_key=True),
        sa.Column("signal_id", UUID(as_uuid=True), nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("price", sa.Numeric, nullable=False),
        sa.Column("quantity", sa.Numeric, nullable=False),
        sa.Column("held", sa.Numeric, nullable=False, comment="signed, less the fee where it was paid in the base"),
        sa.Column("executed_at", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_index(
        "fills_of_holding",
        "fills",
        ["strategy_id", "instrument_id"],
        postgresql_include=["held", "quantity", "signal_id"],
    )
    op.execute("REVOKE UPDATE, DELETE ON fills FROM strategy_engine")
    op.create_table(
        "holdings",
        sa.Column("strategy_id", sa.Text, primary_key=True),
        sa.Column("instrument_id", sa.Text, primary_key=True),
        sa.Column("quantity", sa.Numeric, nullable=False, server_default="0", comment="the sum of fills.held"),
        sa.Column("working_signal_id", UUID(as_uuid=True), comment="an order of it may be on its way"),
        sa.Column("working_until", _TIME, comment="null while an order is known to be out"),
        sa.Column("working_filled", sa.Numeric, comment="of the ended order; it is over when its fills are here"),
        sa.Column("sequence", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("updated_at", _TIME, nullable=False, server_default=_NOW, index=True),
    )


def downgrade() -> None:
    for table in ("holdings", "fills", "signals", "versions", "strategies", "inbox", "outbox"):
        op.drop_table(table)
