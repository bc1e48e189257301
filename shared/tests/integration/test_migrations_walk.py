"""Every service's revisions, one by one up, down, and up again on a real Postgres: the same tables, and the same rows."""

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from api_gateway.adapters.audit import PostgresAudit
from sigmax.runtime.clock import SystemClock
from sigmax.runtime.database import Database
from sigmax.runtime.migrations import VERSION_TABLE
from sigmax.runtime.rights import MIGRATOR, postgres_roles_sql
from sigmax.schemas.topology import SERVICES, owner_of
from sigmax_local.environment import repository
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration

DATABASE = "sigmax_walk"
MIGRATED = [name for name in SERVICES if (repository() / "services" / name / "migrations" / "env.py").is_file()]
NOTHING = "base"
LEAVES_ITS_MAILBOXES = {"api-gateway"}
"""Whose first revision, as it was released, keeps inbox and outbox on its way down."""

# Without the order of columns, which a column that comes back has lost, and with every right.
_TABLES = """
    SELECT c.relname AS name, c.relkind::text AS kind, obj_description(c.oid) AS comment,
        (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) AS a) AS rights,
        (SELECT array_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                    a.attgenerated, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum),
                    (SELECT string_agg(r::text, ' ' ORDER BY r::text) FROM unnest(a.attacl) AS r)) ORDER BY a.attname)
         FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
        (SELECT array_agg(conname || ' ' || pg_get_constraintdef(oid) ORDER BY conname) FROM pg_constraint
         WHERE conrelid = c.oid) AS constraints,
        (SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY pg_get_indexdef(indexrelid)) FROM pg_index WHERE indrelid = c.oid) AS indexes,
        (SELECT array_agg(pg_get_triggerdef(t.oid) ORDER BY pg_get_triggerdef(t.oid)) FROM pg_trigger t
         WHERE tgrelid = c.oid AND NOT tgisinternal) AS triggers,
        CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS view
    FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
    ORDER BY c.relname
"""
_FUNCTIONS = """
    SELECT proname AS name, pg_get_functiondef(oid) AS text,
        (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(proacl) AS a) AS rights
    FROM pg_proc WHERE pronamespace = $1::regnamespace AND prokind IN ('f', 'p') ORDER BY proname, 2
"""
_COLUMNS = """
    SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, NULL) AS type, a.attnotnull AS is_needed,
        (SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k
         WHERE k.conrelid = c.oid AND k.contype = 'c' AND a.attnum = ANY(k.conkey)) AS checks
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
        AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = '' ORDER BY 1, 2
"""
_VALUES = {
    "text": "'x'",
    "uuid": "'00000000-0000-4000-8000-000000000001'",
    "smallint": "1",
    "integer": "1",
    "bigint": "1",
    "numeric": "1",
    "real": "1",
    "double precision": "1",
    "boolean": "true",
    "timestamp with time zone": "'2026-01-05 09:00+00'",
    "date": "'2026-01-05'",
    "time without time zone": "'09:00'",
    "interval": "'1 s'",
    "bytea": r"'\x01'",
    "jsonb": "'{}'",
    "text[]": "'{x}'",
    "numeric[]": "'{1}'",
    "uuid[]": "'{}'",
}
_LATER = "'2026-01-06 09:00+00'"
_DONE = """
    INSERT INTO api_gateway.audit (at, actor, action, subject, detail, address)
    VALUES ('2026-01-06 09:00:00.5+00', 'admin', $1, 'global', $2::jsonb, '127.0.0.1')
"""


@pytest.fixture
async def admin(servers: Addresses) -> AsyncIterator[Any]:
    """Give a superuser of a database of this test's own, whom no trigger and no foreign key stops."""
    address = servers.database_url_as("postgres").rsplit("/", 1)[0]
    outside = await asyncpg.connect(f"{address}/postgres")
    await outside.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    await outside.execute(f"CREATE DATABASE {DATABASE}")
    connection = await asyncpg.connect(
        f"{address}/{DATABASE}", server_settings={"session_replication_role": "replica", "search_path": "pg_catalog"}
    )
    await connection.execute(postgres_roles_sql(servers.secrets.database_passwords(), DATABASE))
    yield connection
    await connection.close()
    await outside.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    await outside.close()


