"""Replicas come and go while orders come in: nothing is lost, nothing is doubled."""

import asyncio
import time
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
ORDERS = 180


async def test_from_one_worker_to_four_and_back_to_one_while_orders_come_in(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    venue.symbols = tuple((coin, "USDT") for coin in COINS)
    venue.delay_s = 0.05
    is_over = asyncio.Event()

    async def approve() -> None:
        valid_until = datetime.now(UTC) + timedelta(seconds=120)
        for number in range(ORDERS):
            side = Side.SELL if number % 3 == 0 else Side.BUY
            price = "101" if side is Side.BUY else "99"
            instrument_id = f"{COINS[number % len(COINS)]}/USDT@binance"
            changes = {"side": side, "limit_price": price, "instrument_id": instrument_id, "valid_until": valid_until}
            await platform.say(platform.approval(number, **changes))
            await asyncio.sleep(0.1)
        is_over.set()

    async def stay_allowed() -> None:
        while True:
            await platform.allow()
            await asyncio.sleep(10)

    first = run_service("order-worker", **settings())
    await first.__aenter__()
    telling = asyncio.create_task(stay_allowed())
    approving = asyncio.create_task(approve())
    others = [run_service("order-worker", **settings(replica=str(replica))) for replica in (1, 2, 3)]
    processes = await asyncio.gather(*(other.__aenter__() for other in others))
    assert not is_over.is_set()
    await asyncio.sleep(2)
    await processes[0].kill()
    await asyncio.sleep(1)
    await first.__aexit__(None, None, None)
    await others[1].__aexit__(None, None, None)
    await approving

    async def are_filled() -> bool:
        return bool(await platform.value(f"SELECT count(*) = {ORDERS} FROM orders WHERE status = 'filled'"))

    await until(are_filled, 60)
    workers = await platform.value("SELECT count(DISTINCT worker) FROM orders")
    await until(lambda: platform.value("SELECT count(*) = 0 FROM outbox"))
    telling.cancel()
    for other in (others[0], others[2]):
        await other.__aexit__(None, None, None)

    assert workers == 4
    assert len(venue.submits) == len(venue.orders) == ORDERS
    await sound(platform, venue)


async def test_a_halt_stops_four_busy_workers_within_a_second_and_takes_everything_back(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    venue.symbols = tuple((coin, "USDT") for coin in COINS)
    venue.delay_s = 0.05
    async with AsyncExitStack() as stack:
        for replica in range(4):
            await stack.enter_async_context(run_service("order-worker", **settings(replica=str(replica), send_s="0.8")))
        await platform.allow()
        valid_until = datetime.now(UTC) + timedelta(seconds=120)

        async def approve() -> None:
            for number in range(400):
                instrument_id = f"{COINS[number % len(COINS)]}/USDT@binance"
                changes = {"instrument_id": instrument_id, "limit_price": "50", "valid_until": valid_until}
                await platform.say(platform.approval(number, **changes))
                await asyncio.sleep(0.01)

        approving = asyncio.create_task(approve())

        async def is_busy() -> bool:
            return len(venue.submits) >= 40

        await until(is_busy)
        halted_at = time.time()
        await platform.allow(Stage.HALTED, version=2)
        await approving
        await until(lambda: platform.value("SELECT count(*) = 400 FROM orders"))
        ended = "SELECT count(*) = 400 FROM orders WHERE status IN ('canceled', 'unplaced')"
        await until(lambda: platform.value(ended), 60)

    assert venue.last_submit_at - halted_at < 1
    assert 40 <= len(venue.submits) == len(venue.orders) < 400
    assert {order["status"] for order in venue.orders.values()} == {"CANCELED"}
