"""A worker that is cut off from one thing alone: Postgres, or the venue."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from order_worker_builders import a_cancel
from order_worker_sound import sound
from order_worker_waiting import reach, until

from order_worker.domain.breaker import OPEN_FOR
from sigmax_local.testkit.fault_proxy import fault_proxy

pytestmark = pytest.mark.integration
Settings = Callable[..., dict[str, str]]
TRIES = 3
"""Of a cancel, one shortly after the other; all later ones are its repetition."""


async def test_f07_without_postgres_nothing_is_sent_the_worker_waits_and_says_that_it_is_not_ready(
    platform: Any, venue: Any, clean: Any, run_service: Any, settings: Settings
) -> None:
    async with fault_proxy(clean.ports.postgres) as proxy, httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        away = f"postgresql://127.0.0.1:{proxy.port}/sigmax"
        async with run_service("order-worker", **settings(database_url=away)) as worker:
            await platform.allow()
            await proxy.away()
            approvals = [platform.approval(number) for number in range(5)]
            for approved in approvals:
                await platform.say(approved)

            async def is_unready() -> bool:
                answer = await http.get(f"{worker.url}/health/ready")
                return answer.status_code == 503 and "postgres" in answer.text

            await until(is_unready)
            assert venue.submits == []
            waiting = await platform.value("SELECT count(*) FROM orders")
            assert waiting == 0
            await proxy.accept()
            await platform.allow(version=2)
            for approved in approvals:
                await reach(platform, approved, "filled")
    assert len(venue.submits) == 5
    await sound(platform, venue)


async def test_f08_a_worker_that_loses_postgres_with_an_answer_in_hand_ends_and_the_next_finds_the_order(
    platform: Any, venue: Any, clean: Any, run_service: Any, settings: Settings
) -> None:
    async with fault_proxy(clean.ports.postgres) as proxy:
        away = f"postgresql://127.0.0.1:{proxy.port}/sigmax"
        async with run_service("order-worker", **settings(database_url=away)) as worker:
            await platform.allow()
            venue.delay_s = 0.3
            approved = platform.approval()
            await platform.say(approved)

            async def is_out() -> bool:
                return bool(venue.submits)

            await until(is_out)
            await proxy.away()

            async def has_ended() -> bool:
                return worker.exit_code is not None

            await until(has_ended)
            assert worker.exit_code != 0
    async with run_service("order-worker", **settings(replica="1")):
        await platform.allow(version=2)
        await reach(platform, approved, "filled")
    assert len(venue.submits) == 1
    await sound(platform, venue)


async def test_f22_a_venue_that_is_gone_gets_no_more_than_five_orders_in_a_row_and_hears_of_cancels_until_it_answers(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    venue.symbols = tuple((f"C{number}", "USDT") for number in range(10))
    async with run_service("order-worker", **settings(absence_window_s="30")):
        await platform.allow()
        resting = platform.approval(0, instrument_id="C0/USDT@binance", limit_price="50")
        await platform.say(resting)
        await reach(platform, resting, "new")
        venue.is_away = True
        for number in range(1, 6):
            await platform.say(platform.approval(number, instrument_id=f"C{number}/USDT@binance"))
        opened = "SELECT count(*) = 5 FROM orders WHERE submission = 'unknown'"
        await until(lambda: platform.value(opened))
        for number in range(6, 10):
            await platform.say(platform.approval(number, instrument_id=f"C{number}/USDT@binance"))
        await platform.say(a_cancel(0))

        async def are_repeated() -> bool:
            return venue.asked["DELETE /api/v3/order"] > 2 * TRIES

        await until(are_repeated)
        await until(lambda: platform.value("SELECT count(*) = 10 FROM orders"))
        submits = venue.asked_at["POST /api/v3/order"]
        is_shut_until = submits[5] + OPEN_FOR.total_seconds() - 1
        assert [at for at in submits if at < is_shut_until] == submits[:6]
        venue.is_away = False
        await reach(platform, resting, "canceled")
