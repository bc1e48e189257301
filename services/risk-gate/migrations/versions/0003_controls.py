"""What the controls look at: how orders ended, what was entered, lost, and latched, and how the venue fares.

Limits gain what they lack, each with its cautious start value, as a new version.

Revision ID: 0003
"""

import json

import sqlalchemy as sa
from alembic import op

from sigmax.runtime.migrations import grant_no_more

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_RIGHTS = {
    "accounts": (
        "SELECT, INSERT, UPDATE (reconciled_at, reconciliation_passed, worker_venue, worker_mode, losses_from)"
    ),
    "book_orders": (
        "SELECT, INSERT, UPDATE (status, submission, submission_at, sequence, filled_quantity, final_quantity,"
        " cancel_requested_at, updated_at)"
    ),
    "order_counts": "SELECT, INSERT, UPDATE (orders, notional, last_at)",
    "activity": "SELECT, INSERT, UPDATE (notional, ended, unfilled), DELETE",
    "equity_marks": "SELECT, INSERT",
    "latches": "SELECT, INSERT, UPDATE (reason, latched_at, expires_at, released_at, released_by)",
    "stop_outs": "SELECT, INSERT",
    "venue_health": (
        "SELECT, INSERT, UPDATE (venue, is_answering, failing_since, recovering_since, clock_gap_ms, orders_unknown,"
        " orders_unclear, mode, hosts, key_fingerprint, as_of)"
    ),
}
_RIGHTS_BEFORE = {
    "accounts": "SELECT, INSERT, UPDATE (reconciled_at, reconciliation_passed)",
    "book_orders": (
        "SELECT, INSERT, UPDATE (status, submission, sequence, filled_quantity, final_quantity, updated_at)"
    ),
}
_ORDER_COLUMNS = (
    sa.Column("action", sa.Text, nullable=False, server_default="buy"),
    sa.Column("strategy_version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("order_type", sa.Text, nullable=False, server_default="limit"),
    sa.Column("trigger_price", sa.Numeric, comment="of a resting stop"),
    sa.Column("time_in_force", sa.Text, nullable=False, server_default="ioc"),
    sa.Column("reduce_only", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column(
        "is_protective",
        sa.Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="made by the gate itself to close a position: no control of pace counts it",
    ),
    sa.Column("submission_at", _TIME, comment="since when the submission is what it is"),
    sa.Column("working_until", _TIME, comment="of a resting entry: when its time is over"),
    sa.Column("cancel_requested_at", _TIME, comment="because its time was over"),
)
_NEW_LIMITS = {
    "posture_positions_max": {"offensive": 5, "guerrilla": 3, "defensive": 2},
    "posture_limit_share_pct": {"offensive": 70, "guerrilla": 90, "defensive": 100},
    "working_s_max": 10,
    "trade_risk_max_pct": "0.1",
    "volatility_assumed_pct": "5",
    "dca_adds_max": 3,
    "dca_spacing_pct": "1",
    "dca_size_max_pct": "6",
    "resting_step_pct": "0.25",
    "resting_apart_s_min": 10,
    "market_sessions": {
        "krx": {
            "utc_offset_min": 540,
            "opens": "09:00:00",
            "closes": "15:20:00",
            "weekdays": [0, 1, 2, 3, 4],
            "holidays": [],
        }
    },
    "maintenance_windows": [],
    "price_limit_pct": {"krx": "30"},
    "price_gap_max_pct": "1",
    "price_sources_min": 1,
    "net_leverage_max": "1",
    "shorts_allowed": False,
    "instrument_open_orders_max": 5,
    "account_open_orders_max": 50,
    "strategy_orders_per_run_max": 1000,
    "strategy_orders_per_day_max": 200,
    "account_orders_per_day_max": 500,
    "turnover_per_minute_max": "20000",
    "turnover_per_hour_max": "100000",
    "turnover_per_day_max": "500000",
    "loss_minute_max_pct": "1",
    "loss_day_max_pct": "3",
    "drawdown_max_pct": "10",
    "streak_stops_max": 2,
    "streak_window_s": 3600,
    "streak_lock_s": 3600,
    "cancel_ratio_caution_pct": "50",
    "cancel_ratio_max_pct": "80",
    "cancel_ratio_sample_min": 10,
    "instrument_unknown_max": 0,
    "account_unknown_max": 1,
    "sending_lease_s": 10,
    "venue_hosts": [],
    "venue_keys": [],
    "venue_silence_max_s": 60,
    "clock_gap_max_ms": 500,
    "fill_price_tolerance_bps": "0",
    "alerting_required": True,
    "single_build_required": False,
    "beat_age_max_s": 15,
    "judged_shadow": True,
    "judged_orders_per_day_max": 20,
    "judged_notional_per_day_max": "20000",
    "judged_cooldown_s": 60,
    "news_sources_min": 2,
}
"""The start values of this release, written down: a later one may start with others."""


_COMPLETE_LIMITS = (
    'INSERT INTO limits (account_id, version, "values", changed_by)'
    " SELECT account_id, version + 1, CAST(:start AS jsonb) || \"values\", 'migration 0003' FROM"
    " (SELECT DISTINCT ON (account_id) * FROM limits ORDER BY account_id, version DESC) AS newest"
    " WHERE jsonb_typeof(\"values\") = 'object'"
    ' AND NOT jsonb_exists_all("values", CAST(:names AS text[]))'
)
"""A version more for each account whose newest one lacks some; what is there keeps its value."""


def upgrade() -> None:
    _widen_orders()
    _create_counters()
    _create_facts()
    grant_no_more(op, "risk_gate", _RIGHTS)
    _complete_limits()


def _widen_orders() -> None:
    for column in (
        sa.Column("worker_venue", sa.Text, comment="where order-worker says that it trades the account"),
        sa.Column("worker_mode", sa.Text),
        sa.Column("losses_from", _TIME, comment="when a person last released the account's losses"),
    ):
        op.add_column("accounts", column)
    for column in _ORDER_COLUMNS:
        op.add_column("book_orders", column)
    op.execute("UPDATE book_orders SET action = 'close', reduce_only = true WHERE side = 'sell'")
    op.execute("UPDATE book_orders SET submission_at = updated_at")
    op.create_index(
        "ix_book_orders_strategy", "book_orders", ["account_id", "strategy_id", "instrument_id", "created_at"]
    )
    op.create_index(
        "ix_book_orders_working",
        "book_orders",
        ["working_until"],
        postgresql_where=sa.text("working_until IS NOT NULL AND final_quantity IS NULL"),
    )


def _create_counters() -> None:
    op.create_table(
        "order_counts",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True, comment="account, judged, or strategy/..."),
        sa.Column("period", sa.Text, primary_key=True, comment="a UTC day, or the version that a strategy runs"),
        sa.Column("orders", sa.Integer, nullable=False, comment="since a person last released them"),
        sa.Column("notional", sa.Numeric, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
    )
    op.create_table(
        "activity",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("starts_at", _TIME, primary_key=True, comment="of ten seconds"),
        sa.Column("notional", sa.Numeric, nullable=False, server_default="0", comment="entered"),
        sa.Column("ended", sa.Integer, nullable=False, server_default="0", comment="orders"),
        sa.Column("unfilled", sa.Integer, nullable=False, server_default="0", comment="of those, with nothing filled"),
    )


def _create_facts() -> None:
    op.create_table(
        "equity_marks",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("minute", _TIME, primary_key=True),
        sa.Column("equity", sa.Numeric, nullable=False, comment="from fresh prices alone"),
        sa.Column("peak", sa.Numeric, nullable=False, comment="the highest until now, since losses were released"),
    )
    op.create_table(
        "latches",
        sa.Column("latch_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("scope_id", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False, comment="the denial it makes"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("latched_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, comment="null: only a person takes it off"),
        sa.Column("released_at", _TIME),
        sa.Column("released_by", sa.Text),
    )
    op.create_index(
        "uq_latches_in_force",
        "latches",
        ["account_id", "scope", "scope_id", "code"],
        unique=True,
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_table(
        "stop_outs",
        sa.Column("stop_out_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="stop_loss, trailing_stop, ..."),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("pnl", sa.Numeric, nullable=False, comment="quote currency"),
    )
    op.create_index("ix_stop_outs_at", "stop_outs", ["account_id", "instrument_id", "at"])
    op.create_table(
        "venue_health",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("venue", sa.Text, nullable=False),
        sa.Column("is_answering", sa.Boolean, nullable=False),
        sa.Column("failing_since", _TIME),
        sa.Column("recovering_since", _TIME, comment="since when it answers again, while that is not believed yet"),
        sa.Column("clock_gap_ms", sa.Numeric, nullable=False, comment="the venue's clock less ours"),
        sa.Column("orders_unknown", sa.Integer, nullable=False),
        sa.Column("orders_unclear", sa.Integer, nullable=False),
        sa.Column("mode", sa.Text, comment="paper or live, as order-worker says"),
        sa.Column("hosts", sa.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("key_fingerprint", sa.Text, comment="tells one venue key from another, and nothing of the key"),
        sa.Column("as_of", _TIME, nullable=False),
    )


def _complete_limits() -> None:
    values = {"start": json.dumps(_NEW_LIMITS), "names": list(_NEW_LIMITS)}
    op.get_bind().execute(sa.text(_COMPLETE_LIMITS), values)


def downgrade() -> None:
    for table in ("venue_health", "stop_outs", "latches", "equity_marks", "activity", "order_counts"):
        op.drop_table(table)
    op.drop_index("ix_book_orders_working")
    op.drop_index("ix_book_orders_strategy")
    for column in _ORDER_COLUMNS:
        op.drop_column("book_orders", column.name)
    for name in ("losses_from", "worker_mode", "worker_venue"):
        op.drop_column("accounts", name)
    grant_no_more(op, "risk_gate", _RIGHTS_BEFORE)
