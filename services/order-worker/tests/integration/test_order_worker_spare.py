"""A venue with two addresses: the first one fails, and trading goes on at the other, with nothing sent twice."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import httpx2
import pytest
from order_worker_waiting import reach, until

from sigmax.runtime.rights import ADMIN
from sigmax.schemas.orders import VenueHealth
from sigmax_local.testkit.fault_proxy import FaultProxy, Loss, fault_proxy

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
Settings = Callable[..., dict[str, str]]
AT_THE_VENUE = "SELECT count(*) FROM paper_venue.orders WHERE client_order_id = $1"


@dataclass
class Venue:
    """One paper-venue that listens on two addresses."""

    main: FaultProxy
    urls: dict[str, str]


@asynccontextmanager
async def two_addresses(run_service: Any) -> AsyncIterator[Venue]:
    balances = '{"USDT": "100000"}'
    async with (
        run_service("paper-venue", admin_enabled="true", opening_balances=balances) as venue,
        httpx2.AsyncClient(base_url=venue.url, trust_env=False, timeout=60) as admin,
        fault_proxy(urlsplit(venue.url).port) as main,
    ):
        listed = {"instrument_id": "BTC/USDT@binance", "tick_size": "0.01", "lot_size": "0.00001"}
        assert (await admin.post("/admin/instruments", json=listed)).status_code == 200
        trade = {"symbol": "BTCUSDT", "price": "100", "quantity": "50"}
        assert (await admin.post("/admin/trades", json=trade)).status_code == 200
        urls = {"venue_url": f"http://127.0.0.1:{main.port}", "venue_spare_url": venue.url}
        # Patient: on a slow machine an answer that is late would move the requests before the test does.
        urls |= {"submit_timeout_s": "5", "lease_s": "8"}
        yield Venue(main, urls)


async def is_on_spare(url: str) -> bool:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        return "sigmax_venue_on_spare_endpoint 1.0" in (await http.get(f"{url}/metrics")).text


async def is_at_main(url: str) -> bool:
    """Say so also once a worker is back that an answer came too late for: it asks after a minute."""
    return not await is_on_spare(url)


async def test_a_venue_whose_first_address_is_gone_is_traded_at_its_spare_one(
    platform: Any, run_service: Any, settings: Settings
) -> None:
    async with (
        two_addresses(run_service) as venue,
        run_service("order-worker", **settings(**venue.urls)) as worker,
    ):
        await platform.allow()
        first = platform.approval(1, limit_price=None)
        await platform.say(first)
        await reach(platform, first, "filled")

        await venue.main.away()
        second = platform.approval(2, limit_price=None)
        await platform.say(second)
        await reach(platform, second, "filled")

        await until(lambda: is_on_spare(worker.url))
        assert await platform.value(AT_THE_VENUE, second.client_order_id) == 1


async def test_a_submit_whose_answer_was_lost_at_one_address_is_asked_for_at_the_other_and_never_sent_there(
    platform: Any, run_service: Any, settings: Settings
) -> None:
    async with two_addresses(run_service) as venue, run_service("order-worker", **settings(**venue.urls)) as worker:
        await platform.allow()
        await until(lambda: is_at_main(worker.url), 120)
        lost = platform.approval(1, limit_price=None)
        trap = venue.main.trap(b"POST /api/v3/order", loss=Loss.SILENCE)
        await platform.say(lost)
        await trap.sprung.wait()
        await venue.main.away()
        await reach(platform, lost, "filled")
        row = await platform.order(lost)
        assert await platform.value(AT_THE_VENUE, lost.client_order_id) == 1
        assert row["sent_at"] is not None


async def test_a_submit_that_never_arrived_at_one_address_is_not_sent_to_the_other_either(
    platform: Any, run_service: Any, settings: Settings
) -> None:
    async with two_addresses(run_service) as venue, run_service("order-worker", **settings(**venue.urls)) as worker:
        await platform.allow()
        await until(lambda: is_at_main(worker.url), 120)
        lost = platform.approval(1, limit_price=None)
        trap = venue.main.trap(b"POST /api/v3/order", loss=Loss.REQUEST)
        await platform.say(lost)
        await trap.sprung.wait()
        await venue.main.away()
        # Bytes of it left the host: only the venue's word, three times, says that it is not there.
        await reach(platform, lost, "unplaced", 60)
        assert await platform.value(AT_THE_VENUE, lost.client_order_id) == 0

        later = platform.approval(2, limit_price=None)
        await platform.say(later)
        await reach(platform, later, "filled")


async def test_while_the_spare_address_answers_the_venue_does_not_fail_until_entries_end(
    platform: Any, clean: Any, run_service: Any, settings: Settings
) -> None:
    async with (
        await aio_pika.connect(clean.rabbitmq_url_as(ADMIN)) as connection,
        two_addresses(run_service) as venue,
        run_service("order-worker", **settings(**venue.urls)) as worker,
    ):
        await platform.allow()
        queue = await (await connection.channel()).get_queue("risk_gate.venue_health.v1", ensure=False)
        venue.main.blackhole()
        await until(lambda: is_on_spare(worker.url))
        order = platform.approval(1, limit_price=None)
        await platform.say(order)
        await reach(platform, order, "filled")
        told = []
        while (message := await queue.get(fail=False, no_ack=True)) is not None:
            told.append(VenueHealth.decode(message.body))

    failing_s = [(each.as_of - each.failing_since).total_seconds() for each in told if each.failing_since is not None]
    assert told
    assert max(failing_s, default=0) < 30
    assert {each.hosts for each in told} == {("127.0.0.1",)}
