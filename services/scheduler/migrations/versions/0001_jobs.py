"""Jobs, their runs, and what the health check remembers.

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


def upgrade() -> None:
    create_messaging_tables(op)
    jobs = op.create_table(
        "jobs",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False, server_default="UTC"),
        sa.Column("is_enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("active_from", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "job_runs",
        sa.Column("job", sa.Text, sa.ForeignKey("jobs.job", ondelete="CASCADE"), primary_key=True),
        sa.Column("due_at", _TIME, primary_key=True),
        sa.Column("taken_at", _TIME, nullable=False),
        sa.Column("taken_by", sa.Text, nullable=False),
        sa.Column("finished_at", _TIME),
        sa.Column("finished_by", sa.Text),
        sa.Column("succeeded", sa.Boolean),
        sa.Column("text", sa.Text),
    )
    op.create_table(
        "health_memory",
        sa.Column("slot", sa.SmallInteger, sa.CheckConstraint("slot = 1"), primary_key=True),
        sa.Column("memory", postgresql.JSONB, nullable=False),
        sa.Column("checked_at", _TIME, nullable=False),
    )
    op.bulk_insert(
        jobs,
        [
            {"job": "health_check", "schedule": "every 30"},
            {"job": "tidy_job_runs", "schedule": "17 3 * * *"},
        ],
    )


def downgrade() -> None:
    for table in ("health_memory", "job_runs", "jobs", "inbox", "outbox"):
        op.drop_table(table)
