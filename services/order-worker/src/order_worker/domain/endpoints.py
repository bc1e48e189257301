"""Which of a venue's two addresses requests go to: pure over what they met, and the time.

A request goes to one address, once. Where one was not answered, those that follow go to the other; whatever may have
reached the venue is never sent again for it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

HOME_AFTER = timedelta(seconds=60)
"""On the spare address, until the main one is asked for its time again, and from one such question to the next."""


class Endpoint(StrEnum):
    """One of the two."""

    MAIN = "main"
    SPARE = "spare"

    @property
    def other(self) -> "Endpoint":
        """Give the other one."""
        return Endpoint.MAIN if self is Endpoint.SPARE else Endpoint.SPARE


@dataclass(frozen=True)
class Endpoints:
    """Where requests go now."""

    has_spare: bool = False
    current: Endpoint = Endpoint.MAIN
    asked_home_at: datetime | None = None
    """When the main address was left, or last asked whether it answers again."""

    def failed(self, used: Endpoint, now: datetime) -> "Endpoints":
        """Go on at the other address, unless a request that failed before went there already."""
        if not self.has_spare or used is not self.current:
            return self
        return replace(self, current=used.other, asked_home_at=now)

    def is_home_due(self, now: datetime) -> bool:
        """Say whether the main address is to be asked if it answers again."""
        is_away = self.current is Endpoint.SPARE
        return is_away and self.asked_home_at is not None and now - self.asked_home_at >= HOME_AFTER

    def asked_home(self, now: datetime, *, is_answered: bool) -> "Endpoints":
        """Go back where the main address answered; otherwise ask again later."""
        return replace(self, current=Endpoint.MAIN if is_answered else self.current, asked_home_at=now)
