"""What people did, in Postgres: facts that the database itself chains at the commit (`sigmax.runtime.audit_chain`).

Rows from before that have their hashes beside them, made here then; they are verified as they were made.
"""

import json

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.metrics import AUDIT_WHOLE
from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows, without
from api_gateway.domain.audit import AuditEntry, first_break
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import AuditCheckView, AuditView
from sigmax.domain.audit import GENESIS, Break, Link, Walk
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database
from sigmax.schemas.control import Alert
from sigmax.schemas.types import AlertLevel

_LISTING = Listing(
    "entry_id, at, actor, action, subject, detail, address, previous_hash, hash",
    "audit_trail",
    "at",
    "entry_id",
    "bigint",
)
_BATCH = 1000

_INSERT = text(
    "INSERT INTO audit (at, actor, action, subject, detail, address) VALUES"
    " (:at, :actor, :action, :subject, CAST(:detail AS jsonb), :address)"
)
_OLD = (
    f"SELECT {_LISTING.columns} FROM audit WHERE hash IS NOT NULL AND entry_id > :last"  # noqa: S608
    f" ORDER BY entry_id LIMIT {_BATCH}"
)
_CHAINED = (
    "SELECT position, at, kind, subject, correlation_id, entry, previous, hash FROM audit_log"  # noqa: S608
    f" WHERE position > :last ORDER BY position LIMIT {_BATCH}"
)
_BEFORE = "SELECT entry::jsonb -> 'data' AS data FROM audit_log WHERE kind = 'audit_before'"
_DIFFERING = """
SELECT coalesce(a.entry_id, l.subject::bigint) AS entry_id FROM audit a
FULL JOIN (SELECT subject, entry::jsonb -> 'data' AS data FROM audit_log WHERE kind = 'audit') l
  ON l.subject = a.entry_id::text
WHERE a.hash IS NULL AND (a.entry_id IS NULL OR l.data IS NULL OR NOT to_jsonb(a) @> l.data)
ORDER BY 1 LIMIT 1
"""
"""What is shown and what was chained: a row that was changed, added, or removed beside the chain."""


async def append(session: AsyncSession, entry: AuditEntry) -> None:
    """Add one entry, in the caller's transaction; the database chains it at the commit."""
    await session.execute(
        _INSERT,
        {
            "at": entry.at,
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "detail": json.dumps(entry.detail),
            "address": entry.address,
        },
    )


class PostgresAudit:
    """Reads, checks, and extends the audit chain."""

    def __init__(self, database: Database, clock: ClockPort) -> None:
        self._database = database
        self._clock = clock

    async def write(self, entry: AuditEntry) -> None:
        """Append one entry in a transaction of its own."""
        async with self._database.transaction() as unit:
            await append(unit.session, entry)

    async def entries(self, page: PageRequest, actor: str | None, action: str | None) -> Page[AuditView]:
        """Give entries, newest first."""
        conditions = Conditions()
        conditions.equal(actor=actor, action=action)
        async with self._database.reading() as session:
            return await page_of(session, _LISTING, conditions, page, _view)

    async def verify(self) -> AuditCheckView:
        """Walk the rows from before the chain, then the chain, and hold the audit against it."""
        async with self._database.reading() as session:
            count, head, broken = await _verify_old(session)
            for before in await rows(session, _BEFORE):
                told = parsed(before["data"])
                if broken is None and (told["entries"], told["head"]) != (count, head):
                    broken = Break(count + 1, f"{count} entries stand where there were {told['entries']}")
            if broken is None:
                walk = Walk()
                while broken is None and (found := await rows(session, _CHAINED, {"last": walk.head.position})):
                    broken = walk.follow(Link(**row) for row in found)
                count += walk.head.position
                head = walk.head.hash if walk.head.position else head
            if broken is None and (differing := await rows(session, _DIFFERING)):
                entry_id = differing[0]["entry_id"]
                broken = Break(entry_id, f"entry {entry_id} of the audit is not what was chained")
        AUDIT_WHOLE.set(broken is None)
        return AuditCheckView(
            entries=count,
            is_whole=broken is None,
            broken_at=broken.position if broken else None,
            what=broken.what if broken else None,
            head=head,
        )

    async def watch(self) -> None:
        """Verify the chain, and tell people when it does not hold."""
        check = await self.verify()
        if check.is_whole:
            return
        now = self._clock.now()
        async with self._database.transaction() as unit:
            unit.publish(
                Alert(
                    **Alert.first(f"audit:{check.broken_at}:{now.date()}", now),
                    producer="api_gateway",
                    level=AlertLevel.CRITICAL,
                    code="audit_broken",
                    subject="audit",
                    text=f"The audit does not hold from entry {check.broken_at} on: {check.what}.",
                    values={"entry_id": str(check.broken_at)},
                    dedupe_key="audit_broken",
                )
            )


async def _verify_old(session: AsyncSession) -> tuple[int, str, Break | None]:
    """Walk what was chained by its own hashes; give how many rows, the newest hash, and what does not fit."""
    last, head, count = 0, GENESIS, 0
    while found := await rows(session, _OLD, {"last": last}):
        broken_at = first_break(((r["entry_id"], _entry(r), r["previous_hash"], r["hash"]) for r in found), head)
        gap = next((r["entry_id"] for place, r in enumerate(found, start=count + 1) if r["entry_id"] != place), None)
        if broken_at is not None or gap is not None:
            entry_id = min(number for number in (broken_at, gap) if number is not None)
            return count, head, Break(entry_id, f"entry {entry_id} does not fit: somebody changed the past")
        last, head, count = found[-1]["entry_id"], found[-1]["hash"], count + len(found)
    return count, head, None


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(row["at"], row["actor"], row["action"], row["subject"], parsed(row["detail"]), row["address"])


def _view(row: Row) -> AuditView:
    return AuditView(**without(row, "detail"), detail=parsed(row["detail"]))
