"""What becomes of the alert about a message that nobody can handle, when the database is away just then."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from sigmax.runtime.clock import SystemClock
from sigmax.runtime.consuming import Consumers
from sigmax.schemas.base import Message
from sigmax.schemas.control import JobDue


class Around:
    """The broker and the database of one service; the database loses so many connections first."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.stored: list[Message] = []
        self.handle: Callable[[Any], Awaitable[None]]

    def subscriber(self, *_: object, **__: object) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
        def keep(handle: Callable[[Any], Awaitable[None]]) -> None:
            self.handle = handle

        return keep

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        unit: list[Message] = []
        yield SimpleNamespace(publish=unit.append)
        if self.faults:
            raise self.faults.pop(0)
        self.stored += unit


async def deliver_poison(around: Any) -> None:
    async def unread(_: JobDue) -> None:
        raise AssertionError("it cannot be read")

    Consumers(around, around, SystemClock(), "scheduler").on(JobDue, unread, prefetch=1)
    with pytest.raises(ValueError, match="JSON"):
        await around.handle(SimpleNamespace(body=b'{"job": 1', message_id="1", headers={}))


async def test_the_alert_of_a_dead_letter_outlives_the_connection_that_it_was_stored_over() -> None:
    around = Around(ConnectionResetError(), ConnectionResetError())
    await deliver_poison(around)
    assert [getattr(each, "code", "") for each in around.stored] == ["message_rejected"]


async def test_an_alert_that_can_never_be_stored_keeps_no_dead_letter_back() -> None:
    around = Around(KeyError("a bug"))
    await deliver_poison(around)
    assert around.stored == []
