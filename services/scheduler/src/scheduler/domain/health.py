"""Whether the services live and keep up: heartbeats and queue depths in, problems out.

A problem is told when it begins, again at the reminder interval while it lasts, and once more when it is over. What was
told before is part of the input, so that any replica can make the next check.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from sigmax.schemas.market import Heartbeat, moment
from sigmax.schemas.types import AlertLevel

DEAD_LETTER_SUFFIX = ".dead"
UNREADY_BEATS = 3
"""So many beats in a row must say `not ready`: one is what every start looks like."""
GROWING_CHECKS = 3
"""Growing this many checks in a row is a trend and no burst."""
WATCHER = "scheduler"
CODES = ("heartbeat_missing", "service_not_ready", "queue_growing", "dead_letters", "heartbeats_unreadable")


@dataclass(frozen=True)
class HealthLimits:
    """Where healthy ends."""

    heartbeat_age_max: timedelta = timedelta(seconds=15)
    startup_grace: timedelta = timedelta(seconds=45)
    """After the watcher's own start, in which nobody is missing yet."""
    queue_depth_max: int = 1000
    queue_growing_min: int = 100
    """A queue that grows but holds less is no news."""
    remind_every: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one subject."""

    code: str
    subject: str
    level: AlertLevel
    text: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name the problem: the same one at the next check has the same key."""
        return f"{self.code}:{self.subject}"


@dataclass(frozen=True)
class OpenProblem:
    """A problem that was told to people and is not over."""

    problem: Problem
    since: datetime
    told_at: datetime


@dataclass(frozen=True)
class Memory:
    """What one check leaves for the next."""

    open: tuple[OpenProblem, ...] = ()
    depths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The newest depths of each queue, oldest first."""


@dataclass(frozen=True)
class News:
    """Something to tell: a problem that is new, worse, or lasting, or one that is over."""

    problem: Problem
    is_over: bool
    since: datetime


@dataclass(frozen=True)
class Assessment:
    """The outcome of one check."""

    news: tuple[News, ...]
    memory: Memory


def assess(
    beats: Sequence[Heartbeat] | None,
    expected: Iterable[str],
    memory: Memory,
    limits: HealthLimits,
    *,
    watching_since: datetime,
    now: datetime,
) -> Assessment:
    """Judge the health of all services.

    `beats` are the recent heartbeats in any order; None says that they cannot be read, which is a problem of its own
    and tells nothing about the services: open problems then stay as they are.
    """
    if beats is None:
        blind = Problem(
            "heartbeats_unreadable", WATCHER, AlertLevel.DANGER, "The health check cannot read heartbeats from Redis."
        )
        kept = [known.problem for known in memory.open if known.problem.key != blind.key]
        return _told([*kept, blind], memory.open, memory.depths, limits, now)
    depths = _depths(beats, memory.depths)
    problems = [
        *_missing(beats, expected, limits, watching_since, now),
        *_unready(beats, limits, watching_since, now),
        *_overfull(depths, limits),
    ]
    return _told(problems, memory.open, depths, limits, now)


def _missing(
    beats: Sequence[Heartbeat], expected: Iterable[str], limits: HealthLimits, watching_since: datetime, now: datetime
) -> list[Problem]:
    if now - watching_since < limits.startup_grace:
        return []
    seen: dict[str, datetime] = {}
    for beat in beats:
        at = moment(beat.at_ns)
        seen[beat.service] = max(at, seen.get(beat.service, at))
    problems = []
    for service in expected:
        last = seen.get(service)
        if last is not None and now - last <= limits.heartbeat_age_max:
            continue
        age = f"for {(now - last).total_seconds():.0f} s" if last else "in the stored heartbeats"
        text = f"{service} has not been heard {age}: no replica of it lives, or none reaches Redis."
        values = {"last_heartbeat_at": last.isoformat() if last else "none"}
        problems.append(Problem("heartbeat_missing", service, AlertLevel.DANGER, text, values))
    return problems


def _unready(
    beats: Sequence[Heartbeat], limits: HealthLimits, watching_since: datetime, now: datetime
) -> list[Problem]:
    if now - watching_since < limits.startup_grace:
        return []
    replicas: dict[tuple[str, str], list[Heartbeat]] = {}
    for beat in sorted(beats, key=lambda beat: beat.at_ns):
        if now - moment(beat.at_ns) <= limits.heartbeat_age_max:
            replicas.setdefault((beat.service, beat.replica), []).append(beat)
    problems = []
    for (service, replica), history in sorted(replicas.items()):
        newest = history[-UNREADY_BEATS:]
        if len(newest) == UNREADY_BEATS and not any(beat.ready for beat in newest):
            why = "; ".join(newest[-1].problems)[:1000] or "no reason given"
            text = f"{service} (replica {replica}) lives but is not ready: {why}."
            problems.append(
                Problem("service_not_ready", f"{service}/{replica}", AlertLevel.WARNING, text, {"problems": why})
            )
    return problems


def _depths(beats: Sequence[Heartbeat], known: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Append the deepest newest count of each queue; a queue nobody reports any more is forgotten."""
    newest: dict[tuple[str, str], Heartbeat] = {}
    for beat in beats:
        key = (beat.service, beat.replica)
        if key not in newest or beat.at_ns > newest[key].at_ns:
            newest[key] = beat
    counts: dict[str, int] = {}
    for beat in newest.values():
        for queue, depth in beat.queues.items():
            # Replicas report the same queue a moment apart, and streams of one name each for themselves.
            name = queue if queue.startswith(f"{beat.service.replace('-', '_')}.") else f"{beat.service}:{queue}"
            counts[name] = max(depth, counts.get(name, 0))
    return {name: (*known.get(name, ()), depth)[-(GROWING_CHECKS + 1) :] for name, depth in counts.items()}


