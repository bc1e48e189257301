"""The tables of the schema `scheduler`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata = sa.MetaData()

_TIME = sa.DateTime(timezone=True)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job", sa.Text, primary_key=True),
    sa.Column("schedule", sa.Text, nullable=False),
    sa.Column("timezone", sa.Text, nullable=False, server_default="UTC"),
    sa.Column("is_enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("disabled_reason", sa.Text),
    sa.Column("active_from", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
)

job_runs = sa.Table(
    "job_runs",
    metadata,
    sa.Column("job", sa.Text, sa.ForeignKey("jobs.job", ondelete="CASCADE"), primary_key=True),
    sa.Column("due_at", _TIME, primary_key=True),
    sa.Column("taken_at", _TIME, nullable=False),
    sa.Column("taken_by", sa.Text, nullable=False),
    sa.Column("finished_at", _TIME),
    sa.Column("finished_by", sa.Text),
    sa.Column("succeeded", sa.Boolean),
    sa.Column("text", sa.Text),
)

health_memory = sa.Table(
    "health_memory",
    metadata,
    sa.Column("slot", sa.SmallInteger, primary_key=True),
    sa.Column("memory", JSONB, nullable=False),
    sa.Column("checked_at", _TIME, nullable=False),
)
