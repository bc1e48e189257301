"""Postgres' rows of the table of rights, each tried on a real server: what is no row is refused."""

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from sigmax.runtime.rights import DATABASE, MIGRATOR, OWNERS, SUPERUSER
from sigmax.schemas.topology import REACH, SERVICES, owner_of
from sigmax_local.environment import repository
from sigmax_local.rights import read_rights
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration
Connection = asyncpg.Connection

READERS = {owner_of(service) for service in SERVICES if REACH[service].reads_all_schemas}
TEMPORARY = {owner_of(service) for service in SERVICES if REACH[service].makes_temporary_tables}
_ROW = re.compile(r"\| `(\w+)` \| ([A-Z].*?) \| (history)? ?\|")
_NOT_THROUGH_A_VIEW = (
    asyncpg.WrongObjectTypeError,
    asyncpg.GeneratedAlwaysError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)
_COLUMNS = """
    SELECT n.nspname || '.' || c.relname AS table, quote_ident(a.attname) AS column
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition AND a.attnum > 0
      AND NOT a.attisdropped
"""


def _written_down() -> tuple[dict[str, str], list[str]]:
    """Give each table's rights for its own service, and which are history, as infra/RIGHTS.md has them."""
    rights, history = {}, []
    owner = ""
    for line in (repository() / "infra" / "RIGHTS.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            owner = owner_of(line.removeprefix("## "))
        elif found := _ROW.fullmatch(line):
            rights[f"{owner}.{found[1]}"] = found[2]
            if found[3]:
                history.append(f"{owner}.{found[1]}")
    return rights, history


RIGHTS, HISTORY = _written_down()


@pytest.fixture
async def connect(servers: Addresses) -> AsyncIterator[Any]:
    """Give what connects as a login; all is closed in the end."""
    opened: list[Connection] = []

    async def open_as(login: str, **settings: str) -> Connection:
        opened.append(await asyncpg.connect(servers.database_url_as(login), server_settings=settings))
        return opened[-1]

    yield open_as
    for connection in opened:
        await connection.close()


async def _may(connection: Connection, statement: str) -> bool:
    """Run a statement and undo it; say whether the server allowed it.

    That a row breaks a rule is no refusal; that a view does not pass it on is one.
    """
    await connection.execute("BEGIN")
    try:
        await connection.execute(statement)
    except (asyncpg.InsufficientPrivilegeError, *_NOT_THROUGH_A_VIEW):
        return False
    except asyncpg.IntegrityConstraintViolationError:
        pass
    finally:
        await connection.execute("ROLLBACK")
    return True


@pytest.mark.parametrize("owner", OWNERS)
async def test_a_login_does_with_each_table_exactly_what_its_row_says(owner: str, connect: Any) -> None:
    connection = await connect(owner)
    columns: dict[str, list[str]] = {}
    for row in await (await connect(SUPERUSER)).fetch(_COLUMNS, list(OWNERS)):
        columns.setdefault(row["table"], []).append(row["column"])
    assert set(columns) == set(RIGHTS) | {f"{one}.alembic_version" for one in OWNERS}

    for table, names in columns.items():
        is_own = table.startswith(f"{owner}.")
        verbs = RIGHTS[table] if is_own else "SELECT" if owner in READERS else ""
        changeable = re.search(r"UPDATE(?: \((.*?)\))?", verbs)
        expected = {verb for verb in ("SELECT", "INSERT", "DELETE") if verb in verbs}
        expected |= {f"UPDATE {name}" for name in names if changeable and name in (changeable[1] or name).split(", ")}
        # Of another's table one column stands for all: the test below asks the catalog about each of them.
        tries = {
            "SELECT": f"SELECT FROM {table} LIMIT 0",
            "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
            "DELETE": f"DELETE FROM {table} WHERE false",
            "TRUNCATE": f"TRUNCATE {table}",
            **{
                f"UPDATE {n}": f"UPDATE {table} SET {n} = DEFAULT WHERE false" for n in (names if is_own else names[:1])
            },
        }
        assert {what for what, how in tries.items() if await _may(connection, how)} == expected, table


async def test_the_catalog_knows_no_right_that_is_not_written_down(connect: Any) -> None:
    rights = await read_rights(await connect(SUPERUSER))

    for (role, table), verbs in rights.items():
        assert verbs == (RIGHTS[table] if table.startswith(f"{role}.") else "SELECT")
        assert table.startswith(f"{role}.") or role in READERS


@pytest.mark.parametrize("owner", OWNERS)
async def test_a_new_table_is_its_services_own_and_others_at_most_read_it(owner: str, connect: Any) -> None:
    migrator = await connect(MIGRATOR)
    async with migrator.transaction():
        await migrator.execute(f"CREATE TABLE {owner}.made (id bigserial)")
        rights = await read_rights(migrator)
        verbs = {role: verbs for (role, table), verbs in rights.items() if table == f"{owner}.made"}
        await migrator.execute(f"DROP TABLE {owner}.made")

    assert verbs == {**dict.fromkeys(READERS, "SELECT"), owner: "SELECT, INSERT, UPDATE, DELETE"}


@pytest.mark.parametrize("table", HISTORY)
async def test_history_is_changed_by_nobody(table: str, connect: Any) -> None:
    owner = table.split(".", maxsplit=1)[0]
    column = await (await connect(SUPERUSER)).fetchval(
        "SELECT quote_ident(attname) FROM pg_attribute"
        " WHERE attrelid = $1::text::regclass AND attnum > 0 AND attidentity = ''",
        table,
    )
    changes = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table}"]
    for login in (owner, "api_gateway", "order_worker", MIGRATOR, SUPERUSER):
        connection = await connect(login)
        assert not [change for change in changes if await _may(connection, change)], login

    restoring = await connect(SUPERUSER, session_replication_role="replica")
    assert [change for change in changes if await _may(restoring, change)] == changes


