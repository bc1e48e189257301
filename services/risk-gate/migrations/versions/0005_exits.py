"""What guards each position, the orders that close it, sales that wait for a resting stop's end, and flattenings.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from sigmax.runtime.migrations import grant_no_more

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_UUID = postgresql.UUID(as_uuid=True)
_RIGHTS = {
    "protections": "SELECT, INSERT, UPDATE",
    "exit_orders": "SELECT, INSERT, UPDATE (cancel_asked_at, ended_at)",
    "waiting_sales": "SELECT, INSERT, DELETE",
    "flattenings": "SELECT, INSERT, UPDATE (ended_at, is_flat, remaining)",
}
_LEVELS = ("stop_price", "target_price", "trailing_pct", "holding_s_max")


def upgrade() -> None:
    """Add the tables, and to an order the levels that its position will have."""
    op.add_column("book_orders", sa.Column("stop_price", sa.Numeric))
    op.add_column("book_orders", sa.Column("target_price", sa.Numeric))
    op.add_column("book_orders", sa.Column("trailing_pct", sa.Numeric))
    op.add_column("book_orders", sa.Column("holding_s_max", sa.Integer))
    _create_protections()
    _create_exit_orders()
    _create_flattenings()
    grant_no_more(op, "risk_gate", _RIGHTS)


def _create_protections() -> None:
    op.create_table(
        "protections",
        sa.Column("protection_id", _UUID, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("strategy_version", sa.Integer, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("quantity", sa.Numeric, nullable=False),
        sa.Column("entry_price", sa.Numeric, nullable=False),
        sa.Column("stop_price", sa.Numeric, nullable=False),
        sa.Column("target_price", sa.Numeric, nullable=False),
        sa.Column("best_price", sa.Numeric, nullable=False, comment="the highest since the entry"),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("trailing_pct", sa.Numeric),
        sa.Column("closes_at", _TIME, comment="the time stop"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("exit_kind", sa.Text),
        sa.Column("exit_price", sa.Numeric, comment="what was traded when the level was reached"),
        sa.Column("fired_at", _TIME, comment="when the platform had that price"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("escalation", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", _TIME),
        sa.Column("held_up_told_at", _TIME, comment="people were told that other sales leave nothing to sell"),
        sa.Column("asked_until", _TIME),
        sa.Column("asked_id", _UUID, comment="the exit that judgement is asked about"),
        sa.Column("spared", sa.Text, comment="the kind that judgement said no to"),
        sa.Column("spared_price", sa.Numeric),
        sa.Column("resting_attempts", sa.Integer, nullable=False),
        sa.Column("resting_refusals", sa.Integer, nullable=False, comment="in a row"),
        sa.Column("next_resting_at", _TIME),
        sa.Column("naked_since", _TIME, comment="neither a stop nor an exit order is at the venue"),
        sa.Column("is_naked_told", sa.Boolean, nullable=False),
        sa.Column("exit_pnl", sa.Numeric, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False, comment="why the last attempt was denied"),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_index(
        "ix_protections_live",
        "protections",
        ["account_id", "strategy_id", "instrument_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'closed'"),
    )
    op.create_index("ix_protections_position", "protections", ["account_id", "strategy_id", "instrument_id"])
    op.create_index(
        "ix_protections_asked_id", "protections", ["asked_id"], postgresql_where=sa.text("asked_id IS NOT NULL")
    )


def _create_exit_orders() -> None:
    op.create_table(
        "exit_orders",
        sa.Column("client_order_id", sa.Text, primary_key=True),
        sa.Column("protection_id", _UUID, sa.ForeignKey("protections.protection_id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("is_resting", sa.Boolean, nullable=False),
        sa.Column("wanted_quantity", sa.Numeric, comment="of a resting stop, before it was cut to the largest order"),
        sa.Column("trigger_price", sa.Numeric),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("cancel_asked_at", _TIME),
        sa.Column("ended_at", _TIME),
    )
    op.create_index("ix_exit_orders_protection_id", "exit_orders", ["protection_id"])
    op.create_table(
        "waiting_sales",
        sa.Column("signal_id", _UUID, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("signal", sa.Text, nullable=False, comment="JSON as it came"),
        sa.Column("size_factor", sa.Numeric, nullable=False, comment="of its judgement"),
        sa.Column("since", _TIME, nullable=False),
    )


def _create_flattenings() -> None:
    op.create_table(
        "flattenings",
        sa.Column("flattening_id", _UUID, primary_key=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("scope_id", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("everything", sa.Boolean, nullable=False, comment="also what no strategy of ours bought"),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("is_flat", sa.Boolean, comment="null while it goes on"),
        sa.Column("remaining", postgresql.JSONB, nullable=False, comment="what is left, and why"),
    )
    op.create_index("ix_flattenings_open", "flattenings", ["started_at"], postgresql_where=sa.text("ended_at IS NULL"))


def downgrade() -> None:
    """Take the tables and the levels away."""
    for table in ("flattenings", "waiting_sales", "exit_orders", "protections"):
        op.drop_table(table)
    for column in _LEVELS:
        op.drop_column("book_orders", column)