class Walk:
    """One service's schema on its way through its revisions."""

    def __init__(self, service: str, admin: Any, url: sa.URL) -> None:
        self.owner = owner_of(service)
        self._admin = admin
        self.url = url
        self._config = Config()
        self._config.set_main_option("script_location", str(repository() / "services" / service / "migrations"))
        script = ScriptDirectory.from_config(self._config)
        self.heads = script.get_heads()
        self.revisions = [each.revision for each in reversed(list(script.walk_revisions()))]

    async def up(self, revision: str) -> None:
        await self._go(lambda: command.upgrade(self._config, revision))

    async def down(self, revision: str) -> None:
        await self._go(lambda: command.downgrade(self._config, revision))

    async def _go(self, step: Callable[[], None]) -> None:
        engine = create_async_engine(self.url, poolclass=sa.NullPool)

        def run(connection: sa.Connection) -> None:
            self._config.attributes["connection"] = connection
            step()

        async with engine.connect() as connection:
            await connection.run_sync(run)
        await engine.dispose()

    async def structure(self) -> dict[str, Any]:
        """Give everything that the schema is made of."""
        found: dict[str, Any] = {}
        for query in (_TABLES, _FUNCTIONS):
            for row in await self._admin.fetch(query, self.owner):
                if row["name"] != VERSION_TABLE:
                    found.setdefault(row["name"], []).append(dict(row))
        return found

    async def shape(self) -> dict[str, Any]:
        """Give the same without the service's own rights: what was taken from it stays taken on the way down."""
        return self.shape_of(await self.structure())

    def shape_of(self, structure: dict[str, Any]) -> dict[str, Any]:
        """Leave the service's own rights out."""
        mine = re.compile(rf" ?{self.owner}=\S+")
        return {
            name: [
                {
                    part: [mine.sub("", line) for line in lines if not mine.fullmatch(line)]
                    if part in ("rights", "columns") and lines
                    else lines
                    for part, lines in thing.items()
                }
                for thing in things
            ]
            for name, things in structure.items()
        }

    async def fill(self) -> list[str]:
        """Put a row into each table that has none; give the tables that stay empty."""
        columns: dict[str, list[Any]] = {}
        for column in await self._admin.fetch(_COLUMNS, self.owner):
            if column["is_needed"] or not column["checks"]:
                columns.setdefault(column["table"], []).append(column)
        empty = []
        for table, named in columns.items():
            name = f'"{self.owner}"."{table}"'
            if await self._admin.fetchval(f"SELECT count(*) FROM {name}"):
                continue
            listed = ", ".join(f'"{each["name"]}"' for each in named)
            values = ", ".join(_value_of(each) for each in named)
            try:
                await self._admin.execute(f"INSERT INTO {name} ({listed}) VALUES ({values})")
            except asyncpg.CheckViolationError as error:
                if "no partition of relation" not in str(error):
                    raise
                empty.append(table)
        return empty

    async def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Give the contents of every table."""
        tables = [table for table, (made, *_) in (await self.structure()).items() if made.get("kind") in ("r", "p")]
        found = {}
        for table in tables:
            query = f'SELECT to_jsonb(t)::text FROM "{self.owner}"."{table}" AS t ORDER BY 1'
            found[table] = [json.loads(row[0]) for row in await self._admin.fetch(query)]
        return found


def _value_of(column: Any) -> str:
    if column["name"] == "expires_at":
        return _LATER
    _, is_listed, choices = (column["checks"] or "").partition("ARRAY['")
    return f"'{choices.split(chr(39))[0]}'" if is_listed else _VALUES[column["type"]]


def common(rows: dict[str, list[dict[str, Any]]], others: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Give the part of the rows whose tables and columns the others have too."""
    shared = {}
    for table in rows.keys() & others.keys():
        columns = (rows[table] or [{}])[0].keys() & (others[table] or [{}])[0].keys()
        shared[table] = sorted(json.dumps({name: row[name] for name in sorted(columns)}) for row in rows[table])
    return shared


def lost(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Give the rows that are there no more, of the tables and columns that both have; what came is nobody's loss."""
    kept = common(after, before)
    gone = {table: set(rows) - set(kept[table]) for table, rows in common(before, after).items()}
    return {table: rows for table, rows in gone.items() if rows}


@pytest.mark.parametrize("service", MIGRATED)
async def test_each_revision_goes_up_and_down_with_rows_in_every_table(
    service: str, servers: Addresses, admin: Any
) -> None:
    url = sa.make_url(servers.database_url_as(MIGRATOR).rsplit("/", 1)[0] + f"/{DATABASE}")
    walk = Walk(service, admin, url.set(drivername="postgresql+asyncpg"))
    assert len(walk.heads) == 1
    made = {NOTHING: await walk.structure()}
    for revision in walk.revisions:
        await walk.up(revision)
        made[revision] = await walk.structure()
    empty = await walk.fill()
    kept = await walk.rows()
    assert {table for table, rows in kept.items() if not rows} == set(empty)

    for revision in reversed(walk.revisions[:-1]):
        await walk.down(revision)
        assert await walk.shape() == walk.shape_of(made[revision]), f"down to {revision}"
        assert not lost(kept, await walk.rows()), f"down to {revision}"
    oldest = await walk.rows()
    for revision in walk.revisions[1:]:
        await walk.up(revision)
        assert await walk.shape() == walk.shape_of(made[revision]), f"up to {revision}"
        assert not lost(oldest, await walk.rows()), f"up to {revision}"
    assert await walk.structure() == made[walk.revisions[-1]]
    if service not in LEAVES_ITS_MAILBOXES:
        await walk.down(NOTHING)
        assert await walk.structure() == made[NOTHING]
        await walk.up(walk.revisions[-1])
        assert await walk.structure() == made[walk.revisions[-1]]


async def test_an_audit_that_went_back_a_revision_and_forth_again_still_verifies(
    servers: Addresses, admin: Any
) -> None:
    """What people did is chained by the rows themselves before 0004, and by the database from then on."""
    url = sa.make_url(servers.database_url_as(MIGRATOR).rsplit("/", 1)[0] + f"/{DATABASE}")
    walk = Walk("api-gateway", admin, url.set(drivername="postgresql+asyncpg"))
    await walk.up("head")
    await admin.execute("SET session_replication_role = origin")
    for number in range(4):
        transaction = admin.transaction()
        await transaction.start()
        await admin.execute(_DONE, f"halt {number}", json.dumps({"why": 'ü "drill"'}))
        await (transaction.rollback() if number == 1 else transaction.commit())

    await walk.down("0003")
    await walk.up("head")

    database = Database(walk.url, owner=walk.owner, application="test")
    try:
        check = await PostgresAudit(database, SystemClock()).verify()
    finally:
        await database.engine.dispose()
    assert check.is_whole, check.what
    assert await admin.fetchval("SELECT count(*) FROM api_gateway.audit WHERE hash IS NOT NULL") == 3
