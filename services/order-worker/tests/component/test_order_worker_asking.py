"""How everything but a submit is asked: retried, counted, rested, and left alone when the venue wants it."""

from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import pytest
from order_worker_fakes import FakeBudget, FakeClock

from order_worker.adapters.asking import Asking
from order_worker.adapters.dialect import told_of
from order_worker.adapters.endpoints import Switch
from order_worker.adapters.wire import current_attempt
from order_worker.domain.budget import Kind, Limit, Told
from order_worker.ports import VenueError


class Bench:
    def __init__(self) -> None:
        self.clock, self.budget = FakeClock(), FakeBudget()
        self.asking = Asking(self.budget, self.clock, Switch(self.clock, None))
        self.script: list[Any] = []
        self.asked = 0

    def question(self) -> Callable[[], Awaitable[Any]]:
        async def ask() -> Any:
            self.asked += 1
            step = self.script.pop(0) if self.script else "an answer"
            if isinstance(step, Exception):
                raise step
            return step

        return ask

    async def ask(self, kind: Kind = Kind.QUERIES, **how: bool) -> Any:
        return await self.asking.ask(self.question(), 4, kind, **how)

    async def fails(self, kind: Kind = Kind.QUERIES, **how: bool) -> str:
        with pytest.raises(VenueError) as caught:
            await self.ask(kind, **how)
        return str(caught.value)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()

    async def pass_by(seconds: float) -> None:
        bench.clock.pass_by(seconds)

    monkeypatch.setattr("order_worker.adapters.asking.asyncio.sleep", pass_by)
    monkeypatch.setattr("order_worker_fakes.asyncio.sleep", pass_by)
    return bench


async def test_a_passing_fault_is_asked_again_twice_and_each_try_is_counted(bench: Bench) -> None:
    bench.script = [ccxt.RequestTimeout("late"), ccxt.ExchangeNotAvailable("503")]

    assert await bench.ask() == "an answer"
    assert len(bench.budget.taken) == bench.asked == 3
    assert bench.asking.health.trouble(bench.clock.at) is None


async def test_a_question_that_nobody_answers_fails_and_says_since_when(bench: Bench) -> None:
    asked_at = bench.clock.at
    bench.script = [ccxt.RequestTimeout("late")] * 3

    assert "late" in await bench.fails()
    trouble = bench.asking.health.trouble(bench.clock.at)
    assert trouble is not None
    assert trouble.since == asked_at


async def test_a_question_of_one_try_is_asked_once(bench: Bench) -> None:
    bench.script = [TimeoutError()]

    await bench.fails(is_retried=False)
    assert bench.asked == 1


async def test_an_order_that_the_venue_does_not_know_is_an_answer(bench: Bench) -> None:
    bench.script = [ccxt.RequestTimeout("late"), ccxt.OrderNotFound("-2013")]

    assert await bench.ask() is None
    assert bench.asking.health.trouble(bench.clock.at) is None


@pytest.mark.parametrize(
    ("text", "closed"),
    [("-1003 weight", [(Kind.ORDERS, 33), (Kind.QUERIES, 33)]), ("slow down", [(Kind.QUERIES, 33)])],
)
async def test_too_many_requests_closes_the_budget_and_is_not_asked_again(
    bench: Bench, text: str, closed: list[tuple[Kind, float]]
) -> None:
    async def limited() -> None:
        bench.asked += 1
        attempt = current_attempt.get()
        assert attempt is not None
        attempt.retry_after_s = 33
        raise ccxt.DDoSProtection(text)

    with pytest.raises(VenueError):
        await bench.asking.ask(limited, 20)
    assert (bench.asked, bench.budget.closed) == (1, closed)
    assert bench.asking.health.trouble(bench.clock.at) is None


async def test_a_refusal_is_an_answer_and_garbage_is_none(bench: Bench) -> None:
    bench.script = [ccxt.AuthenticationError("-2015")]
    await bench.fails()
    assert bench.asking.health.trouble(bench.clock.at) is None

    bench.script = [ValueError("no JSON")]
    await bench.fails()
    assert bench.asking.health.trouble(bench.clock.at) is not None


async def test_after_five_failures_it_is_asked_once_a_second_and_an_answer_ends_that(bench: Bench) -> None:
    for _ in range(5):
        bench.script = [ccxt.RequestTimeout("late")]
        await bench.fails(Kind.CANCELS, is_retried=False)
    asked = bench.asked

    assert "asked again in a moment" in await bench.fails(Kind.CANCELS)
    assert bench.asked == asked
    bench.clock.pass_by(1)
    assert await bench.ask(Kind.CANCELS) == "an answer"
    assert await bench.ask(Kind.CANCELS) == "an answer"


async def test_who_would_wait_too_long_for_room_is_told_so(bench: Bench) -> None:
    bench.budget.waits = [3.0, 3.0]

    assert "no room for queries" in await bench.fails()
    assert bench.asked == 0


def test_the_venues_limits_are_read_as_it_tells_them() -> None:
    rows = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300000},
    ]

    assert told_of(rows) == Told(Limit(100, 10), Limit(6000, 60))
    assert told_of([]) == Told()
