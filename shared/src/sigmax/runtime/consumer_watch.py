"""Finds out that nobody reads a queue any more, or that what reads it stands still. A broken consumer says nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

Depth = Callable[[str], Awaitable[tuple[int, int]]]
"""Gives (messages waiting, consumers) of a queue; raises when the queue is gone or the broker away."""

LOOK_S = 5.0
BACK_WITHIN_S = 30.0
"""Since the broker is back: after so long without a consumer the client library has lost it."""
STILL_S = 60.0
"""Messages wait, and none was handled for so long."""


class ConsumersLostError(Exception):
    """A queue that is there has no consumer, and none came back in time: the process is to end, and start anew."""


class ConsumerWatch:
    """What is known of the queues that this process reads. Times are seconds of one monotonic clock."""

    def __init__(self, queues: Sequence[str], depth: Depth, clock: Callable[[], float] = time.monotonic) -> None:
        self._queues = queues
        self._depth = depth
        self._clock = clock
        self._unread_since: dict[str, float] = {}
        self._ticks: dict[str, float] = {}

    def handled(self, queue: str) -> None:
        """Note that a message of a queue was handled, whatever came of it."""
        self._ticks[queue] = self._clock()

    def stillness(self, queue: str, waiting: int) -> str | None:
        """Say that messages wait and none is handled, or None; an empty queue is a sign of life as well."""
        now = self._clock()
        if not waiting:
            self._ticks[queue] = now
        still_s = now - self._ticks.setdefault(queue, now)
        return f"{waiting} wait, and none was handled for {still_s:.0f} s" if still_s > STILL_S else None

    async def run(self) -> None:
        """Look again and again. Raises `ConsumersLostError` when the consumers of a queue do not come back."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Count consumers once. Raises `ConsumersLostError` for a queue that has had none for too long.

        A queue that is gone, or a broker that is away, is no reason to end: a new process could not read it either.
        """
        for queue in self._queues:
            try:
                _, consumers = await self._depth(queue)
            except Exception:
                consumers = 1
            if consumers:
                self._unread_since.pop(queue, None)
                continue
            now = self._clock()
            if now - self._unread_since.setdefault(queue, now) >= BACK_WITHIN_S:
                raise ConsumersLostError(f"nobody has read {queue} for {BACK_WITHIN_S:.0f} s")
