"""Replicas come and go while orders come in: nothing is lost, nothing is doubled."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from order_worker_sound import sound
from order_worker_waiting import until

from sigmax.schemas.types import Side, Stage

pytestmark = pytest.mark.integration
Settings = Callable[..., dict[str, str]]
COINS = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOT")
ORDERS = 200


async def test_from_one_worker_to_four_and_back_to_one_while_orders_come_in(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    venue.symbols = tuple((coin, "USDT") for coin in COINS)
    venue.delay_s = 0.05
    is_over = asyncio.Event()

    async def approve() -> int:
        """Approve orders until all replicas have come and gone; give how many."""
        number = 0
        while not is_over.is_set():
            if number % 100 == 0:
                await platform.allow(version=1 + number // 100)
            side = Side.SELL if number % 3 == 0 else Side.BUY
            price = "101" if side is Side.BUY else "99"
            instrument_id = f"{COINS[number % len(COINS)]}/USDT@binance"
            changes = {"side": side, "limit_price": price, "instrument_id": instrument_id}
            await platform.say(platform.approval(number, **changes))
            number += 1
            await asyncio.sleep(0.1)
        return number

    first = run_service("order-worker", **settings())
    await first.__aenter__()
    approving = asyncio.create_task(approve())
    others = [run_service("order-worker", **settings(replica=str(replica))) for replica in (1, 2, 3)]
    processes = await asyncio.gather(*(other.__aenter__() for other in others))
    await until(lambda: platform.value("SELECT count(DISTINCT worker) = 4 FROM orders"))
    await processes[0].kill()
    await asyncio.sleep(1)
    await first.__aexit__(None, None, None)
    await others[1].__aexit__(None, None, None)
    is_over.set()
    orders = await approving

    async def are_filled() -> bool:
        await platform.allow(version=1 + orders)
        return bool(await platform.value(f"SELECT count(*) = {orders} FROM orders WHERE status = 'filled'"))

    await until(are_filled, 180)
    await until(lambda: platform.value("SELECT count(*) = 0 FROM outbox"))
    for other in (others[0], others[2]):
        await other.__aexit__(None, None, None)

    assert len(venue.submits) == len(venue.orders) == orders
    await sound(platform, venue)


async def test_a_replica_that_comes_to_lead_holds_the_books_against_the_venues(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    rarely = settings(reconcile_s="120")
    compared = "SELECT count(*) FROM reconciliations"
    async with run_service("order-worker", **rarely) as first:

        async def is_heard() -> bool:
            return bool(venue.sockets)

        await until(is_heard)
        async with run_service("order-worker", **rarely, replica="1"):
            before = await platform.value(compared)
            await first.kill()
            await until(lambda: platform.value(f"SELECT ({compared}) > {before}"))


async def test_a_halt_stops_four_busy_workers_within_a_second_and_takes_everything_back(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    venue.symbols = tuple((coin, "USDT") for coin in COINS)
    venue.delay_s = 0.2
    async with AsyncExitStack() as stack:
        workers = [run_service("order-worker", **settings(replica=str(replica), send_s="0.8")) for replica in range(4)]
        await asyncio.gather(*(stack.enter_async_context(worker) for worker in workers))
        await platform.allow()

        async def approve() -> None:
            for number in range(ORDERS):
                instrument_id = f"{COINS[number % len(COINS)]}/USDT@binance"
                await platform.say(platform.approval(number, instrument_id=instrument_id, limit_price="50"))
                await asyncio.sleep(0.01)

        approving = asyncio.create_task(approve())

        async def is_busy() -> bool:
            return len(venue.submits) >= 40

        await until(is_busy)
        await platform.allow(Stage.HALTED, version=2)
        halted_at = datetime.now(UTC)
        await approving
        await until(lambda: platform.value(f"SELECT count(*) = {ORDERS} FROM orders"))
        ended = f"SELECT count(*) = {ORDERS} FROM orders WHERE status IN ('canceled', 'unplaced')"
        await until(lambda: platform.value(ended), 180)

    # When the last byte may have left the worker: what the venue takes to hear it is not the worker's.
    assert await platform.value("SELECT max(sent_at) FROM orders") - halted_at < timedelta(seconds=1)
    assert 40 <= len(venue.submits) == len(venue.orders) < ORDERS
    assert {order["status"] for order in venue.orders.values()} == {"CANCELED"}
