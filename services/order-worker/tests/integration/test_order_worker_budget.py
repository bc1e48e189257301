"""The venue's request budget over real servers: one for all replicas, and never more than the venue takes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
import redis.asyncio
from order_worker_builders import a_cancel
from order_worker_waiting import reach, until

from order_worker.adapters.budget import RedisBudget
from order_worker.domain.budget import Bucket, Kind, Limit, Limits
from order_worker.ports import BudgetUnreadableError
from sigmax_local.testkit.fault_proxy import fault_proxy

pytestmark = pytest.mark.integration
Settings = Callable[..., dict[str, str]]
LIMITS = Limits(Limit(50, 10), Limit(50, 10), Limit(6000, 60))
COINS = ("BTC", "ETH", "SOL", "XRP")


class MovedClock:
    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ns(self) -> int:
        return self.ms * 1_000_000

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ms / 1000, UTC)


@pytest.fixture
async def connection(clean: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Give Redis with the rights of order-worker: what it may not do fails here; how quick it is does not matter."""
    monkeypatch.setattr("order_worker.adapters.budget._ANSWER_S", 60.0)
    opened = redis.asyncio.Redis.from_url(clean.redis_url_as("order_worker"))
    yield opened
    await opened.aclose()


async def test_the_script_does_what_the_pure_bucket_does(connection: Any) -> None:
    clock, chance = MovedClock(), random.Random(7)
    for turn in range(10):
        budget = RedisBudget(connection, f"test{turn}", clock, LIMITS)
        bucket = Bucket(LIMITS.orders.capacity, clock.ms / 1000)
        for _ in range(60):
            clock.ms += chance.randrange(0, 900)
            now = clock.ms / 1000
            act = chance.random()
            if act < 0.05:
                await budget.close(Kind.ORDERS, 1.5)
                bucket = bucket.closed(1.5, now)
            elif act < 0.2:
                await budget.give_back(Kind.ORDERS)
                bucket, _ = bucket.take(LIMITS.orders, -1, now)
            else:
                is_exit = chance.random() < 0.5
                reserve = 0.0 if is_exit else LIMITS.orders.reserve
                bucket, wait_s = bucket.take(LIMITS.orders, 1, now, reserve=reserve)
                assert await budget.take(Kind.ORDERS, is_exit=is_exit) == pytest.approx(wait_s, abs=0.002)


async def test_the_kinds_never_take_from_each_other(connection: Any) -> None:
    budget = RedisBudget(connection, "test", MovedClock(), LIMITS)
    while not await budget.take(Kind.ORDERS):
        pass
    while not await budget.take(Kind.QUERIES, 20):
        pass

    for _ in range(int(LIMITS.cancels.capacity)):
        assert await budget.take(Kind.CANCELS) == 0
    assert await budget.take(Kind.CANCELS) > 0


async def test_without_redis_nothing_is_sent_and_a_few_cancels_and_questions_still_go() -> None:
    nowhere = redis.asyncio.Redis(host="127.0.0.1", port=1)
    budget = RedisBudget(nowhere, "test", MovedClock(), LIMITS)

    with pytest.raises(BudgetUnreadableError):
        await budget.take(Kind.ORDERS)
    assert "nothing is sent" in str(await budget.look())
    let_go = [await budget.take(Kind.CANCELS) for _ in range(20)]
    assert 1 <= let_go.count(0) <= LIMITS.alone.cancels.capacity + 1
    assert await budget.take(Kind.QUERIES, 80) == 0
    await nowhere.aclose()


