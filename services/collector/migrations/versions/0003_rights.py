"""Gaps, anomalies, and ticks stay as they were recorded, also where a day of ticks is a table of its own.

Revision ID: 0003
"""

from alembic import op

from sigmax.runtime.migrations import grant_no_more, make_append_only, make_changeable

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_HISTORY = ("anomalies", "data_gaps")
_RIGHTS = {
    "instruments": "SELECT, INSERT, UPDATE",
    "bars": "SELECT, INSERT, UPDATE (open, high, low, close, volume, trades)",
    "tick_days": "SELECT, UPDATE (written_at)",
    "replays": "SELECT, INSERT, UPDATE",
}
_SOURCE = "SELECT pg_get_functiondef('ensure_tick_partition(date)'::regprocedure)"
_MADE = "    INSERT INTO collector.tick_days"
# Ticks are written through `ticks`, whose rights count then; a new table comes with rights of its own.
_CLOSE = "    EXECUTE format('REVOKE ALL ON collector.%I FROM collector', 'ticks_' || to_char(day, 'YYYYMMDD'));\n"
_CLOSE_ALL = """
DO $$
DECLARE
    made regclass;
BEGIN
    FOR made IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'collector.ticks'::regclass LOOP
        EXECUTE format('REVOKE ALL ON %s FROM collector', made);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Take back every right that the service does not use."""
    grant_no_more(op, "collector", _RIGHTS)
    make_append_only(op, "collector", *_HISTORY)
    source = op.get_bind().exec_driver_sql(_SOURCE).scalar_one()
    if "PARTITION OF" in source:  # the chunks of a hypertable have its rights
        op.get_bind().exec_driver_sql(source.replace(_MADE, _CLOSE + _MADE))
        op.get_bind().exec_driver_sql(_CLOSE_ALL)


def downgrade() -> None:
    """Give back what the first revision gave."""
    make_changeable(op, *_HISTORY)
    grant_no_more(op, "collector", dict.fromkeys(_RIGHTS, "SELECT, INSERT, UPDATE, DELETE"))
    source = op.get_bind().exec_driver_sql(_SOURCE).scalar_one()
    op.get_bind().exec_driver_sql(source.replace(_CLOSE, ""))
