"""Every change of a stage stays on record.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

from sigmax.runtime.migrations import grant_no_more

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_HISTORY = ("stage_changes",)


def upgrade() -> None:
    """Add the history of stages."""
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
    for table in _HISTORY:
        # The function that refuses is there since the second revision.
        grant_no_more(op, "risk_gate", {table: "SELECT, INSERT"})
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """Take the history of stages away."""
    for table in _HISTORY:
        op.drop_table(table)
