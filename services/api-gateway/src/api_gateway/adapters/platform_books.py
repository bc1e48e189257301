"""Reads what collector, notifier, and scheduler own, and keeps who has seen which alert."""

from uuid import UUID

from sqlalchemy import text

from api_gateway.adapters.audit import append
from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows, without
from api_gateway.domain.audit import AuditEntry
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.platform import AlertView, BarView, JobView
from api_gateway.ports.books import Filters
from api_gateway.ports.people import User
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database

_ALERTS = Listing(
    'alert_id, producer, level, code, subject, text, a."values" AS values, occurrences, first_at, last_at,'
    " coalesce(k.acknowledged_at, a.acknowledged_at) AS acknowledged_at,"
    " coalesce(k.acknowledged_by, a.acknowledged_by) AS acknowledged_by",
    "notifier.alerts a LEFT JOIN acknowledgements k USING (alert_id)",
    "first_at",
    "alert_id",
    "uuid",
)
_BARS = Listing(
    "instrument_id, timeframe_s, open_at, open, high, low, close, volume, trades",
    "collector.bars",
    "open_at",
    "instrument_id",
    "text",
)
_JOBS = (
    "SELECT j.job, j.schedule, j.is_enabled, r.due_at AS last_due_at, r.finished_at AS last_finished_at,"
    " r.succeeded AS last_succeeded, r.text AS last_text"
    " FROM scheduler.jobs j LEFT JOIN LATERAL (SELECT due_at, finished_at, succeeded, text FROM scheduler.job_runs"
    " WHERE job = j.job ORDER BY due_at DESC LIMIT 1) r ON true ORDER BY j.job"
)


class PlatformBooks:
    """Reads alerts, jobs, and bars."""

    def __init__(self, database: Database, clock: ClockPort) -> None:
        self._database = database
        self._clock = clock

    async def alerts(self, filters: Filters, page: PageRequest) -> Page[AlertView]:
        """Give alerts, newest first, with our acknowledgements."""
        conditions = Conditions()
        conditions.equal(level=filters.level, code=filters.code)
        conditions.between("first_at", filters.since, filters.until)
        if filters.is_acknowledged is not None:
            conditions.add(
                f"coalesce(k.acknowledged_at, a.acknowledged_at) IS {'NOT ' if filters.is_acknowledged else ''}NULL"
            )
        async with self._database.reading() as session:
            return await page_of(session, _ALERTS, conditions, page, _alert)

    async def acknowledge(self, alert_id: UUID, user: User, address: str) -> AlertView | None:
        """Write down who saw an alert; the first stays. None: there is no such alert."""
        now = self._clock.now()
        query = f"SELECT {_ALERTS.columns} FROM {_ALERTS.source} WHERE alert_id = :id"  # noqa: S608
        async with self._database.transaction() as unit:
            if not await rows(unit.session, query, {"id": alert_id}):
                return None
            added = await unit.session.execute(
                text(
                    "INSERT INTO acknowledgements (alert_id, acknowledged_by, acknowledged_at) VALUES (:id, :by, :now)"
                    " ON CONFLICT (alert_id) DO NOTHING RETURNING alert_id"
                ),
                {"id": alert_id, "by": user.login, "now": now},
            )
            if added.first() is not None:
                entry = AuditEntry(now, user.login, "alert_acknowledged", str(alert_id), {}, address)
                await append(unit.session, entry)
            return _alert((await rows(unit.session, query, {"id": alert_id}))[0])

    async def jobs(self) -> list[JobView]:
        """Give the scheduler's jobs."""
        async with self._database.reading() as session:
            return [JobView(**row) for row in await rows(session, _JOBS)]

    async def bars(self, instrument_id: str, timeframe_s: int, filters: Filters, page: PageRequest) -> Page[BarView]:
        """Give bars of one instrument, newest first."""
        conditions = Conditions()
        conditions.equal(instrument_id=instrument_id, timeframe_s=timeframe_s)
        conditions.between("open_at", filters.since, filters.until)
        async with self._database.reading() as session:
            return await page_of(session, _BARS, conditions, page, lambda row: BarView(**without(row)))


def _alert(row: Row) -> AlertView:
    return AlertView(**without(row, "values"), values=parsed(row["values"]))