@pytest.mark.parametrize(
    "table",
    [
        *("order_worker.fills", "order_worker.ledger_entries", "order_worker.reconciliations", "api_gateway.audit"),
        *("risk_gate.verdicts", "risk_gate.limits", "llm_controller.calls", "llm_controller.decisions"),
    ],
)
def test_what_must_be_history_is(table: str) -> None:
    assert table in HISTORY


async def test_order_worker_alone_changes_an_order_and_never_what_was_approved(connect: Any) -> None:
    changing = "UPDATE order_worker.orders SET submission = 'ready'"
    assert [owner for owner in OWNERS if await _may(await connect(owner), changing)] == ["order_worker"]

    worker = await connect("order_worker")
    for approved in ("client_order_id", "signal_id", "account_id", "instrument_id", "side", "quantity", "limit_price"):
        assert not await _may(worker, f"UPDATE order_worker.orders SET {approved} = {approved}")
    assert not await _may(worker, "DELETE FROM order_worker.orders")


async def test_strategy_engine_cannot_read_orders(connect: Any) -> None:
    engine = await connect("strategy_engine")
    for table in ("order_worker.orders", "order_worker.fills", "risk_gate.book_orders", "paper_venue.orders"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await engine.fetch(f"SELECT * FROM {table}")


async def test_a_view_is_no_way_around_what_its_table_refuses(connect: Any) -> None:
    gate = await connect("risk_gate")
    assert not await _may(gate, "UPDATE reservations SET quantity = 0")
    assert not await _may(gate, "DELETE FROM reservations")


async def test_a_days_ticks_have_no_more_rights_than_all_ticks(connect: Any) -> None:
    collector = await connect("collector")
    await collector.execute("BEGIN; SELECT ensure_tick_partition('2013-09-01')")
    await collector.execute("INSERT INTO ticks VALUES ('X', 1, 1378000000000000000, 0, 1, 1, 0)")
    days = await collector.fetch(
        "SELECT has_table_privilege(inhrelid, 'UPDATE, DELETE, TRUNCATE') AS is_open FROM pg_inherits"
        " WHERE inhparent = 'ticks'::regclass"
    )
    await collector.execute("ROLLBACK")

    assert {row["is_open"] for row in days} == {False}


_FORBIDDEN = (
    "CREATE TABLE made (id int)",
    "CREATE TABLE public.made (id int)",
    "CREATE VIEW made AS SELECT 1",
    "CREATE SEQUENCE made",
    "CREATE TYPE made AS (a int)",
    "CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA made",
    "CREATE EXTENSION hstore",
    "CREATE ROLE made",
    "CREATE INDEX made ON outbox (topic)",
    "ALTER TABLE outbox ADD COLUMN made int",
    "ALTER TABLE outbox DISABLE TRIGGER ALL",
    "CREATE TRIGGER made BEFORE INSERT ON outbox EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE POLICY made ON outbox",
    "COMMENT ON TABLE outbox IS 'made'",
    "DROP TABLE outbox",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/made'",
    "SET session_replication_role = replica",
    "SET ROLE postgres",
    f"SET ROLE {MIGRATOR}",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    f"ALTER DATABASE {DATABASE} SET work_mem = '1MB'",
    f"ALTER ROLE {MIGRATOR} PASSWORD 'x'",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    "UPDATE alembic_version SET version_num = 'made'",
)


@pytest.mark.parametrize("owner", OWNERS)
async def test_a_login_makes_nothing_and_becomes_nobody(owner: str, connect: Any) -> None:
    connection = await connect(owner)
    await connect(SUPERUSER)  # somebody whom it might cut off

    assert not [statement for statement in _FORBIDDEN if await _may(connection, statement)]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("ALTER SYSTEM SET work_mem = '1MB'")
    for other in set(OWNERS) - {owner}:
        assert not await _may(connection, f"SET ROLE {other}")
        assert not await _may(connection, f"ALTER ROLE {other} PASSWORD 'x'")
    assert await _may(connection, "CREATE TEMPORARY TABLE made (id int)") is (owner in TEMPORARY)


@pytest.mark.parametrize("owner", OWNERS)
async def test_a_login_enters_no_other_database(owner: str, servers: Addresses) -> None:
    for database in ("postgres", "template1"):
        url = servers.database_url_as(owner).removesuffix(f"/{DATABASE}") + f"/{database}"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(url)


async def test_no_login_has_an_attribute_or_a_membership(connect: Any) -> None:
    superuser = await connect(SUPERUSER)
    logins = [*OWNERS, MIGRATOR]
    attributes = await superuser.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY($1)"
        " AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR NOT rolcanlogin)",
        logins,
    )
    members = await superuser.fetch(
        "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = ANY($1)", logins
    )
    assert (attributes, members) == ([], [])
