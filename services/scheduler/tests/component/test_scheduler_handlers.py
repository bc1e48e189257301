from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from scheduler.domain.health import HealthLimits, Memory
from scheduler.domain.timetable import Job, Refusal, Slot
from scheduler.handlers import Watch, on_job_due, on_job_finished, on_tick
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert, JobDue, JobFinished
from sigmax.schemas.market import Heartbeat, nanoseconds
from sigmax.schemas.types import AlertLevel

NOW = datetime(2026, 11, 21, 10, 0, 1, tzinfo=UTC)


class FixedClock:
    def __init__(self, now: datetime = NOW) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def now_ns(self) -> int:
        return nanoseconds(self.at)


class FakeStore:
    """What Postgres keeps; a transaction works on it directly and never fails."""

    def __init__(self, *schedules: tuple[str, str]) -> None:
        self.rows = [Job(name, schedule, "UTC", NOW - timedelta(days=1), None) for name, schedule in schedules]
        self.runs: set[Slot] = set()
        self.results: list[JobFinished] = []
        self.inbox: set[UUID] = set()
        self.sent: list[Message] = []
        self.memory = Memory()
        self.forgotten_before: datetime | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FakeStore"]:
        yield self

    async def first_time(self, message: Message) -> bool:
        is_new = message.message_id not in self.inbox
        self.inbox.add(message.message_id)
        return is_new

    def publish(self, message: Message) -> None:
        self.sent.append(message)

    async def jobs(self) -> Sequence[Job]:
        return self.rows

    async def take(self, slot: Slot, now: datetime) -> bool:
        is_free = slot not in self.runs
        self.runs.add(slot)
        return is_free

    async def disable(self, refusal: Refusal, now: datetime) -> bool:
        before = len(self.rows)
        self.rows = [row for row in self.rows if row.name != refusal.job]
        return len(self.rows) < before

    async def finish(self, result: JobFinished) -> None:
        self.results.append(result)

    async def forget_runs(self, before: datetime) -> int:
        self.forgotten_before = before
        return 3

    async def health_memory(self) -> Memory:
        return self.memory

    async def remember_health(self, memory: Memory, due: JobDue) -> None:
        self.memory = memory


class FakeHeartbeats:
    def __init__(self, *services: str) -> None:
        self.services = services

    async def recent(self, since: datetime) -> list[Heartbeat] | None:
        return [Heartbeat(name, "0", "1", True, nanoseconds(NOW), 0, {}, []) for name in self.services]


WATCH = Watch(
    expected=("risk-gate", "notifier"),
    limits=HealthLimits(),
    since=NOW - timedelta(hours=1),
    check_age_max=timedelta(seconds=60),
    keep_runs=timedelta(days=30),
)


def a_job_due(job: str = "health_check", due_at: datetime = NOW) -> JobDue:
    return JobDue(**JobDue.first(f"{job}:{due_at}", due_at), job=job, due_at=due_at)


async def test_a_due_slot_is_taken_and_told_once_by_two_replicas() -> None:
    store = FakeStore(("health_check", "every 30"))

    await on_tick(FixedClock(), store.open)
    await on_tick(FixedClock(NOW + timedelta(seconds=1)), store.open)

    assert [message.due_at for message in store.sent if isinstance(message, JobDue)] == [NOW.replace(second=0)]


async def test_a_job_with_an_unreadable_schedule_is_switched_off_and_reported_once() -> None:
    store = FakeStore(("bad", "whenever"), ("good", "every 30"))

    await on_tick(FixedClock(), store.open)
    await on_tick(FixedClock(), store.open)

    alerts = [message for message in store.sent if isinstance(message, Alert)]
    assert [(alert.code, alert.subject) for alert in alerts] == [("schedule_invalid", "bad")]
    assert [row.name for row in store.rows] == ["good"]


async def test_a_missing_heartbeat_makes_an_alert_and_the_run_finishes() -> None:
    store = FakeStore()

    await on_job_due(a_job_due(), FixedClock(), store.open, FakeHeartbeats("risk-gate"), WATCH)

    alert, finished = store.sent
    assert isinstance(alert, Alert)
    assert (alert.level, alert.code, alert.subject) == (AlertLevel.DANGER, "heartbeat_missing", "notifier")
    assert alert.topic == "scheduler.alert.v1"
    assert isinstance(finished, JobFinished)
    assert finished.succeeded


async def test_a_redelivered_check_changes_nothing() -> None:
    store = FakeStore()
    for _ in range(2):
        await on_job_due(a_job_due(), FixedClock(), store.open, FakeHeartbeats("risk-gate"), WATCH)
    assert len(store.sent) == 2


async def test_the_end_of_a_problem_is_told_as_info() -> None:
    store = FakeStore()
    clock = FixedClock()
    await on_job_due(a_job_due(), clock, store.open, FakeHeartbeats("risk-gate"), WATCH)
    due = a_job_due(due_at=NOW + timedelta(seconds=5))
    clock.at = due.due_at
    await on_job_due(due, clock, store.open, FakeHeartbeats("risk-gate", "notifier"), WATCH)

    over = [message for message in store.sent if isinstance(message, Alert)][-1]
    assert (over.level, over.code, over.values["problem"]) == (AlertLevel.INFO, "recovered", "heartbeat_missing")


async def test_a_second_outage_is_not_folded_into_the_first() -> None:
    store = FakeStore()
    clock = FixedClock()
    for step, services in enumerate([("risk-gate",), ("risk-gate", "notifier"), ("risk-gate",)]):
        clock.at = NOW + timedelta(seconds=step)
        await on_job_due(a_job_due(due_at=clock.at), clock, store.open, FakeHeartbeats(*services), WATCH)

    keys = [m.dedupe_key for m in store.sent if isinstance(m, Alert) and m.code == "heartbeat_missing"]
    assert len(keys) == len(set(keys)) == 2


async def test_a_check_that_waited_too_long_is_skipped() -> None:
    store = FakeStore()
    late = a_job_due(due_at=NOW - timedelta(seconds=61))

    await on_job_due(late, FixedClock(), store.open, FakeHeartbeats(), WATCH)

    assert [type(message) for message in store.sent] == [JobFinished]


async def test_old_runs_are_forgotten_after_thirty_days() -> None:
    store = FakeStore()
    await on_job_due(a_job_due("tidy_job_runs"), FixedClock(), store.open, FakeHeartbeats(), WATCH)
    assert store.forgotten_before == NOW - timedelta(days=30)


async def test_jobs_of_other_services_are_left_to_them() -> None:
    store = FakeStore()
    await on_job_due(a_job_due("daily_tuning"), FixedClock(), store.open, FakeHeartbeats(), WATCH)
    assert store.sent == []


async def test_a_result_is_recorded_once() -> None:
    store = FakeStore()
    due = a_job_due("daily_tuning")
    result = JobFinished(
        **JobFinished.after(due, NOW), producer="strategy_engine", job=due.job, due_at=NOW, succeeded=True
    )
    for _ in range(2):
        await on_job_finished(result, store.open)
    assert store.results == [result]
