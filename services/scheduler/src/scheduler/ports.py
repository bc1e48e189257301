"""What the handlers need from the world."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from scheduler.domain.health import Memory
from scheduler.domain.timetable import Job, Refusal, Slot
from sigmax.schemas.base import Message
from sigmax.schemas.control import JobDue, JobFinished
from sigmax.schemas.market import Heartbeat


class Timetable(Protocol):
    """The jobs and their runs, within one transaction."""

    async def first_time(self, message: Message) -> bool:
        """Say whether this service has not handled the message yet, and note that it now has."""
        ...

    def publish(self, message: Message) -> None:
        """Send a message if this transaction commits, and only then."""
        ...

    async def jobs(self) -> Sequence[Job]:
        """Give all enabled jobs with their newest taken slot."""
        ...

    async def take(self, slot: Slot, now: datetime) -> bool:
        """Take a slot; False when another replica has it."""
        ...

    async def disable(self, refusal: Refusal, now: datetime) -> bool:
        """Switch a job off that cannot be planned; False when another replica has done it, or its schedule changed."""
        ...

    async def finish(self, result: JobFinished) -> None:
        """Record how a run ended."""
        ...

    async def forget_runs(self, before: datetime) -> int:
        """Delete the runs that were due before a time; give their number."""
        ...

    async def health_memory(self) -> Memory:
        """Give what the last health check left, and keep other replicas from checking until this transaction ends."""
        ...

    async def remember_health(self, memory: Memory, due: JobDue) -> None:
        """Keep what this check leaves for the next."""
        ...


class OpenTimetable(Protocol):
    """Opens a transaction; it commits on leaving and rolls back on an exception."""

    def __call__(self) -> AbstractAsyncContextManager[Timetable]:
        """Open it."""
        ...


class HeartbeatsPort(Protocol):
    """The heartbeats of all services."""

    async def recent(self, since: datetime) -> list[Heartbeat] | None:
        """Give the heartbeats sent after a time, newest first; None when they cannot be read."""
        ...
