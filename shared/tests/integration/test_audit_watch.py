"""A service looks at its own chain: what it finds is told, what it saw leaves with a seal."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from sigmax.domain.audit import is_signed
from sigmax.runtime.audit import AuditWatch
from sigmax.runtime.clock import SystemClock
from sigmax.runtime.database import Database, asyncpg_url
from sigmax.runtime.rights import SUPERUSER
from sigmax.schemas.control import Alert, AuditHead

if TYPE_CHECKING:
    from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration
KEY = b"k" * 32


@pytest.fixture
async def database(clean: "Addresses") -> AsyncIterator[Database]:
    """Give risk-gate's schema under its own login."""
    password = clean.secrets.get("risk_gate", "database_password")
    database = Database(asyncpg_url(clean.database_url, "risk_gate", password), owner="risk_gate", application="test")
    yield database
    await database.close()


@pytest.fixture
async def root(clean: "Addresses") -> AsyncIterator[Any]:
    """Give a superuser whom no trigger stops."""
    connection = await asyncpg.connect(
        clean.database_url_as(SUPERUSER),
        server_settings={"session_replication_role": "replica", "search_path": "risk_gate"},
    )
    yield connection
    await connection.close()


@pytest.fixture
async def grow(clean: "Addresses") -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Give a function that adds entries to the chain."""
    connection = await asyncpg.connect(clean.database_url_as("risk_gate"))
    made = 0

    async def add(count: int) -> None:
        nonlocal made
        await connection.execute(
            "INSERT INTO stages SELECT 'venue', 'v' || g, 'normal', 1, '', 'test', now() FROM generate_series($1::int, $2) g",
            made,
            made + count - 1,
        )
        made += count

    yield add
    await connection.close()


def a_watch(database: Database) -> AuditWatch:
    return AuditWatch(database, SystemClock(), "risk_gate", KEY)


async def told(root: Any, kind: type[Any]) -> list[Any]:
    topic = kind.TOPIC.replace("*", "risk_gate")
    rows = await root.fetch("SELECT body FROM outbox WHERE topic = $1 ORDER BY sequence", topic)
    return [kind.decode(row["body"]) for row in rows]


async def test_a_whole_chain_is_quiet_and_its_head_leaves_once_with_a_seal(
    database: Database, root: Any, grow: Any
) -> None:
    watch = a_watch(database)
    await watch.look_at_recent()
    await watch.tell()
    assert await told(root, AuditHead) == []  # an empty chain has no head
    await grow(250)
    for _ in range(2):
        await watch.look_at_new()
        await watch.look_at_all()
        await watch.tell()

    (head,) = await told(root, AuditHead)
    newest = await root.fetchrow("SELECT position, hash FROM audit_log ORDER BY position DESC LIMIT 1")
    assert (head.position, head.hash) == (250, newest["hash"])
    assert is_signed("risk_gate", head, KEY)
    assert await watch.check() is None
    assert await told(root, Alert) == []


async def test_a_start_finds_what_was_changed_among_the_last_rows(database: Database, root: Any, grow: Any) -> None:
    await grow(1010)
    await root.execute("UPDATE audit_log SET subject = 'venue x' WHERE position = 5")
    watch = a_watch(database)
    await watch.look_at_recent()
    assert watch.is_whole  # too far back for a start
    await root.execute("DELETE FROM audit_log WHERE position = 11")
    await watch.look_at_recent()
    assert not watch.is_whole


async def test_the_daily_look_finds_it_anywhere_and_people_are_told(database: Database, root: Any, grow: Any) -> None:
    await grow(1010)
    await root.execute("UPDATE audit_log SET entry = replace(entry, 'normal', 'halted') WHERE position = 5")
    watch = a_watch(database)
    await watch.look_at_all()

    assert not watch.is_whole
    assert "row 5 was edited" in (await watch.check() or "")
    (alert,) = await told(root, Alert)
    assert (alert.code, alert.level, alert.values["position"]) == ("audit_broken", "critical", "5")


async def test_a_look_at_what_is_new_finds_an_end_that_was_cut_and_written_again(
    database: Database, root: Any, grow: Any
) -> None:
    await grow(20)
    watch = a_watch(database)
    await watch.look_at_recent()
    await root.execute("DELETE FROM audit_log WHERE position > 15")
    await grow(10)
    await watch.look_at_new()
    assert not watch.is_whole
    assert "row 20" in (await watch.check() or "")
