"""One function per timer and message: plan slots, run this service's own jobs, record results."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.domain.health import HealthLimits, News, assess
from scheduler.domain.timetable import plan
from scheduler.ports import HeartbeatsPort, OpenTimetable, Timetable
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.control import Alert, JobDue, JobFinished
from sigmax.schemas.types import AlertLevel

OWNER = "scheduler"
HEALTH_CHECK = "health_check"
TIDY_JOB_RUNS = "tidy_job_runs"
HEARTBEAT_WINDOW = timedelta(seconds=60)
"""How far back a check reads: enough to say when a missing service was last heard."""


@dataclass(frozen=True)
class Watch:
    """What the health check holds the services against."""

    expected: tuple[str, ...]
    limits: HealthLimits
    since: datetime
    """When this process began to watch."""
    check_age_max: timedelta
    """A check that waited longer in the queue is skipped: its successor is due."""
    keep_runs: timedelta


async def on_tick(clock: ClockPort, open_timetable: OpenTimetable) -> None:
    """Take every slot that is due and tell its owner; replicas that come second find the slot taken."""
    now = clock.now()
    async with open_timetable() as timetable:
        planned = plan(await timetable.jobs(), now)
        for slot in planned.slots:
            if await timetable.take(slot, now):
                key = f"{slot.job}:{slot.due_at.isoformat()}"
                timetable.publish(JobDue(**JobDue.first(key, now), job=slot.job, due_at=slot.due_at))
        for refusal in planned.refusals:
            if await timetable.disable(refusal, now):
                key = f"schedule_invalid:{refusal.job}:{refusal.schedule}:{now.isoformat()}"
                timetable.publish(
                    Alert(
                        **Alert.first(key, now),
                        producer=OWNER,
                        level=AlertLevel.WARNING,
                        code="schedule_invalid",
                        subject=refusal.job,
                        text=f"Job {refusal.job} is switched off: {refusal.reason}.",
                        values={"schedule": refusal.schedule[:200]},
                        dedupe_key=f"schedule_invalid:{refusal.job}",
                    )
                )


async def on_job_due(
    due: JobDue, clock: ClockPort, open_timetable: OpenTimetable, heartbeats: HeartbeatsPort, watch: Watch
) -> None:
    """Run the jobs that belong to the scheduler itself; all others are somebody else's."""
    if due.job == HEALTH_CHECK:
        await _check_health(due, clock, open_timetable, heartbeats, watch)
    elif due.job == TIDY_JOB_RUNS:
        await _tidy(due, clock, open_timetable, watch)


async def on_job_finished(result: JobFinished, open_timetable: OpenTimetable) -> None:
    """Record how a run ended."""
    async with open_timetable() as timetable:
        if await timetable.first_time(result):
            await timetable.finish(result)


async def _check_health(
    due: JobDue, clock: ClockPort, open_timetable: OpenTimetable, heartbeats: HeartbeatsPort, watch: Watch
) -> None:
    beats = await heartbeats.recent(clock.now() - HEARTBEAT_WINDOW)
    now = clock.now()
    async with open_timetable() as timetable:
        if not await timetable.first_time(due):
            return
        if now - due.due_at > watch.check_age_max:
            _finish(timetable, due, now, "Skipped: it waited so long that the next check is due.")
            return
        memory = await timetable.health_memory()
        assessment = assess(beats, watch.expected, memory, watch.limits, watching_since=watch.since, now=now)
        for news in assessment.news:
            timetable.publish(_alert(news, due, now))
        await timetable.remember_health(assessment.memory, due)
        _finish(timetable, due, now, f"{len(assessment.memory.open)} problems open.")


async def _tidy(due: JobDue, clock: ClockPort, open_timetable: OpenTimetable, watch: Watch) -> None:
    now = clock.now()
    async with open_timetable() as timetable:
        if await timetable.first_time(due):
            deleted = await timetable.forget_runs(now - watch.keep_runs)
            _finish(timetable, due, now, f"{deleted} old runs deleted.")


def _alert(news: News, due: JobDue, now: datetime) -> Alert:
    problem = news.problem
    lasted = f"{(now - news.since).total_seconds():.0f}"
    values = dict(problem.values) | {"since": news.since.isoformat(), "lasted_s": lasted}
    if news.is_over:
        level, code, key = AlertLevel.INFO, "recovered", f"recovered:{problem.key}:{news.since.isoformat()}"
        text = f"Over after {lasted} s: {problem.text}"
        values["problem"] = problem.code
    else:
        # One fault, one key: a second outage of the same service is news, the reminder of the first is not.
        level, code, key = problem.level, problem.code, f"{problem.key}:{news.since.isoformat()}"
        text = problem.text
    return Alert(
        **Alert.after(due, now, part=key),
        producer=OWNER,
        level=level,
        code=code,
        subject=problem.subject,
        text=text[:2000],
        values={name: value[:1000] for name, value in values.items()},
        dedupe_key=key[:200],
    )


def _finish(timetable: Timetable, due: JobDue, now: datetime, text: str) -> None:
    timetable.publish(
        JobFinished(
            **JobFinished.after(due, now), producer=OWNER, job=due.job, due_at=due.due_at, succeeded=True, text=text
        )
    )
