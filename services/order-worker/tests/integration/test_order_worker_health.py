"""What risk-gate hears of the venue, and what the worker does when it hears nothing of risk-gate."""

from collections.abc import Callable
from typing import Any

import aio_pika
import httpx2
import pytest
from order_worker_waiting import reach, until

from sigmax.runtime.rights import ADMIN, rabbitmq_definitions
from sigmax.schemas.orders import VenueHealth
from sigmax.schemas.topology import EXCHANGE
from sigmax.schemas.types import Side

pytestmark = pytest.mark.integration
Settings = Callable[..., dict[str, str]]
QUEUE = "risk_gate.venue_health.v1"


async def test_the_venues_silence_is_told_within_seconds_and_its_return_too(
    platform: Any, venue: Any, clean: Any, run_service: Any, settings: Settings
) -> None:
    async with await aio_pika.connect(clean.rabbitmq_url_as(ADMIN)) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE, ensure=False)

        async def newest() -> VenueHealth | None:
            told = None
            while (message := await queue.get(fail=False, no_ack=True)) is not None:
                told = VenueHealth.decode(message.body)
            return told

        async def says(*, answering: bool) -> VenueHealth | None:
            told = await newest()
            return told if told is not None and told.is_answering is answering else None

        async with run_service("order-worker", **settings()):
            await until(lambda: says(answering=True))
            venue.is_away = True
            told = await until(lambda: says(answering=False))
            assert told.failing_since <= told.as_of
            venue.is_away = False
            await until(lambda: says(answering=True))


async def test_a_worker_that_hears_nothing_of_risk_gate_takes_its_entries_back_and_keeps_what_protects(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        bought = platform.approval(1)
        await platform.say(bought)
        await reach(platform, bought, "filled")
        entry = platform.approval(2, limit_price="50")
        guard = platform.approval(3, side=Side.SELL, limit_price="150", quantity="0.5", reduce_only=True)
        for approved in (entry, guard):
            await platform.say(approved)
            await reach(platform, approved, "new")
        platform.fall_silent()
        await platform.connection.execute("UPDATE stages SET told_at = told_at - interval '61 s'")
        await reach(platform, entry, "canceled")
        late = platform.approval(4)
        await platform.say(late)
        row = await reach(platform, late, "unplaced")

        assert "last told" in row["reason"]
        assert (await platform.order(guard))["status"] == "new"


async def test_f13_a_queue_that_is_gone_fails_readiness_and_is_read_again_once_it_was_made_anew(
    platform: Any, clean: Any, run_service: Any, settings: Settings
) -> None:
    async with (
        run_service("order-worker", **settings()) as worker,
        httpx2.AsyncClient(trust_env=False, timeout=60) as http,
    ):

        async def problems() -> str:
            answer = await http.get(f"{worker.url}/health/ready")
            return "" if answer.status_code == 200 else answer.text

        async with await aio_pika.connect(clean.rabbitmq_url_as(ADMIN)) as connection:
            channel = await connection.channel()
            name = "order_worker.cancel_requested.v1"
            await channel.queue_delete(name)
            told = await until(problems)
            definitions = rabbitmq_definitions(clean.secrets.rabbitmq_passwords())
            (queue,) = [each for each in definitions["queues"] if each["name"] == name]
            made = await channel.declare_queue(name, durable=True, arguments=queue["arguments"])
            await made.bind(EXCHANGE, "risk_gate.cancel_requested.v1")
            assert name in told

            async def is_ready() -> bool:
                return not await problems()

            await until(is_ready)
