"""Alerts, their deliveries, and the stages people were told of.

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
_LEVELS = "level IN ('info', 'warning', 'danger', 'critical')"


def upgrade() -> None:
    create_messaging_tables(op)
    op.create_table(
        "alerts",
        sa.Column("alert_id", UUID(as_uuid=True), primary_key=True),
        sa.Column("correlation_id", UUID(as_uuid=True), nullable=False),
        sa.Column("producer", sa.Text, nullable=False),
        sa.Column("level", sa.Text, sa.CheckConstraint(_LEVELS), nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("values", JSONB, nullable=False),
        sa.Column("dedupe_key", sa.Text, nullable=False),
        sa.Column("occurrences", sa.Integer, nullable=False, server_default="1"),
        sa.Column("first_at", _TIME, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("acknowledged_at", _TIME),
        sa.Column("acknowledged_by", sa.Text),
    )
    op.create_index("alerts_newest_of_key", "alerts", ["dedupe_key", sa.text("first_at DESC")])
    op.create_index("alerts_by_time", "alerts", [sa.text("first_at DESC"), "alert_id"])
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("alert_id", UUID(as_uuid=True), sa.ForeignKey("alerts.alert_id", ondelete="CASCADE"), nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("level", sa.Text, sa.CheckConstraint(_LEVELS), nullable=False),
        sa.Column("urgency", sa.SmallInteger, nullable=False),
        sa.Column(
            "state",
            sa.Text,
            sa.CheckConstraint("state IN ('pending', 'sent', 'failed')"),
            nullable=False,
            server_default="pending",
        ),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", _TIME, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("sent_at", _TIME),
        # An alert is told once per channel and level; a higher level is told again.
        sa.UniqueConstraint("alert_id", "channel", "level"),
    )
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["channel", sa.text("urgency DESC"), "delivery_id"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "stages",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("scope_id", sa.Text, primary_key=True),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
    )


def downgrade() -> None:
    for table in ("stages", "deliveries", "alerts", "inbox", "outbox"):
        op.drop_table(table)
