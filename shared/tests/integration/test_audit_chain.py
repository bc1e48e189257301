"""The chain in Postgres: written at the commit, by everyone at once, and changed by nobody."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from sigmax.domain.audit import Head, Link, Walk
from sigmax.runtime.rights import MIGRATOR, SUPERUSER

if TYPE_CHECKING:
    from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration
GATE = "risk_gate"
_ADD = (
    "INSERT INTO risk_gate.stages (scope, scope_id, stage, version, reason, changed_by, changed_at)"
    " VALUES ($1, $2, 'normal', 1, '', 'test', now())"
)
_CHANGE = "UPDATE risk_gate.stages SET version = version + 1, stage = 'halted' WHERE scope = $1 AND scope_id = $2"

_EXCHANGE = """
UPDATE risk_gate.audit_log SET position = CASE position WHEN 4 THEN -5 ELSE 4 END WHERE position IN (4, 5);
UPDATE risk_gate.audit_log SET position = 5 WHERE position = -5
"""
_REPEAT = """
INSERT INTO risk_gate.audit_log SELECT 7, at, kind, subject, correlation_id, entry, previous, hash
FROM risk_gate.audit_log WHERE position = 6
"""


class Logins:
    """Connections under any login, closed at the end."""

    def __init__(self, addresses: "Addresses") -> None:
        self._addresses = addresses
        self.opened: list[asyncpg.Connection] = []

    async def __call__(self, login: str = GATE, **settings: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._addresses.database_url_as(login), server_settings=settings)
        self.opened.append(connection)
        return connection


@pytest.fixture
async def connect(clean: "Addresses") -> AsyncIterator[Logins]:
    """Give a function that logs in."""
    logins = Logins(clean)
    yield logins
    for connection in logins.opened:
        await connection.close()


async def links(connection: Any, owner: str = GATE) -> list[Link]:
    rows = await connection.fetch(f"SELECT * FROM {owner}.audit_log ORDER BY position")
    return [Link(**row) for row in rows]


async def wrong(connection: Any, *heads: Head) -> str | None:
    walk = Walk(heads)
    broken = walk.follow(await links(connection)) or walk.end()
    return None if broken is None else f"{broken.position}: {broken.what}"


async def test_a_fact_is_an_entry_once_it_is_committed(connect: Logins) -> None:
    gate = await connect()
    await gate.execute(_ADD, "venue", "paper")
    transaction = gate.transaction()
    await transaction.start()
    await gate.execute(_ADD, "venue", "lost")
    await transaction.rollback()

    (only,) = await links(gate)
    assert (only.kind, only.subject) == ("stage", "venue paper")
    assert await wrong(gate) is None


async def test_a_change_that_says_nothing_new_is_no_entry(connect: Logins) -> None:
    gate = await connect()
    await gate.execute(_ADD, "venue", "paper")
    await gate.execute("UPDATE risk_gate.stages SET reason = 'told again'")
    assert len(await links(gate)) == 1


async def test_the_chains_lock_is_taken_at_the_commit_and_not_before(connect: Logins) -> None:
    slow, quick = await connect(), await connect()
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(_ADD, "venue", "slow")
    async with asyncio.timeout(5):
        await quick.execute(_ADD, "venue", "quick")  # would wait for ever for a lock that `slow` held
    await transaction.commit()
    assert [link.subject for link in await links(quick)] == ["venue quick", "venue slow"]


async def test_four_that_write_at_once_make_one_whole_chain_and_no_deadlock(connect: Logins) -> None:
    rounds, each = 40, 3

    async def work(number: int) -> None:
        connection = await connect()
        for turn in range(rounds):
            async with connection.transaction():
                # Rows that others change as well, in everybody's own order: the usual stuff that deadlocks are made of
                # is held while the chain is written.
                for part in range(each):
                    await connection.execute(_ADD, f"w{number}", f"{turn}-{part}")
                await connection.execute(_CHANGE, "venue", "shared")

    first = await connect()
    await first.execute(_ADD, "venue", "shared")
    async with asyncio.timeout(60):
        await asyncio.gather(*(work(number) for number in range(4)))

    assert len(await links(first)) == 1 + 4 * rounds * (each + 1)
    assert await wrong(first) is None


async def test_nobody_changes_the_chain(connect: Logins) -> None:
    await (await connect()).execute(_ADD, "venue", "paper")
    for login in (GATE, "api_gateway", MIGRATOR, SUPERUSER):
        connection = await connect(login)
        for statement in (
            "UPDATE risk_gate.audit_log SET subject = 'x'",
            "DELETE FROM risk_gate.audit_log",
            "TRUNCATE risk_gate.audit_log",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_a_service_reads_its_chain_and_writes_no_entry_itself(connect: Logins) -> None:
    gate = await connect()
    for statement in (
        "INSERT INTO audit_log VALUES (1, now(), 'k', 's', NULL, '{}', '', '')",
        "UPDATE audit_anchor SET position = 7",
        "DELETE FROM audit_anchor",
        "SELECT audit_append('k', 's', NULL, '{}')",
        "ALTER TABLE stages DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await gate.execute(statement)


@pytest.mark.parametrize(
    "breaking",
    [
        "DELETE FROM risk_gate.audit_anchor",
        "REVOKE INSERT ON risk_gate.audit_log FROM sigmax_migrator",
        "ALTER TABLE risk_gate.audit_log RENAME TO elsewhere",
    ],
)
async def test_what_cannot_be_recorded_does_not_happen(connect: Logins, breaking: str) -> None:
    mending = {
        "REVOKE": "GRANT INSERT ON risk_gate.audit_log TO sigmax_migrator",
        "ALTER": "ALTER TABLE risk_gate.elsewhere RENAME TO audit_log",
    }
    root = await connect(SUPERUSER)
    await root.execute(breaking)
    try:
        with pytest.raises(asyncpg.PostgresError):
            await (await connect()).execute(_ADD, "venue", "paper")
        assert await root.fetchval("SELECT count(*) FROM risk_gate.stages") == 0
    finally:
        if mend := mending.get(breaking.split(" ", 1)[0]):
            await root.execute(mend)


@pytest.mark.parametrize(
    ("tampering", "position"),
    [
        ("UPDATE risk_gate.audit_log SET entry = replace(entry, 'normal', 'halted') WHERE position = 4", 4),
        ("UPDATE risk_gate.audit_log SET subject = 'venue other' WHERE position = 4", 4),
        ("DELETE FROM risk_gate.audit_log WHERE position = 4", 4),
        ("DELETE FROM risk_gate.audit_log WHERE position = 1", 1),
        (_EXCHANGE, 4),
        (_REPEAT, 7),
    ],
)
async def test_each_kind_of_tampering_is_found_at_its_first_row(connect: Logins, tampering: str, position: int) -> None:
    gate = await connect()
    for number in range(6):
        await gate.execute(_ADD, "venue", f"{number}")
    forger = await connect(SUPERUSER, session_replication_role="replica")
    for statement in tampering.split(";"):
        await forger.execute(statement)
    found = await wrong(gate)
    assert found is not None
    assert found.startswith(f"{position}: ")


async def test_a_cut_end_is_found_by_the_head_that_was_told(connect: Logins) -> None:
    gate = await connect()
    for number in range(6):
        await gate.execute(_ADD, "venue", f"{number}")
    told = (await links(gate))[-1].head
    forger = await connect(SUPERUSER, session_replication_role="replica")
    await forger.execute("DELETE FROM risk_gate.audit_log WHERE position > 4")

    assert await wrong(gate) is None
    found = await wrong(gate, told)
    assert found is not None
    assert found.startswith("5: ")
    # And once others were written in its place, because those have other hashes.
    for number in range(6, 9):
        await gate.execute(_ADD, "venue", f"{number}")
    found = await wrong(gate, told)
    assert found is not None
    assert found.startswith("6: ")
