"""What the handlers need from the world."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from llm_controller.domain.budget import Budget, Reservation
from llm_controller.domain.calls import Call
from llm_controller.domain.prompt import Prompt
from sigmax.schemas.base import Message
from sigmax.schemas.signals import Decision, JudgementRequested


class Record(Protocol):
    """Decisions, the tape, and the budget, within one transaction."""

    async def first_time(self, message: Message) -> bool:
        """Say whether this service has not handled the message yet, and note that it now has."""
        ...

    def publish(self, message: Message) -> None:
        """Send a message if this transaction commits, and only then."""
        ...

    async def is_decided(self, request: JudgementRequested) -> bool:
        """Say whether a decision on the request is stored."""
        ...

    async def reserve(self, wanted: Reservation, budget: Budget) -> str | None:
        """Take the reservation from the day's budget; or say why it does not fit, and take nothing."""
        ...

    async def settle(self, reserved: Reservation, charged: Reservation) -> None:
        """Replace a reservation by what the call really took."""
        ...

    async def keep_call(
        self, request: JudgementRequested, prompt: Prompt, call: Call, charged: Reservation, fault: str | None
    ) -> None:
        """Put a call on the tape; `fault` says why its answer could not be used."""
        ...

    async def failures_in_a_row(self) -> int:
        """Count the calls since the last one that could be used, those of this transaction included."""
        ...

    async def keep_decision(self, decision: Decision) -> None:
        """Store a decision."""
        ...


class OpenRecord(Protocol):
    """Opens a transaction; it commits on leaving and rolls back on an exception."""

    def __call__(self) -> AbstractAsyncContextManager[Record]:
        """Open it."""
        ...


class Reviewer(Protocol):
    """A model that can be asked."""

    @property
    def model(self) -> str:
        """Name it."""
        ...

    async def ask(self, prompt: Prompt, deadline: datetime) -> Call:
        """Ask once and wait no longer than the deadline. Never raises: what goes wrong is in the call's `error`."""
        ...
