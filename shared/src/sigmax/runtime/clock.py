"""Time comes from a clock that is handed in, so that a backtest and a test can hand in another."""

import time
from datetime import UTC, datetime
from typing import Protocol


class ClockPort(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Give the aware UTC time."""
        ...

    def now_ns(self) -> int:
        """Give the nanoseconds since 1970."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """Give the aware UTC time."""
        return datetime.now(UTC)

    def now_ns(self) -> int:
        """Give the nanoseconds since 1970."""
        return time.time_ns()