async def test_a_redis_that_stands_still_stops_sends_and_lets_cancels_through(
    platform: Any, venue: Any, clean: Any, run_service: Any, settings: Settings
) -> None:
    async with (
        fault_proxy(clean.ports.redis) as proxy,
        run_service("order-worker", **settings(redis_url=f"redis://127.0.0.1:{proxy.port}/0")) as worker,
        httpx2.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        await platform.allow()
        resting = platform.approval(1, limit_price="50")
        await platform.say(resting)
        await reach(platform, resting, "new")

        proxy.blackhole()
        waiting = platform.approval(2)
        await platform.say(waiting)
        await platform.say(a_cancel(1))
        await reach(platform, resting, "canceled")
        await until(lambda: platform.order(waiting))
        assert (await platform.order(waiting))["submission"] == "ready"
        answer = await http.get(f"{worker.url}/health/ready")
        assert answer.status_code == 503
        assert "budget: the venue's request budget cannot be read, so nothing is sent" in answer.text
        proxy.restore()
        await reach(platform, waiting, "filled")


async def test_too_many_requests_is_no_rejection_the_order_goes_when_the_venue_wants_it(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        venue.faults = ["too_many"]
        approved = platform.approval()
        await platform.say(approved)
        row = await reach(platform, approved, "filled")

    assert len(venue.submits) == 2
    assert row["attempts"] == 0
    apart_s = (int(venue.submits[1]["timestamp"]) - int(venue.submits[0]["timestamp"])) / 1000
    assert apart_s >= 2


@asynccontextmanager
async def a_strict_venue(run_service: Any) -> AsyncIterator[tuple[str, httpx2.AsyncClient]]:
    """Run the paper venue with the limits of the real one, and four markets."""
    strict = {"orders_10s_max": "50", "weight_1m_max": "6000", "admin_enabled": "true"}
    async with (
        run_service("paper-venue", opening_balances='{"USDT": "1000000"}', **strict) as venue,
        httpx2.AsyncClient(base_url=venue.url, trust_env=False, timeout=60) as admin,
    ):
        for coin in COINS:
            listed = {"instrument_id": f"{coin}/USDT@binance", "tick_size": "0.01", "lot_size": "0.00001"}
            await admin.post("/admin/instruments", json=listed)
            await admin.post("/admin/trades", json={"symbol": f"{coin}USDT", "price": "100", "quantity": "1000"})
        yield venue.url, admin


async def test_four_workers_under_load_are_never_told_that_they_ask_too_much(
    platform: Any, run_service: Any, settings: Settings
) -> None:
    async with a_strict_venue(run_service) as (url, admin), AsyncExitStack() as stack:
        own = [{**settings(), "venue_url": url, "replica": str(replica)} for replica in range(4)]
        workers = [run_service("order-worker", **each) for each in own]
        await asyncio.gather(*(stack.enter_async_context(worker) for worker in workers))
        await platform.allow()
        approvals = [
            platform.approval(
                number,
                instrument_id=f"{COINS[number % 4]}/USDT@binance",
                limit_price="60" if number % 2 else None,
                quantity="0.5",
            )
            for number in range(90)
        ]
        await asyncio.gather(*(platform.say(approved) for approved in approvals))

        async def are_out() -> bool:
            await platform.allow()
            query = "SELECT count(*) = 90 FROM orders WHERE status IN ('filled', 'new', 'pending_cancel', 'canceled')"
            return bool(await platform.value(query))

        canceling = asyncio.create_task(_cancel_what_rests(platform, approvals))
        await until(are_out, 180)
        await canceling
        metrics = (await admin.get("/metrics")).text
        refused = [line for line in metrics.splitlines() if 'status="429"' in line]
        assert refused == []
        assert await platform.value("SELECT count(*) FROM orders WHERE status = 'canceled'") == 45
        assert await platform.value("SELECT count(*) FROM orders WHERE status = 'filled'") == 45


async def _cancel_what_rests(platform: Any, approvals: list[Any]) -> None:
    """Ask for the cancel of every resting order while the others are still being sent."""
    for number, approved in enumerate(approvals):
        if number % 2:
            await reach(platform, approved, "new", 180)
            await platform.say(a_cancel(number))
    await until(lambda: platform.value("SELECT count(*) = 45 FROM orders WHERE status = 'canceled'"), 180)
