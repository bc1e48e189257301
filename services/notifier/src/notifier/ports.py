"""What the handlers need from the world."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from notifier.domain.folding import KnownAlert
from notifier.domain.notices import Channel, Delivery, KnownStage, StoredAlert
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert, AuditHead, StageChanged
from sigmax.schemas.types import Scope


class AlertBook(Protocol):
    """Alerts and their deliveries, within one transaction."""

    async def first_time(self, message: Message) -> bool:
        """Say whether this service has not handled the message yet, and note that it now has."""
        ...

    def publish(self, message: Message) -> None:
        """Send a message if this transaction commits, and only then."""
        ...

    async def known(self, dedupe_key: str) -> KnownAlert | None:
        """Give the newest alert of a key, and keep others off the key until this transaction ends."""
        ...

    async def enter(self, alert: Alert, now: datetime) -> KnownAlert:
        """Store a new alert."""
        ...

    async def count(self, known: KnownAlert, alert: Alert, now: datetime) -> None:
        """Note that a known alert came again."""
        ...

    async def escalate(self, known: KnownAlert, alert: Alert, now: datetime) -> None:
        """Raise a known alert to the level and words of the newer one."""
        ...

    async def deliver(self, known: KnownAlert, alert: Alert, channels: Iterable[Channel], now: datetime) -> None:
        """Put the alert on its way through the channels."""
        ...

    async def stage(self, scope: Scope, scope_id: str) -> KnownStage | None:
        """Give the newest stage of a scope that was seen, and keep others off the scope until this transaction ends."""
        ...

    async def remember_stage(self, change: StageChanged, now: datetime) -> None:
        """Keep the stage of a scope."""
        ...

    async def head_told_at(self, owner: str) -> datetime | None:
        """Give when people were last told a head of an owner's audit chain; keep others off it meanwhile."""
        ...

    async def keep_head(self, head: AuditHead, *, is_told: bool, now: datetime) -> None:
        """Keep a head for ever."""
        ...

    async def claim(self, channel: str, now: datetime) -> Delivery | None:
        """Take the most urgent delivery of a channel that is due; nobody else gets it until its lease ends."""
        ...

    async def settle(self, delivery: Delivery, now: datetime) -> None:
        """Record that a delivery arrived."""
        ...

    async def postpone(self, delivery: Delivery, error: str, next_attempt_at: datetime | None) -> None:
        """Record that a try failed; with no next attempt the delivery is given up."""
        ...


class OpenBook(Protocol):
    """Opens a transaction; it commits on leaving and rolls back on an exception."""

    def __call__(self) -> AbstractAsyncContextManager[AlertBook]:
        """Open it."""
        ...


class Sender(Protocol):
    """One way to people."""

    @property
    def channel(self) -> Channel:
        """Name it."""
        ...

    async def send(self, alert: StoredAlert) -> str | None:
        """Bring one alert, within a bounded time; None when it arrived, else what went wrong. Never raises."""
        ...
