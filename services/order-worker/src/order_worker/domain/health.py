"""Does the venue answer? Kept per kind of request, and pure: what is asked, and when, is not decided here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from order_worker.domain.breaker import FAILURES_MAX
from order_worker.domain.budget import Kind

REST = timedelta(seconds=1)
"""Questions and cancels go on while nobody answers, but no faster than this: all that wait would ask at once."""
MEMORY = timedelta(seconds=30)
"""Submits and cancels are rare: what they last met says nothing any more after this time."""


@dataclass(frozen=True)
class Streak:
    """Requests of one kind that were not answered, one after the other."""

    count: int
    since: datetime
    """When the first of them was asked."""
    last_at: datetime


@dataclass(frozen=True)
class Health:
    """What each kind of request met last; a kind that was answered is absent."""

    streaks: Mapping[Kind, Streak] = field(default_factory=dict)

    def answered(self, kind: Kind) -> "Health":
        """Note an answer, whatever it said."""
        if kind not in self.streaks:
            return self
        return Health({each: streak for each, streak in self.streaks.items() if each is not kind})

    def failed(self, kind: Kind, asked_at: datetime, now: datetime) -> "Health":
        """Note a request that nobody answered."""
        before = self.streaks.get(kind)
        streak = Streak(1, asked_at, now) if before is None else Streak(before.count + 1, before.since, now)
        return Health({**self.streaks, kind: streak})

    def is_open(self, kind: Kind) -> bool:
        """Say whether so many in a row failed that the venue counts as gone for this kind."""
        streak = self.streaks.get(kind)
        return streak is not None and streak.count >= FAILURES_MAX

    def must_rest(self, kind: Kind, now: datetime) -> bool:
        """Say whether a cancel or question waits a moment: many were not answered, the last one just now."""
        return self.is_open(kind) and now - self.streaks[kind].last_at < REST

    def failing_since(self, now: datetime) -> datetime | None:
        """Say since when the venue does not answer; None while it does.

        One question that was not answered counts, because questions are asked all the time. Of submits and cancels it
        takes as many as open their breaker, and only while they are fresh: when nothing may be sent, no later one
        could take the word back.
        """
        found = [
            streak.since
            for kind, streak in self.streaks.items()
            if kind is Kind.QUERIES or (self.is_open(kind) and now - streak.last_at <= MEMORY)
        ]
        return min(found, default=None)
