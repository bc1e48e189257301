"""When jobs are due.

A schedule is `every 30` (seconds, counted from 1970, so that all replicas agree on the slots) or a cron line of five
fields, or six with seconds first, read in the job's time zone. Of the slots missed while no scheduler ran only the
latest is made up for: ten health checks at once tell no more than one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_EVERY = re.compile(r"every (\d{1,6})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class ScheduleError(ValueError):
    """A schedule or time zone that nobody can read; the text says what is wrong with it."""


@dataclass(frozen=True)
class Job:
    """One row of the timetable."""

    name: str
    schedule: str
    timezone: str
    active_from: datetime
    """Slots before it are not made up for: a job made at noon does not run this morning's slot."""
    last_due_at: datetime | None
    """The newest slot that some replica took; None before the first."""


@dataclass(frozen=True)
class Slot:
    """One job at one time: the thing that happens once."""

    job: str
    due_at: datetime


@dataclass(frozen=True)
class Refusal:
    """A job that cannot be planned, and why."""

    job: str
    schedule: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What to do at one moment."""

    slots: tuple[Slot, ...]
    refusals: tuple[Refusal, ...]


def plan(jobs: Iterable[Job], now: datetime) -> Plan:
    """Give the slots that are due now and not taken yet, and the jobs whose schedule cannot be read.

    One unreadable schedule never keeps another job from running.
    """
    slots: list[Slot] = []
    refusals: list[Refusal] = []
    for job in jobs:
        try:
            due_at = latest_slot(job.schedule, job.timezone, now)
        except ScheduleError as error:
            refusals.append(Refusal(job.name, job.schedule, str(error)))
            continue
        is_taken = job.last_due_at is not None and due_at is not None and due_at <= job.last_due_at
        if due_at is not None and due_at >= job.active_from and not is_taken:
            slots.append(Slot(job.name, due_at))
    return Plan(tuple(slots), tuple(refusals))


def latest_slot(schedule: str, timezone: str, now: datetime) -> datetime | None:
    """Give the newest slot that is not after `now`, in UTC; None when the schedule has none in the past 50 years.

    Raises `ScheduleError` for a schedule or time zone that cannot be read.
    """
    every = _EVERY.fullmatch(schedule.strip())
    if every:
        return _latest_interval(int(every[1]), now)
    zone = _zone(timezone)
    # Looking back from the next whole second, a slot that is exactly now counts as due.
    start = now.astimezone(zone).replace(microsecond=0)
    try:
        found = next(CronSim(schedule, (start.astimezone(UTC) + _SECOND).astimezone(zone), reverse=True), None)
    except CronSimError as error:
        raise ScheduleError(f"not `every <seconds>` and not a cron line: {error}") from None
    return found.astimezone(UTC) if found else None


def _latest_interval(seconds: int, now: datetime) -> datetime:
    if seconds == 0:
        raise ScheduleError("`every` needs at least 1 second")
    interval = timedelta(seconds=seconds)
    return _EPOCH + (now - _EPOCH) // interval * interval


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # where the system has no zone files, the default still works
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ScheduleError(f"no time zone is called {name!r}") from None
