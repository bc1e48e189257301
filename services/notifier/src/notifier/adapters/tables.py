"""The tables of the schema `notifier`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = sa.MetaData()

_TIME = sa.DateTime(timezone=True)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("correlation_id", UUID(as_uuid=True), nullable=False),
    sa.Column("producer", sa.Text, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
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

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("delivery_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("alert_id", UUID(as_uuid=True), sa.ForeignKey("alerts.alert_id", ondelete="CASCADE"), nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("urgency", sa.SmallInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="pending"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_attempt_at", _TIME, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("sent_at", _TIME),
)

stages = sa.Table(
    "stages",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("scope_id", sa.Text, primary_key=True),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("seen_at", _TIME, nullable=False),
)

audit_heads = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, primary_key=True),
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("at", _TIME, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("is_told", sa.Boolean, nullable=False),
    sa.Column("received_at", _TIME, nullable=False),
)
