"""The audit chain in Postgres: rows are only ever added; the role has no right to change or delete one."""

import json

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.metrics import AUDIT_WHOLE
from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows, without
from api_gateway.domain.audit import GENESIS, AuditEntry, chain_hash, first_break
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import AuditCheckView, AuditView
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database
from sigmax.schemas.control import Alert
from sigmax.schemas.types import AlertLevel

_LISTING = Listing(
    "entry_id, at, actor, action, subject, detail, address, previous_hash, hash", "audit", "at", "entry_id", "bigint"
)
_BATCH = 1000

_INSERT = text(
    "INSERT INTO audit (entry_id, at, actor, action, subject, detail, address, previous_hash, hash) VALUES"
    " (:entry_id, :at, :actor, :action, :subject, CAST(:detail AS jsonb), :address, :previous_hash, :hash)"
)


async def append(session: AsyncSession, entry: AuditEntry) -> None:
    """Add one entry to the chain, in the caller's transaction and as the last thing it does.

    The lock makes the chain's order the order of commits; it is held until the transaction ends.
    """
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('api_gateway.audit'))"))
    newest = (await session.execute(text("SELECT entry_id, hash FROM audit ORDER BY entry_id DESC LIMIT 1"))).first()
    entry_id, previous = (newest[0] + 1, newest[1]) if newest else (1, GENESIS)
    await session.execute(
        _INSERT,
        {
            "entry_id": entry_id,
            "at": entry.at,
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "detail": json.dumps(entry.detail),
            "address": entry.address,
            "previous_hash": previous,
            "hash": chain_hash(previous, entry),
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
        """Walk the whole chain, a thousand entries at a time."""
        last_id, head, count = 0, GENESIS, 0
        broken_at: int | None = None
        async with self._database.reading() as session:
            while broken_at is None:
                found = await rows(
                    session,
                    f"SELECT {_LISTING.columns} FROM audit WHERE entry_id > :last ORDER BY entry_id LIMIT {_BATCH}",  # noqa: S608
                    {"last": last_id},
                )
                if not found:
                    break
                broken_at = first_break(
                    ((r["entry_id"], _entry(r), r["previous_hash"], r["hash"]) for r in found), head
                )
                if broken_at is None and found[-1]["entry_id"] != count + len(found):
                    broken_at = _first_gap([r["entry_id"] for r in found], count)
                last_id, head, count = found[-1]["entry_id"], found[-1]["hash"], count + len(found)
        AUDIT_WHOLE.set(broken_at is None)
        return AuditCheckView(entries=count, is_whole=broken_at is None, broken_at=broken_at, head=head)

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
                    text=f"The audit chain does not hold from entry {check.broken_at} on: somebody changed the past.",
                    values={"entry_id": str(check.broken_at)},
                    dedupe_key="audit_broken",
                )
            )


def _first_gap(entry_ids: list[int], before: int) -> int:
    return next(entry_id for place, entry_id in enumerate(entry_ids, start=before + 1) if entry_id != place)


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(row["at"], row["actor"], row["action"], row["subject"], parsed(row["detail"]), row["address"])


def _view(row: Row) -> AuditView:
    return AuditView(**without(row, "detail"), detail=parsed(row["detail"]))
