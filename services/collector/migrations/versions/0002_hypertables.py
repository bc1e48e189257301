"""Where TimescaleDB is, ticks and bars become hypertables; elsewhere nothing changes.

A deploy makes the extension before it migrates (`sigmax.runtime.rights`). A database that gets it later is brought to
revision 0001 and up again. Of its Apache edition alone: chunks come by inserting and go by `drop_chunks`.
Ticks keep their two functions, so that the service need not know which of both it writes to.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HOME = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'timescaledb' AND has_schema_privilege(n.oid, 'USAGE')
"""
_ARE_HYPERTABLES = "SELECT relkind = 'r' FROM pg_class WHERE oid = 'collector.ticks'::regclass"

_ENSURE = """
CREATE OR REPLACE FUNCTION ensure_tick_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = collector, pg_temp AS $$
DECLARE
    from_ns bigint := extract(epoch FROM day::timestamp)::bigint * 1000000000;
BEGIN
    IF day < date '1970-01-01' OR day > date '2200-01-01' THEN
        RAISE EXCEPTION 'no market data is from %', day;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('collector.ticks'));
    {make}
    INSERT INTO collector.tick_days (day) VALUES (day) ON CONFLICT DO NOTHING;
END $$
"""
_MAKE_PARTITION = """EXECUTE format(
        'CREATE TABLE IF NOT EXISTS collector.%I PARTITION OF collector.ticks FOR VALUES FROM (%s) TO (%s)',
        'ticks_' || to_char(day, 'YYYYMMDD'), from_ns, from_ns + 86400000000000
    );"""
_DROP = """
CREATE OR REPLACE FUNCTION drop_tick_days(keep_days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = collector, pg_temp AS $$
DECLARE
    old record;
    {declare}dropped int := 0;
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION 'keep at least one day, not %', keep_days;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('collector.ticks'));
    FOR old IN SELECT day FROM collector.tick_days WHERE written_at < now() - make_interval(days => keep_days) LOOP
        {drop}
        DELETE FROM collector.tick_days WHERE day = old.day;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$
"""
_DROP_PARTITION = "EXECUTE format('DROP TABLE IF EXISTS collector.%I', 'ticks_' || to_char(old.day, 'YYYYMMDD'));"
_FROM = """from_ns bigint;
    """
_DROP_CHUNK = """from_ns := extract(epoch FROM old.day::timestamp)::bigint * 1000000000;
        PERFORM "{home}".drop_chunks(
            'collector.ticks'::regclass, older_than => from_ns + 86400000000000, newer_than => from_ns
        );"""
_TICKS_HYPERTABLE = """
SELECT "{home}".create_hypertable(
    'ticks', 'ts_ns', chunk_time_interval => 86400000000000, create_default_indexes => false
)
"""
# A recording of daily bars over decades stays within a few hundred chunks.
_BARS_HYPERTABLE = """
SELECT "{home}".create_hypertable(
    'bars', 'open_at', chunk_time_interval => interval '30 days', create_default_indexes => false
)
"""
_PARTITIONS = """
SELECT ensure_tick_partition(day)
FROM (SELECT DISTINCT date '1970-01-01' + (ts_ns / 86400000000000)::int AS day FROM old_ticks) AS filled
"""
_TICKS_INDEX = "CREATE INDEX ix_ticks_instrument_id_ts_ns ON ticks (instrument_id, ts_ns)"
_BARS_KEY = "ALTER TABLE bars ADD PRIMARY KEY (instrument_id, timeframe_s, open_at)"
_SAME_RIGHTS = """
DO $$
DECLARE
    right_of record;
BEGIN
    FOR right_of IN
        SELECT DISTINCT grantee::regrole AS role
        FROM pg_class, aclexplode(relacl) WHERE oid = 'collector.{table}'::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('REVOKE ALL ON collector.{table} FROM %s', right_of.role);
    END LOOP;
    FOR right_of IN
        SELECT grantee::regrole AS role, privilege_type AS what
        FROM pg_class, aclexplode(relacl) WHERE oid = 'collector.old_{table}'::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON collector.{table} TO %s', right_of.what, right_of.role);
    END LOOP;
END $$
"""


def upgrade() -> None:
    home = op.get_bind().exec_driver_sql(_HOME).scalar()
    if home is None:
        return
    _move("ticks", [_TICKS_HYPERTABLE.format(home=home)], "ix_ticks_instrument_id_ts_ns", _TICKS_INDEX)
    _move("bars", [_BARS_HYPERTABLE.format(home=home)], "bars_pkey", _BARS_KEY)
    op.execute(_ENSURE.format(make=""))
    op.execute(_DROP.format(declare=_FROM, drop=_DROP_CHUNK.format(home=home)))


def downgrade() -> None:
    if not op.get_bind().exec_driver_sql(_ARE_HYPERTABLES).scalar():
        return
    op.execute(_ENSURE.format(make=_MAKE_PARTITION))
    op.execute(_DROP.format(declare="", drop=_DROP_PARTITION))
    _move("ticks", [_PARTITIONS], "ix_ticks_instrument_id_ts_ns", _TICKS_INDEX, kind="PARTITION BY RANGE (ts_ns)")
    _move("bars", [], "bars_pkey", _BARS_KEY)


def _move(table: str, make: list[str], index: str, create_index: str, *, kind: str = "") -> None:
    """Put a table of another kind in the place of one, with the same rows, comments, and rights."""
    op.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    op.execute(f"ALTER INDEX {index} RENAME TO old_{index}")
    op.execute(f"CREATE TABLE {table} (LIKE old_{table} INCLUDING ALL EXCLUDING INDEXES) {kind}")
    for statement in make:
        op.execute(statement)
    op.execute(f"INSERT INTO {table} SELECT * FROM old_{table}")  # noqa: S608 - names of this file
    op.execute(create_index)
    op.execute(_SAME_RIGHTS.format(table=table))
    op.execute(f"DROP TABLE old_{table}")
