"""Instruments, bars, ticks by day, gaps, anomalies, and how far each recording is."""

import sqlalchemy as sa
from alembic import op

from sigmax.runtime.migrations import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ENSURE = """
CREATE FUNCTION ensure_tick_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = collector, pg_temp AS $$
DECLARE
    from_ns bigint := extract(epoch FROM day::timestamp)::bigint * 1000000000;
BEGIN
    IF day < date '1970-01-01' OR day > date '2200-01-01' THEN
        RAISE EXCEPTION 'no market data is from %', day;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('collector.ticks'));
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS collector.%I PARTITION OF collector.ticks FOR VALUES FROM (%s) TO (%s)',
        'ticks_' || to_char(day, 'YYYYMMDD'), from_ns, from_ns + 86400000000000
    );
    INSERT INTO collector.tick_days (day) VALUES (day) ON CONFLICT DO NOTHING;
END $$
"""
_DROP = """
CREATE FUNCTION drop_tick_days(keep_days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = collector, pg_temp AS $$
DECLARE
    old record;
    dropped int := 0;
BEGIN
    IF keep_days < 1 THEN
        RAISE EXCEPTION 'keep at least one day, not %', keep_days;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('collector.ticks'));
    FOR old IN SELECT day FROM collector.tick_days WHERE written_at < now() - make_interval(days => keep_days) LOOP
        EXECUTE format('DROP TABLE IF EXISTS collector.%I', 'ticks_' || to_char(old.day, 'YYYYMMDD'));
        DELETE FROM collector.tick_days WHERE day = old.day;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$
"""


def upgrade() -> None:
    create_messaging_tables(op)
    _create_instruments()
    _create_bars()
    _create_ticks()
    _create_defects()
    op.create_table(
        "replays",
        sa.Column("recording", sa.Text, primary_key=True, comment="SHA-256 of the file"),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False, comment="the start of the platform that last replayed it"),
        sa.Column("pass_number", sa.BigInteger, nullable=False),
        sa.Column("event", sa.BigInteger, nullable=False, comment="events of this pass that are stored"),
        sa.Column("state", sa.LargeBinary, nullable=False, comment="what the cleaner remembered there, msgpack"),
        sa.Column("is_finished", sa.Boolean, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
    )


def downgrade() -> None:
    for function in ("drop_tick_days(int)", "ensure_tick_partition(date)"):
        op.execute(f"DROP FUNCTION {function}")
    for table in ("replays", "data_gaps", "anomalies", "tick_days", "ticks", "bars", "instruments", "inbox", "outbox"):
        op.drop_table(table)


def _create_instruments() -> None:
    op.create_table(
        "instruments",
        sa.Column("instrument_id", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, nullable=False, comment="the source's own name"),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("quote", sa.Text, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("asset_class", sa.Text, nullable=False),
        sa.Column("tick_size", sa.Numeric, nullable=False),
        sa.Column("lot_size", sa.Numeric, nullable=False),
        sa.Column("quantity_min", sa.Numeric, nullable=False),
        sa.Column("notional_min", sa.Numeric, nullable=False),
        sa.Column("is_tradable", sa.Boolean, nullable=False),
        sa.Column("price_age_max_s", sa.Float, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("last_ts_ns", sa.BigInteger, nullable=False, server_default="0", comment="newest stored trade"),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
    )


def _create_bars() -> None:
    op.create_table(
        "bars",
        sa.Column("instrument_id", sa.Text, primary_key=True),
        sa.Column("timeframe_s", sa.Integer, primary_key=True),
        sa.Column("open_at", sa.DateTime(timezone=True), primary_key=True, comment="market time"),
        sa.Column("open", sa.Numeric, nullable=False),
        sa.Column("high", sa.Numeric, nullable=False),
        sa.Column("low", sa.Numeric, nullable=False),
        sa.Column("close", sa.Numeric, nullable=False),
        sa.Column("volume", sa.Numeric, nullable=False),
        sa.Column("trades", sa.BigInteger, nullable=False),
    )


def _create_ticks() -> None:
    op.execute(
        """
        CREATE TABLE ticks (
            instrument_id text NOT NULL,
            sequence bigint NOT NULL,
            ts_ns bigint NOT NULL,
            received_ns bigint NOT NULL,
            price numeric NOT NULL,
            quantity numeric NOT NULL,
            side smallint NOT NULL
        ) PARTITION BY RANGE (ts_ns)
        """
    )
    op.execute(
        "COMMENT ON COLUMN ticks.ts_ns IS 'market time, nanoseconds since 1970; the partitions are its UTC days'"
    )
    op.execute("COMMENT ON COLUMN ticks.side IS 'the aggressor: 1 bought, -1 sold, 0 not recorded'")
    op.execute("CREATE INDEX ix_ticks_instrument_id_ts_ns ON ticks (instrument_id, ts_ns)")
    op.execute("REVOKE UPDATE, DELETE ON ticks FROM collector")
    op.create_table(
        "tick_days",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column(
            "written_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("now()"),
            comment="wall time: retention counts from here, as recordings may be from any year",
        ),
    )
    # Only the role that owns the tables may create and drop them; the service may ask for exactly these two things.
    for function, signature in ((_ENSURE, "ensure_tick_partition(date)"), (_DROP, "drop_tick_days(int)")):
        op.execute(function)
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO collector")


def _create_defects() -> None:
    op.create_table(
        "anomalies",
        sa.Column("anomaly_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("market_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("price", sa.Numeric, comment="null where the source told no readable number"),
        sa.Column("quantity", sa.Numeric),
        sa.Column("reference_price", sa.Numeric, comment="the price it was measured against"),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Index("ix_anomalies_instrument_id_market_at", "instrument_id", "market_at"),
    )
    op.create_table(
        "data_gaps",
        sa.Column("gap_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False, comment="market time"),
        sa.Column("to_at", sa.DateTime(timezone=True), nullable=False, comment="market time"),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Index("ix_data_gaps_instrument_id_from_at", "instrument_id", "from_at"),
    )
