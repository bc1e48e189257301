"""Ticks and bars become hypertables where TimescaleDB is, and nothing of them is lost, there and back."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import create_async_engine

from sigmax.runtime.rights import MIGRATOR, postgres_roles_sql
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration

MIGRATIONS = Path(__file__).parents[2] / "migrations"
DATABASE = "sigmax_hypertables"
DAY_NS = 86_400_000_000_000
DAYS = [date(2013, 9, 1), date(2013, 9, 2), date(2024, 8, 8)]
TICKS = [
    ("BTC/USDT@x", sequence, (day - date(1970, 1, 1)).days * DAY_NS + offset, 1, Decimal("0.1"), Decimal(2), -1)
    for sequence, (day, offset) in enumerate((day, offset) for day in DAYS for offset in (0, 1, DAY_NS - 1))
]
BARS = [
    ("BTC/USDT@x", 60, datetime(2013, 9, 1, tzinfo=UTC) + timedelta(days=30 * n), *(Decimal(n) for _ in range(5)), n)
    for n in range(50)
]
STRUCTURE = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, col_description(c.oid, a.attnum),
       (SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY 1) FROM pg_index WHERE indrelid = c.oid) AS indexes,
       (SELECT array_agg(g::text ORDER BY g::text) FROM unnest(c.relacl) AS g) AS rights
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.oid IN ('collector.ticks'::regclass, 'collector.bars'::regclass) AND a.attnum > 0 ORDER BY c.relname, a.attnum
"""
Connect = Callable[[str], Any]


def url_of(addresses: Addresses, login: str, database: str = DATABASE) -> str:
    return addresses.database_url_as(login).rsplit("/", 1)[0] + f"/{database}"


@pytest.fixture
async def connect(servers: Addresses) -> AsyncIterator[Connect]:
    """Give what connects to a database of these tests' own, with roles and without a table."""
    admin = await asyncpg.connect(url_of(servers, "postgres", "postgres"))
    await admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {DATABASE}")
    opened: list[Any] = []

    async def connect(login: str) -> Any:
        opened.append(await asyncpg.connect(url_of(servers, login), server_settings={"search_path": "collector"}))
        return opened[-1]

    await (await connect("postgres")).execute(postgres_roles_sql(servers.secrets.database_passwords(), DATABASE))
    yield connect
    for connection in opened:
        await connection.close()
    await admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    await admin.close()


@pytest.fixture
def migrate(servers: Addresses) -> Callable[[str], Any]:
    """Give what brings the schema to a revision, from above or below."""

    def go(connection: sa.Connection, revision: str) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        (command.downgrade if revision == "0001" and _is_migrated(connection) else command.upgrade)(config, revision)

    async def migrate(revision: str) -> None:
        url = sa.make_url(url_of(servers, MIGRATOR)).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, poolclass=sa.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(go, revision)
        await engine.dispose()

    return migrate


def _is_migrated(connection: sa.Connection) -> bool:
    return bool(connection.scalar(sa.text("SELECT to_regclass('collector.ticks')")))


async def fill(service: Any) -> None:
    for day in DAYS:
        await service.execute("SELECT ensure_tick_partition($1)", day)
    await service.copy_records_to_table("ticks", records=TICKS)
    await service.copy_records_to_table("bars", records=BARS)


async def contents(admin: Any) -> list[Any]:
    return [
        [tuple(row) for row in await admin.fetch(query)]
        for query in ("SELECT * FROM ticks ORDER BY sequence", "SELECT * FROM bars ORDER BY open_at", STRUCTURE)
    ]


async def kind_of_ticks(admin: Any) -> Any:
    return await admin.fetchval("SELECT relkind::text FROM pg_class WHERE oid = 'collector.ticks'::regclass")


async def skip_without_timescaledb(admin: Any) -> None:
    if not await admin.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')"):
        pytest.skip("TimescaleDB is not on this Postgres")


async def test_rows_rights_and_comments_survive_the_way_there_and_back(connect: Connect, migrate: Any) -> None:
    admin = await connect("postgres")
    await skip_without_timescaledb(admin)
    await migrate("0001")
    await fill(await connect("collector"))
    before = await contents(admin)
    assert (len(before[0]), len(before[1]), await kind_of_ticks(admin)) == (9, 50, "p")

    await migrate("0002")
    assert await admin.fetch("SELECT hypertable_name FROM timescaledb_information.hypertables ORDER BY 1") == [
        ("bars",),
        ("ticks",),
    ]
    assert _without_on_only(await contents(admin)) == _without_on_only(before)

    await migrate("0001")
    assert await kind_of_ticks(admin) == "p"
    assert await contents(admin) == before
    assert await admin.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ticks'::regclass") == len(DAYS)
    assert await admin.fetchval("SELECT count(*) FROM timescaledb_information.hypertables") == 0


def _without_on_only(contents: list[Any]) -> str:
    """A table in partitions has its index on the parent ONLY; all else is to be the same."""
    return str(contents).replace(" ON ONLY ", " ON ")


async def test_the_service_writes_hypertables_as_it_writes_partitions(connect: Connect, migrate: Any) -> None:
    admin, service = await connect("postgres"), await connect("collector")
    await skip_without_timescaledb(admin)
    await migrate("head")
    await fill(service)
    chunks = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'ticks'"
    assert await admin.fetchval(chunks) == len(DAYS)

    await service.execute("UPDATE tick_days SET written_at = now() - interval '8 days' WHERE day = $1", DAYS[1])
    assert await service.fetchval("SELECT drop_tick_days(7)") == 1
    assert await admin.fetchval(chunks) == len(DAYS) - 1
    left = [row["sequence"] for row in await service.fetch("SELECT sequence FROM ticks ORDER BY sequence")]
    assert left == [0, 1, 2, 6, 7, 8]

    again = "INSERT INTO bars VALUES ($1, $2, $3, 1, 1, 1, 7, 1, 1) ON CONFLICT (instrument_id, timeframe_s, open_at)"
    await service.execute(f"{again} DO UPDATE SET close = excluded.close", *BARS[3][:3])
    assert await service.fetchval("SELECT close FROM bars WHERE open_at = $1", BARS[3][2]) == 7
    assert await service.fetchval("SELECT count(*) FROM bars") == len(BARS)
    for statement in (
        "UPDATE ticks SET price = 1",
        "DELETE FROM ticks",
        "SELECT timescaledb.drop_chunks('collector.ticks'::regclass, older_than => 1::bigint)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement)


async def test_without_the_extension_ticks_stay_in_partitions(connect: Connect, migrate: Any) -> None:
    admin, service = await connect("postgres"), await connect("collector")
    await admin.execute("DROP EXTENSION IF EXISTS timescaledb")
    await migrate("0001")
    await fill(service)
    before = await contents(admin)

    for revision in ("0002", "0001", "0002"):
        await migrate(revision)
        assert await contents(admin) == before
        assert await kind_of_ticks(admin) == "p"
    await service.execute("UPDATE tick_days SET written_at = now() - interval '8 days' WHERE day = $1", DAYS[1])
    assert await service.fetchval("SELECT drop_tick_days(7)") == 1
    assert await service.fetchval("SELECT count(*) FROM ticks") == 6
