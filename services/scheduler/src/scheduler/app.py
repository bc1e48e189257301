"""Joins the timetable, the heartbeats, and the handlers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from scheduler.adapters.postgres import timetables
from scheduler.adapters.redis import RedisHeartbeats
from scheduler.adapters.watching import HeartbeatWatch, look_at_postgres, look_at_redis
from scheduler.handlers import Watch, on_job_due, on_job_finished, on_tick
from scheduler.settings import Settings
from sigmax.runtime.service import Service, build_service
from sigmax.schemas.control import JobDue, JobFinished

_WATCH_S = 5.0
_SERVERS_S = 15.0


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Register the tick on every replica, and the two consumers."""
    settings = Settings.model_validate(service.settings)
    open_timetable = timetables(service.database, settings.replica)
    watch = Watch(
        expected=settings.expected_services,
        limits=settings.health_limits,
        since=service.clock.now(),
        check_age_max=timedelta(seconds=settings.check_age_max_s),
        keep_runs=timedelta(days=settings.keep_runs_days),
    )
    heartbeats = RedisHeartbeats(service.redis)
    shown = HeartbeatWatch(
        heartbeats, service.clock, settings.expected_services, settings.health_limits.heartbeat_age_max
    )
    # No leader is needed: the primary key of a run lets one replica have each slot, and none waits for another to die.
    service.every(settings.tick_interval_s, partial(on_tick, service.clock, open_timetable), name="tick")
    service.on(
        JobDue,
        partial(
            on_job_due,
            clock=service.clock,
            open_timetable=open_timetable,
            heartbeats=heartbeats,
            watch=watch,
        ),
    )
    service.on(JobFinished, partial(on_job_finished, open_timetable=open_timetable))
    service.every(_WATCH_S, shown.look, name="heartbeats_shown")
    service.every(_SERVERS_S, partial(look_at_postgres, service.database), name="postgres_shown")
    service.every(_SERVERS_S, partial(look_at_redis, service.redis), name="redis_shown")
    yield


app = build_service(Settings, wire)
