"""What every service is made of: its connections, its consumers, its loops, and how they start and end."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TypeVar

import structlog
from faststream.rabbit import Channel, RabbitBroker
from prometheus_client import Gauge, Info
from redis.asyncio import Redis
from sqlalchemy import text
from starlette.applications import Starlette

from sigmax.runtime import logs, tracing
from sigmax.runtime.clock import SystemClock
from sigmax.runtime.consumer_watch import ConsumerWatch
from sigmax.runtime.consuming import Consumers
from sigmax.runtime.database import Database, asyncpg_url
from sigmax.runtime.health import Check, Readiness, health_routes
from sigmax.runtime.leadership import Leadership
from sigmax.runtime.outbox import SWEEP_S, OutboxRelay
from sigmax.runtime.rabbitmq import Publisher, amqp_url
from sigmax.runtime.settings import ServiceSettings
from sigmax.runtime.streams import add
from sigmax.schemas.base import Message
from sigmax.schemas.market import HEARTBEATS, Heartbeat
from sigmax.schemas.topology import dead_letter_queue_of

log = structlog.get_logger()
M = TypeVar("M", bound=Message)

_GRACEFUL_S = 20.0
"""Longer than a venue request and its commit: a handler cut short would overlap with its own redelivery."""
_HEARTBEATS_MAXLEN = 2000
_INBOX_DAYS = 7
_HOUR_S = 3600.0

_build = Info("sigmax_build", "The running build")
# Every replica tells the same of a queue: the highest is the newest, or near it.
_queue_messages = Gauge("sigmax_queue_messages", "Messages waiting in a queue that this service reads", ["queue"])
_queue_consumers = Gauge("sigmax_queue_consumers", "Consumers of a queue that this service reads", ["queue"])
_dead_letters = Gauge("sigmax_dead_letters", "Messages that could not be handled and wait for a person", ["queue"])

failed = False
"""Set when a part of the process died; the exit status then says so."""


class Service:
    """One service process. `wire` of each app.py registers on it what the service does."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        owner = settings.owner
        database_password = settings.database_password.get_secret_value()
        self.database = Database(
            asyncpg_url(settings.database_url, owner, database_password),
            owner=owner,
            application=f"{settings.service}-{settings.replica}",
            pool_max=settings.database_pool_max,
        )
        # Longer than any blocking read, or an empty stream would look like a broken connection.
        self.redis: Redis = Redis.from_url(
            settings.redis_url,
            username=owner,
            password=settings.redis_password.get_secret_value(),
            socket_timeout=10,
            health_check_interval=15,
        )
        url = amqp_url(settings.rabbitmq_url, owner, settings.rabbitmq_password.get_secret_value())
        self._publisher = Publisher(url)
        self._broker = RabbitBroker(
            url,
            graceful_timeout=_GRACEFUL_S,
            default_channel=Channel(on_return_raises=True),
            apply_types=False,
            logger=None,
        )
        self._consumers = Consumers(self._broker, self.database, self.clock, settings.service)
        self._watch = ConsumerWatch(self._consumers.queues, self._publisher.depth)
        self._consumers.on_handled = self._watch.handled
        self._relay = OutboxRelay(self.database, self._publisher)
        self._leadership = Leadership(self.database, owner)
        self._readiness = Readiness()
        self._lags: dict[str, Callable[[], int]] = {}
        self._counts: dict[str, Callable[[], int]] = {}
        self._pending: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self._has_singletons = False

    def on(self, message: type[M], handler: Callable[[M], Awaitable[None]], *, prefetch: int = 10) -> None:
        """Handle each message of one kind from this service's queue, at most `prefetch` at a time."""
        self._consumers.on(message, handler, prefetch=prefetch)

    def every(
        self, interval_s: float, action: Callable[[], Awaitable[None]], *, name: str, singleton: bool = False
    ) -> None:
        """Call `action` again and again; a fault is logged and the next turn comes.

        `singleton`: only on the replica that leads.
        """
        self._has_singletons |= singleton

        async def loop() -> None:
            while True:
                started = time.monotonic()
                if not singleton or self._leadership.is_leader:
                    try:
                        await action()
                    except Exception:
                        log.exception("loop_failed", loop=name)
                await asyncio.sleep(max(0.0, interval_s - (time.monotonic() - started)))

        self._pending.append((name, loop))

    def background(self, run: Callable[[], Awaitable[None]], *, name: str, singleton: bool = False) -> None:
        """Run something for as long as the service lives; its end or failure ends the process.

        `singleton`: only on the replica that leads.
        """
        self._has_singletons |= singleton
        self._pending.append((name, self._while_leading(run) if singleton else run))

    def ready_when(self, name: str, check: Check) -> None:
        """Add a condition for being ready: None is well, a text says what is wrong."""
        self._readiness.add(name, check)

    def lag(self, name: str, count: Callable[[], int]) -> None:
        """Tell with each heartbeat how much waits in a stream or buffer."""
        self._lags[name] = count

    def counts(self, name: str, count: Callable[[], int]) -> None:
        """Tell with each heartbeat how many of something there have been since the process started."""
        self._counts[name] = count

    @asynccontextmanager
    async def running(self, wire: Callable[["Service"], AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
        """Start everything, and on leaving end it in order: consumption first, connections last."""
        settings = self.settings
        traces = tracing.configure(settings.service, self.version, settings.otlp_endpoint, settings.trace_ratio)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            stack.push_async_callback(self.redis.aclose)
            stack.push_async_callback(self._publisher.close)
            await self._publisher.open()
            stack.push_async_callback(self._relay.drain)
            await stack.enter_async_context(wire(self))
            self._add_own_checks()
            stack.push_async_callback(self._cancel_tasks)
            self._start_tasks()
            stack.push_async_callback(self._broker.stop)
            await self._broker.start()
            _build.info({"version": self.version})
            log.info("started", version=self.version)
            try:
                yield
            finally:
                self._is_stopping = True
                log.info("stopping")
        if traces is not None:
            await traces.close()
        log.info("stopped")

    @property
    def version(self) -> str:
        """Give the version of the running build."""
        return version("sigmax")

    @property
    def readiness(self) -> Readiness:
        """Give what decides whether the service is ready."""
        return self._readiness

    def _add_own_checks(self) -> None:
        self._readiness.add("postgres", self._check_postgres)
        self._readiness.add("redis", self._check_redis)
        for queue in self._consumers.queues:
            self._readiness.add(queue, lambda queue=queue: self._check_queue(queue))  # type: ignore[misc]
        self._readiness.add("rabbitmq", self._check_rabbitmq)

    async def _check_postgres(self) -> str | None:
        async with self.database.reading() as session:
            await session.execute(text("SELECT 1"))
        return None

    async def _check_redis(self) -> str | None:
        await self.redis.ping()
        return None

    async def _check_rabbitmq(self) -> str | None:
        if not self._publisher.is_connected:
            return "not connected"
        if self._consumers.queues:
            dead = dead_letter_queue_of(self.settings.service)
            waiting, _ = await self._publisher.depth(dead)
            self._lags[dead] = lambda: waiting
            _dead_letters.labels(dead).set(waiting)
        return None

    async def _check_queue(self, queue: str) -> str | None:
        waiting, consumers = await self._publisher.depth(queue)
        self._lags[queue] = lambda: waiting
        _queue_messages.labels(queue).set(waiting)
        _queue_consumers.labels(queue).set(consumers)
        return self._watch.stillness(queue, waiting) if consumers else "no consumer"

    def _start_tasks(self) -> None:
        self._pending.append(("outbox", self._relay.run))
        self.every(SWEEP_S, self._relay.sweep, name="outbox_sweep")
        self.every(Heartbeat.INTERVAL_S, self._beat, name="heartbeat")
        self.every(_HOUR_S, self._forget_old_messages, name="inbox_retention")
        if self._consumers.queues:
            self._pending.append(("consumers", self._watch.run))
        if self._has_singletons:
            self._pending.append(("leadership", self._leadership.run))
        for name, run in self._pending:
            task = asyncio.create_task(_as_coroutine(run), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _while_leading(self, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def guarded() -> None:
            while True:
                await self._leadership.won()
                work = asyncio.create_task(_as_coroutine(run))
                lost = asyncio.create_task(self._leadership.lost())
                try:
                    await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
                    if work.done():
                        return work.result()
                finally:
                    for task in (work, lost):
                        task.cancel()
                    await asyncio.gather(work, lost, return_exceptions=True)

        return guarded

    async def _beat(self) -> None:
        problems = await self._readiness.look()
        beat = Heartbeat(
            service=self.settings.service,
            replica=self.settings.replica,
            version=self.version,
            ready=not problems,
            at_ns=self.clock.now_ns(),
            last_handled_ns=self._consumers.last_handled_ns,
            queues={name: count() for name, count in self._lags.items()},
            problems=problems[:20],
            counts={name: count() for name, count in self._counts.items()},
        )
        await add(self.redis, HEARTBEATS, beat.encode(), maxlen=_HEARTBEATS_MAXLEN)

    async def _forget_old_messages(self) -> None:
        async with self.database.transaction() as unit:
            await unit.session.execute(
                text("DELETE FROM inbox WHERE received_at < now() - make_interval(days => :days)"),
                {"days": _INBOX_DAYS},
            )

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        if not self._tasks:
            return
        _, alive = await asyncio.wait(self._tasks, timeout=_GRACEFUL_S)
        if alive:
            log.error("tasks_do_not_end", tasks=[task.get_name() for task in alive])

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._is_stopping or task.cancelled():
            return
        global failed
        failed = True
        log.critical("background_task_ended", task=task.get_name(), exc_info=task.exception())
        # A process with a dead part must not look alive: end it, and whoever watches over it starts it anew.
        os.kill(os.getpid(), signal.SIGTERM)


def build_service(
    settings: type[ServiceSettings],
    wire: Callable[[Service], AbstractAsyncContextManager[None]],
    *,
    http: Starlette | None = None,
) -> Starlette:
    """Make the ASGI application of a service: `http`, where it has routes of its own, with the three of health.

    The environment is read when the application starts, not when it is imported.
    """
    app = http or Starlette()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loaded = settings.load()
        logs.configure(loaded.service, loaded.replica, loaded.log_level)
        service = Service(loaded)
        app.state.service = service
        app.router.routes[:0] = health_routes(service.readiness)
        async with service.running(wire):
            yield

    app.router.lifespan_context = lifespan
    app.state.settings_type = settings
    return app


async def _as_coroutine(run: Callable[[], Awaitable[None]]) -> None:
    await run()