def _overfull(depths: Mapping[str, tuple[int, ...]], limits: HealthLimits) -> list[Problem]:
    problems = []
    for queue, history in sorted(depths.items()):
        depth = history[-1]
        values = {"depth": str(depth), "depths": " ".join(map(str, history))}
        is_growing = len(history) > GROWING_CHECKS and all(a < b for a, b in pairwise(history))
        if queue.endswith(DEAD_LETTER_SUFFIX):
            if depth > 0:
                text = f"{depth} messages in {queue} could not be handled and wait for a person."
                problems.append(Problem("dead_letters", queue, AlertLevel.DANGER, text, values))
        elif depth > limits.queue_depth_max:
            text = f"{depth} messages wait in {queue}; more than {limits.queue_depth_max} is too many."
            problems.append(Problem("queue_growing", queue, AlertLevel.DANGER, text, values))
        elif is_growing and depth >= limits.queue_growing_min:
            text = f"{queue} grew at each of the last {GROWING_CHECKS} checks and holds {depth} messages."
            problems.append(Problem("queue_growing", queue, AlertLevel.WARNING, text, values))
    return problems


def _told(
    problems: Sequence[Problem],
    known: Sequence[OpenProblem],
    depths: Mapping[str, tuple[int, ...]],
    limits: HealthLimits,
    now: datetime,
) -> Assessment:
    before = {open_problem.problem.key: open_problem for open_problem in known}
    news: list[News] = []
    still_open: list[OpenProblem] = []
    for problem in problems:
        old = before.pop(problem.key, None)
        is_worse = old is not None and _rank(problem.level) > _rank(old.problem.level)
        if old is None or is_worse or now - old.told_at >= limits.remind_every:
            since = old.since if old else now
            news.append(News(problem, is_over=False, since=since))
            still_open.append(OpenProblem(problem, since, told_at=now))
        else:
            still_open.append(OpenProblem(problem, old.since, old.told_at))
    news += [News(old.problem, is_over=True, since=old.since) for old in before.values()]
    return Assessment(tuple(news), Memory(tuple(still_open), depths))


def _rank(level: AlertLevel) -> int:
    return list(AlertLevel).index(level)
