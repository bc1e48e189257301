"""Accounts and their limits, stages, the book, proposals, and the verdicts.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from sigmax.runtime.migrations import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_LEAVES = "greatest(least(coalesce(final_quantity, quantity), quantity) - filled_quantity, 0)"
_UUID = postgresql.UUID(as_uuid=True)


def upgrade() -> None:
    create_messaging_tables(op)
    _create_accounts()
    _create_verdicts()
    _create_book()
    # What was decided and what was filled is history: the service may add to it and never change it.
    op.execute("REVOKE UPDATE, DELETE ON verdicts FROM risk_gate")
    op.execute("REVOKE UPDATE, DELETE ON fills FROM risk_gate")
    op.execute("REVOKE UPDATE, DELETE ON limits FROM risk_gate")


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("venue", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reconciled_at", _TIME),
        sa.Column("reconciliation_passed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "limits",
        sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.account_id"), primary_key=True),
        sa.Column("version", sa.Integer, sa.CheckConstraint("version > 0"), primary_key=True),
        sa.Column("values", postgresql.JSONB, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "stages",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("scope_id", sa.Text, primary_key=True),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, sa.CheckConstraint("version > 0"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
    )


def _create_verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", _UUID, primary_key=True),
        sa.Column("signal_id", _UUID, nullable=False, unique=True),
        sa.Column("correlation_id", _UUID, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, sa.CheckConstraint("outcome IN ('approved', 'denied')"), nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("client_order_id", sa.Text, unique=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("checks", postgresql.JSONB, nullable=False),
        sa.Column("approved", postgresql.JSONB),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("ix_verdicts_created_at", "verdicts", ["created_at"])
    op.create_index("ix_verdicts_correlation_id", "verdicts", ["correlation_id"])
    op.create_table(
        "proposals",
        sa.Column("signal_id", _UUID, primary_key=True),
        sa.Column("request_id", _UUID),
        sa.Column("signal", sa.Text, comment="JSON as it came"),
        sa.Column("deadline_at", _TIME),
        sa.Column("decision", sa.Text, comment="JSON as it came"),
        sa.Column("is_settled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_index(
        "ix_proposals_deadline_at",
        "proposals",
        ["deadline_at"],
        postgresql_where=sa.text("NOT is_settled AND decision IS NULL AND signal IS NOT NULL"),
    )


def _create_book() -> None:
    op.create_table(
        "book_orders",
        sa.Column("client_order_id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("venue", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("side", sa.Text, sa.CheckConstraint("side IN ('buy', 'sell')"), nullable=False),
        sa.Column("quantity", sa.Numeric, nullable=False),
        sa.Column("limit_price", sa.Numeric, nullable=False),
        sa.Column("unit_cost", sa.Numeric, nullable=False, comment="cash per unit, fees included; 0 for sells"),
        sa.Column("status", sa.Text, nullable=False, server_default="pending_new"),
        sa.Column("submission", sa.Text, nullable=False, server_default="ready"),
        sa.Column("sequence", sa.Integer, nullable=False, server_default="0", comment="of the newest order event"),
        sa.Column("filled_quantity", sa.Numeric, nullable=False, server_default="0", comment="the sum of the fills"),
        sa.Column("final_quantity", sa.Numeric, comment="what an ended order has filled; null while it may fill more"),
        sa.Column(
            "leaves_quantity",
            sa.Numeric,
            sa.Computed(
                "greatest(least(coalesce(final_quantity, quantity), quantity) - filled_quantity, 0)", persisted=True
            ),
        ),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_index(
        "ix_book_orders_open", "book_orders", ["account_id"], postgresql_where=sa.text("leaves_quantity > 0")
    )
    op.create_index("ix_book_orders_created_at", "book_orders", ["account_id", "created_at"])
    op.execute(
        "CREATE VIEW reservations AS SELECT client_order_id, account_id, instrument_id, strategy_id, side, quantity,"
        " leaves_quantity, leaves_quantity * limit_price AS notional, leaves_quantity * unit_cost AS cost, status,"
        " submission, created_at, updated_at FROM book_orders WHERE leaves_quantity > 0"
    )
    op.create_table(
        "fills",
        sa.Column("venue", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("execution_id", sa.Text, primary_key=True),
        sa.Column("client_order_id", sa.Text, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("price", sa.Numeric, nullable=False),
        sa.Column("quantity", sa.Numeric, nullable=False),
        sa.Column("position_change", sa.Numeric, nullable=False, comment="base units, less a fee paid in them"),
        sa.Column("cash_change", sa.Numeric, nullable=False),
        sa.Column("cash_currency", sa.Text, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False, comment="when order-worker entered it"),
    )
    op.create_index("ix_fills_recorded_at", "fills", ["account_id", "recorded_at"])
    op.create_table(
        "strategy_positions",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("strategy_id", sa.Text, primary_key=True),
        sa.Column("instrument_id", sa.Text, primary_key=True),
        sa.Column("quantity", sa.Numeric, nullable=False),
    )
    op.create_table(
        "book_positions",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("instrument_id", sa.Text, primary_key=True),
        sa.Column("fill_quantity", sa.Numeric, nullable=False, comment="reconciled, and the fills since"),
        sa.Column("reported_quantity", sa.Numeric, comment="order-worker's own figure"),
        sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0", comment="of the reported figure"),
    )
    op.create_table(
        "book_cash",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("currency", sa.Text, primary_key=True),
        sa.Column("fill_amount", sa.Numeric, nullable=False, comment="reconciled, and the fills since"),
        sa.Column("reported_amount", sa.Numeric, comment="order-worker's own figure, settled"),
        sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0", comment="of the reported figure"),
    )


def downgrade() -> None:
    op.execute("DROP VIEW reservations")
    for table in (
        "book_cash",
        "book_positions",
        "strategy_positions",
        "fills",
        "book_orders",
        "proposals",
        "verdicts",
        "stages",
        "limits",
        "accounts",
        "inbox",
        "outbox",
    ):
        op.drop_table(table)
