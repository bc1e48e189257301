"""An event loop whose clock jumps: hours of waiting pass in milliseconds, and every run of a seed is the same."""

import asyncio
import selectors
from asyncio import base_events
from collections.abc import Mapping
from typing import Any


class StillError(Exception):
    """Nothing runs and nothing is planned: whoever waits would wait for ever."""


class _Jump(selectors.BaseSelector):
    """Waits for nothing: it moves the clock to the next timer."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let time pass."""
        if timeout is None:
            raise StillError
        if timeout > 0:
            self._loop.jump(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Refuse: there is no outside."""
        raise NotImplementedError

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Refuse: there is no outside."""
        raise NotImplementedError

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Give nothing."""
        return {}


class VirtualLoop(base_events.BaseEventLoop):
    """Runs tasks in the order in which they became ready; time passes only while all of them wait."""

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0
        self._selector = _Jump(self)

    def time(self) -> float:
        """Give the virtual seconds since the loop was made."""
        return self._time

    def jump(self, seconds: float) -> None:
        """Move the clock."""
        self._time += seconds

    def _process_events(self, event_list: Any) -> None:
        """Do nothing: there are no events from outside."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread wakes this loop."""

    def end(self) -> None:
        """Cancel what still runs, and close."""
        asyncio.set_event_loop(None)
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.close()
