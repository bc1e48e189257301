"""Stops sending to a venue that does not answer, and tries it again with one order."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FAILURES_MAX = 5
OPEN_FOR = timedelta(seconds=30)


@dataclass(frozen=True)
class Breaker:
    """Failures in a row, and until when nothing is sent. Cancels and queries do not ask it."""

    failures: int = 0
    open_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Say whether sends must wait."""
        return self.open_until is not None and now < self.open_until

    def failed(self, now: datetime) -> "Breaker":
        """Count a submit that was not answered: the fifth in a row opens it, and so does a failed probe."""
        failures = self.failures + 1
        return Breaker(failures, now + OPEN_FOR) if failures >= FAILURES_MAX else replace(self, failures=failures)

    def probing(self, now: datetime) -> "Breaker":
        """Let one order through once the time is over; the others wait for what becomes of it."""
        return self if self.open_until is None else replace(self, open_until=now + OPEN_FOR)
