"""A process that can be killed, frozen, and cut off at every await of its tasks."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import CodeType, CoroutineType, FrameType
from typing import Any

from sigmax_local.chaos.simulation.loop import VirtualLoop

EPOCH = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""When every run begins, by the true clock."""

_ROUNDING_S = 1e-6
"""Timers add up floats."""
_CURRENT: ContextVar["tuple[Process, str] | None"] = ContextVar("simulated_process", default=None)
_NAMES_OF_ORDERS = ("claimed", "order", "approved", "current", "claim", "after", "request", "delivery", "letter")


@dataclass(frozen=True)
class Point:
    """An await at which a fault can strike."""

    entry: str
    """What the task was started for: `on_order_approved`."""
    place: str
    """`sending.py:71`: the innermost line of the handlers."""
    doing: str
    """What the await waits for: `commit asked`."""
    client_order_id: str | None
    """The order at hand, where there is one."""

    def __str__(self) -> str:
        return f"{self.entry} > {self.place} {self.doing}".rstrip()


OnAwait = Callable[["Process", str, "Coroutine[Any, Any, Any]"], None]


@dataclass
class Process:
    """One replica. What it holds in memory dies with it; what it sent before stays sent."""

    name: str
    loop: VirtualLoop
    on_await: OnAwait
    is_alive: bool = True
    frozen_until: float = 0.0
    skew: timedelta = timedelta()
    """How far its clock is ahead of the true one."""
    cut_until: dict[str, float] = field(default_factory=dict)
    """By server (`store`, `venue`, `broker`): until when nothing gets through."""
    doing: str = ""
    at_death: list[Callable[[], None]] = field(default_factory=list)
    """What the others notice when the process dies: connections that end."""
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def now(self) -> datetime:
        """Give the time by this process's clock."""
        return EPOCH + timedelta(seconds=self.loop.time()) + self.skew

    def now_ns(self) -> int:
        """Give the nanoseconds since 1970, by this process's clock."""
        return int(self.now().timestamp() * 1e9)

    @property
    def is_frozen(self) -> bool:
        """Say whether it stands still."""
        return self.loop.time() < self.frozen_until

    def reaches(self, server: str) -> bool:
        """Say whether a byte would get through to a server now."""
        return self.loop.time() >= self.cut_until.get(server, 0.0)

    def spawn(self, entry: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of this process; `entry` names what it is for."""
        context = copy_context()
        context.run(_CURRENT.set, (self, entry))
        return self.loop.create_task(work, context=context)

    async def hop(self, doing: str, seconds: float) -> None:
        """Wait for something that takes its time; `doing` names the await."""
        future = self.loop.create_future()
        self.loop.call_later(seconds, _wake, future)
        self.doing = doing
        await future

    def kill(self) -> None:
        """End at once: nothing of it runs again, not even its `finally`."""
        self.is_alive = False
        for notice in self.at_death:
            notice()
        for task in sorted(self.tasks, key=lambda each: each.get_name()):
            task.cancel()

    def freeze(self, seconds: float) -> None:
        """Stand still: timers run out, answers come in, and nothing of it is seen before the end."""
        self.frozen_until = self.loop.time() + seconds
        self.loop.call_later(seconds, self._thaw)

    def _thaw(self) -> None:
        if self.loop.time() >= self.frozen_until - _ROUNDING_S:
            self.frozen_until = 0.0
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                _wake(future)

    def until_thawed(self) -> asyncio.Future[None]:
        """Give what ends with the freeze."""
        future = self.loop.create_future()
        self._waiting.append(future)
        return future


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Traced:
    """Runs a coroutine, and stops at each of its awaits to ask whether a fault strikes there."""

    def __init__(self, process: Process, entry: str, work: Coroutine[Any, Any, Any]) -> None:
        self._process = process
        self._entry = entry
        self._work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        process, work = self._process, self._work
        error: BaseException | None = None
        while True:
            if not process.is_alive:
                _bury(work)
                raise asyncio.CancelledError
            process.doing = ""
            try:
                waits_for = work.send(None) if error is None else work.throw(error)
            except StopIteration as end:
                return end.value
            error = None
            process.on_await(process, self._entry, work)
            try:
                yield waits_for
            except GeneratorExit:
                raise
            except BaseException as raised:  # what was waited for failed, or the task was cancelled
                error = raised
            while process.is_frozen and process.is_alive:
                try:
                    yield from process.until_thawed().__await__()
                except asyncio.CancelledError as cancelled:
                    error = cancelled


def _bury(work: Coroutine[Any, Any, Any]) -> None:
    """Unwind a coroutine whose process is dead: nothing that it still does reaches anybody."""
    with suppress(BaseException):
        while True:
            work.throw(asyncio.CancelledError())


async def _run(process: Process, entry: str, work: Coroutine[Any, Any, Any]) -> Any:
    return await _Traced(process, entry, work)


def trace_tasks(loop: VirtualLoop) -> None:
    """Have the tasks of processes, and those that they start, stop at each await."""
    count = 0

    def make(loop: asyncio.AbstractEventLoop, work: Any, context: Any = None) -> asyncio.Task[Any]:
        nonlocal count
        count += 1
        current = (context or copy_context()).get(_CURRENT)
        if current is None:
            return asyncio.Task(work, loop=loop, name=f"{count:08}", context=context)
        process, entry = current
        task = asyncio.Task(_run(process, entry, work), loop=loop, name=f"{count:08}", context=context)
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before it began
        return task

    loop.set_task_factory(make)


def point_of(process: Process, entry: str, work: Coroutine[Any, Any, Any]) -> Point:
    """Name the await at which a task stands."""
    place, client_order_id = "", None
    waiting: Any = work
    while isinstance(waiting, CoroutineType):
        frame = waiting.cr_frame
        if frame is not None:
            client_order_id = _order_in(frame) or client_order_id
            if _is_of_handlers(frame.f_code):
                place = f"{frame.f_code.co_filename.rsplit('/', 1)[1]}:{frame.f_lineno}"
        waiting = waiting.cr_await
    return Point(entry, place or "loop", process.doing or "waiting", client_order_id)


def _is_of_handlers(code: CodeType) -> bool:
    return "/handlers/" in code.co_filename


def _order_in(frame: FrameType) -> str | None:
    for name in _NAMES_OF_ORDERS:
        found = frame.f_locals.get(name)
        found = getattr(found, "order", getattr(found, "message", found))
        client_order_id = getattr(found, "client_order_id", None)
        if isinstance(client_order_id, str):
            return client_order_id
    return None
