"""The tables of the schema `llm_controller`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = sa.MetaData()

_TIME = sa.DateTime(timezone=True)
_UUID = UUID(as_uuid=True)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("decision_id", _UUID, primary_key=True),
    sa.Column("request_id", _UUID, nullable=False, unique=True),
    sa.Column("signal_id", _UUID, nullable=False),
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

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("tape_id", _UUID, primary_key=True),
    sa.Column("call_number", sa.BigInteger, sa.Identity(), nullable=False),
    sa.Column("request_id", _UUID, nullable=False),
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

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Numeric, nullable=False),
)
