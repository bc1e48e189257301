"""Every change of a stage or posture stays on record, and every rung of the failure ladder.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from sigmax.runtime.migrations import grant_no_more

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_HISTORY = ("stage_changes", "postures", "ladder_events")


def upgrade() -> None:
    """Add three histories, and where each fault stands."""
    op.create_table(
        "stage_changes",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("scope_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("from_stage", sa.Text, nullable=False),
        sa.Column("to_stage", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False, comment="who asked, and who approved"),
        sa.Column("changed_at", _TIME, nullable=False),
    )
    op.create_index("ix_stage_changes_changed_at", "stage_changes", ["changed_at"])
    op.create_table(
        "postures",
        sa.Column("posture_id", sa.BigInteger, sa.Identity(), primary_key=True, comment="the highest is in force"),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("posture", sa.Text, nullable=False),
        sa.Column("is_manual", sa.Boolean, nullable=False),
        sa.Column("cause", sa.Text, nullable=False, comment="evaluated, by_hand, released, forced"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("evaluate_at", _TIME, comment="when the weather is asked again; null while a person holds it"),
    )
    op.create_index("ix_postures_account_id", "postures", ["account_id", "posture_id"])
    op.create_table(
        "ladder_events",
        sa.Column("event_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("scope_id", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, sa.CheckConstraint("step >= 0"), nullable=False, comment="0 is none"),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("snapshot", postgresql.JSONB, comment="of the books, at a grave step"),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_index("ix_ladder_events_at", "ladder_events", ["at"])
    op.create_table(
        "ladder_steps",
        sa.Column("fault", sa.Text, primary_key=True),
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("scope_id", sa.Text, primary_key=True),
        sa.Column(
            "step", sa.Integer, sa.CheckConstraint("step >= 0"), nullable=False, comment="that of the last event"
        ),
    )
    grant_no_more(op, "risk_gate", {"ladder_steps": "SELECT, INSERT, UPDATE (step)"})
    for table in _HISTORY:
        # The function that refuses is there since the second revision.
        grant_no_more(op, "risk_gate", {table: "SELECT, INSERT"})
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """Take them away."""
    for table in ("ladder_steps", *_HISTORY):
        op.drop_table(table)
