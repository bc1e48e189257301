"""The timetable in Postgres."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from scheduler.adapters.memory import memory_from_json, memory_to_json
from scheduler.adapters.metrics import PROBLEMS_OPEN, RUNS_FINISHED, SLOT_DELAY_S, SLOTS_TAKEN
from scheduler.adapters.tables import health_memory, job_runs, jobs
from scheduler.domain.health import CODES, Memory
from scheduler.domain.timetable import Job, Refusal, Slot
from sigmax.runtime.database import Database, Unit
from sigmax.runtime.ledgers import Ledger, opener
from sigmax.schemas.control import JobDue, JobFinished

log = structlog.get_logger()

_THE_ONE_ROW = 1
_HEALTH_LOCK = 4_711_001
"""An advisory lock of our own: held to the end of the transaction, it keeps two checks from telling the same news."""


class PostgresTimetable(Ledger):
    """One transaction over jobs, runs, and the memory of the health check."""

    def __init__(self, unit: Unit, replica: str) -> None:
        super().__init__(unit)
        self._replica = replica

    async def jobs(self) -> Sequence[Job]:
        """Give the enabled jobs, each with its newest taken slot."""
        newest = sa.select(sa.func.max(job_runs.c.due_at)).where(job_runs.c.job == jobs.c.job).scalar_subquery()
        rows = await self._session.execute(
            sa.select(jobs.c.job, jobs.c.schedule, jobs.c.timezone, jobs.c.active_from, newest.label("last_due_at"))
            .where(jobs.c.is_enabled)
            .order_by(jobs.c.job)
        )
        found = [Job(row.job, row.schedule, row.timezone, row.active_from, row.last_due_at) for row in rows]
        for job in found:
            RUNS_FINISHED.labels(job.name, "false")  # begins with 0, so that a first failure is a rise
        return found

    async def take(self, slot: Slot, now: datetime) -> bool:
        """Insert the run; the primary key (job, due_at) decides between replicas."""
        taken = await self._session.execute(
            insert(job_runs)
            .values(job=slot.job, due_at=slot.due_at, taken_at=now, taken_by=self._replica)
            .on_conflict_do_nothing()
            .returning(job_runs.c.job)
        )
        if taken.first() is None:
            return False
        SLOTS_TAKEN.labels(slot.job).inc()
        SLOT_DELAY_S.observe(max(0.0, (now - slot.due_at).total_seconds()))
        return True

    async def disable(self, refusal: Refusal, now: datetime) -> bool:
        """Switch off the job if it still has the schedule that was refused."""
        changed = await self._session.execute(
            sa.update(jobs)
            .where(jobs.c.job == refusal.job, jobs.c.schedule == refusal.schedule, jobs.c.is_enabled)
            .values(is_enabled=False, disabled_reason=refusal.reason, updated_at=now)
            .returning(jobs.c.job)
        )
        if changed.first() is None:
            return False
        log.warning("job_disabled", job=refusal.job, reason=refusal.reason)
        return True

    async def finish(self, result: JobFinished) -> None:
        """Record the end of a run; a run that was deleted meanwhile, or never ours, is left alone."""
        changed = await self._session.execute(
            sa.update(job_runs)
            .where(job_runs.c.job == result.job, job_runs.c.due_at == result.due_at)
            .values(
                finished_at=result.occurred_at,
                finished_by=result.producer,
                succeeded=result.succeeded,
                text=result.text.replace("\x00", ""),
            )
            .returning(job_runs.c.job)
        )
        if changed.first() is None:
            log.warning("finished_run_unknown", job=result.job, due_at=result.due_at.isoformat())
            return
        # Only names that are rows of ours become label values: a sender cannot grow the metric without bound.
        RUNS_FINISHED.labels(result.job, str(result.succeeded).lower()).inc()

    async def forget_runs(self, before: datetime) -> int:
        """Delete old runs; the newest of each job stays, for it says which slots are taken."""
        newer = job_runs.alias()
        has_newer = (
            sa.select(newer.c.job).where(newer.c.job == job_runs.c.job, newer.c.due_at > job_runs.c.due_at).exists()
        )
        deleted = await self._session.execute(
            sa.delete(job_runs).where(job_runs.c.due_at < before, has_newer).returning(job_runs.c.job)
        )
        return len(deleted.all())

    async def health_memory(self) -> Memory:
        """Give what the last check left, under a lock that lasts to the end of the transaction."""
        await self._session.execute(sa.select(sa.func.pg_advisory_xact_lock(_HEALTH_LOCK)))
        stored = await self._session.scalar(
            sa.select(health_memory.c.memory).where(health_memory.c.slot == _THE_ONE_ROW)
        )
        return memory_from_json(stored) if stored else Memory()

    async def remember_health(self, memory: Memory, due: JobDue) -> None:
        """Replace what is remembered, and show the open problems to Prometheus."""
        values = {"memory": memory_to_json(memory), "checked_at": due.due_at}
        await self._session.execute(
            insert(health_memory)
            .values(slot=_THE_ONE_ROW, **values)
            .on_conflict_do_update(index_elements=[health_memory.c.slot], set_=values)
        )
        for code in CODES:
            PROBLEMS_OPEN.labels(code).set(0)
        for known in memory.open:
            PROBLEMS_OPEN.labels(known.problem.code).inc()


def timetables(database: Database, replica: str) -> Callable[[], AbstractAsyncContextManager[PostgresTimetable]]:
    """Give what opens one transaction after another."""
    return opener(database, lambda unit: PostgresTimetable(unit, replica))
