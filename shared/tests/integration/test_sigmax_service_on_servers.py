"""What the runtime promises, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aio_pika
import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from sigmax.runtime.service import Service
from sigmax.runtime.settings import ServiceSettings
from sigmax.runtime.tracing import handling, posted
from sigmax.schemas.control import Alert, JobDue
from sigmax.schemas.topology import dead_letter_queue_of, queue_of
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration
NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


class SchedulerSettings(ServiceSettings):
    service = "scheduler"


class NotifierSettings(ServiceSettings):
    service = "notifier"


def a_service(addresses: Addresses, kind: type[ServiceSettings], replica: str = "0") -> Service:
    owner = kind.service.replace("-", "_")
    secrets = addresses.secrets
    return Service(
        kind(
            replica=replica,
            database_url=addresses.database_url,
            redis_url=addresses.redis_url,
            rabbitmq_url=addresses.rabbitmq_url,
            database_password=secrets.database_passwords()[owner],
            rabbitmq_password=secrets.rabbitmq_passwords()[owner],
            redis_password=secrets.redis_passwords()[owner],
        )
    )


def a_job(key: str = "1") -> JobDue:
    return JobDue(**JobDue.first(key, NOW), job="a_job", due_at=NOW)


@asynccontextmanager
async def running(service: Service, *handlers: Callable[[Service], None]) -> AsyncIterator[Service]:
    @asynccontextmanager
    async def wire(wired: Service) -> AsyncIterator[None]:
        for handler in handlers:
            handler(wired)
        yield

    async with service.running(wire):
        yield service


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.02)


async def outbox_count(service: Service) -> int:
    async with service.database.reading() as session:
        return int((await session.execute(text("SELECT count(*) FROM outbox"))).scalar_one())


async def publish(service: Service, *messages: JobDue | Alert) -> None:
    async with service.database.transaction() as unit:
        for message in messages:
            unit.publish(message)


async def waiting_in(addresses: Addresses, queue: str) -> int:
    connection = await aio_pika.connect(addresses.admin_urls[2])
    async with connection:
        channel = await connection.channel()
        return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0


def refused_publishes() -> float:
    return REGISTRY.get_sample_value("sigmax_outbox_failures_total") or 0.0


async def until_refused(before: float) -> None:
    await until(lambda: _is(lambda: refused_publishes() > before))


def collecting(into: list[JobDue]) -> Callable[[Service], None]:
    def register(service: Service) -> None:
        async def on_job_due(message: JobDue) -> None:
            async with service.database.transaction() as unit:
                if await unit.first_time(message):
                    into.append(message)

        service.on(JobDue, on_job_due)

    return register


async def test_a_committed_message_reaches_its_reader_and_leaves_the_outbox(clean: Addresses) -> None:
    seen: list[JobDue] = []
    async with running(a_service(clean, SchedulerSettings), collecting(seen)) as service:
        await publish(service, a_job())

        await until(lambda: _is(lambda: seen == [a_job()]))
        await until(lambda: _is_async(outbox_count(service), 0))


async def test_a_message_goes_out_under_the_trace_of_the_work_that_published_it(clean: Addresses) -> None:
    cause = a_job("cause")
    effect = JobDue(**JobDue.after(cause, NOW), job="a_job", due_at=NOW)
    async with running(a_service(clean, SchedulerSettings)) as service:
        with handling(cause, {"traceparent": posted(cause)[0]}):
            await publish(service, effect)
        await until(lambda: _is_async(outbox_count(service), 0))
    connection = await aio_pika.connect(clean.admin_urls[2])
    async with connection:
        channel = await connection.channel()
        received = await (await channel.get_queue(queue_of("scheduler", JobDue), ensure=False)).get(no_ack=True)

    assert received is not None
    assert received.headers["traceparent"] == posted(cause)[0]


async def test_a_message_of_a_transaction_that_fails_is_never_sent(clean: Addresses) -> None:
    seen: list[JobDue] = []
    async with running(a_service(clean, SchedulerSettings), collecting(seen)) as service:
        with pytest.raises(RuntimeError):
            async with service.database.transaction() as unit:
                unit.publish(a_job("lost"))
                raise RuntimeError("the handler failed")
        await publish(service, a_job("kept"))

        await until(lambda: _is(lambda: len(seen) == 1))
        assert seen == [a_job("kept")]


async def test_a_message_delivered_twice_is_handled_once(clean: Addresses) -> None:
    seen: list[JobDue] = []
    async with running(a_service(clean, SchedulerSettings), collecting(seen)) as service:
        for _ in range(3):
            await publish(service, a_job("same"))
            await until(lambda: _is_async(outbox_count(service), 0))
        await publish(service, a_job("other"))

        await until(lambda: _is(lambda: len(seen) == 2))
        assert seen == [a_job("same"), a_job("other")]


async def test_what_a_crash_left_in_the_outbox_is_swept_out(clean: Addresses) -> None:
    crashed = a_service(clean, SchedulerSettings)
    async with crashed.database.transaction() as unit:  # its relay never ran
        unit.publish(a_job("left over"))
    await crashed.database.close()
    seen: list[JobDue] = []

    async with running(a_service(clean, SchedulerSettings, "1"), collecting(seen)) as service:
        await until(lambda: _is(lambda: seen == [a_job("left over")]))
        await until(lambda: _is_async(outbox_count(service), 0))


async def test_what_is_on_its_way_when_the_service_ends_is_confirmed_and_leaves_the_outbox(clean: Addresses) -> None:
    service = a_service(clean, SchedulerSettings)
    async with running(service):
        await publish(service, *(a_job(str(number)) for number in range(200)))
        await asyncio.sleep(0)  # the relay has taken them, and waits for the broker
    connection = await asyncpg.connect(clean.admin_urls[0])
    left = await connection.fetchval("SELECT count(*) FROM scheduler.outbox")
    await connection.close()

    assert left == 0
    assert await waiting_in(clean, queue_of("scheduler", JobDue)) == 200


async def test_an_unroutable_message_stays_in_the_outbox_until_it_has_a_route(clean: Addresses) -> None:
    queue = queue_of("scheduler", JobDue)
    connection = await aio_pika.connect(clean.admin_urls[2])
    async with connection:
        channel = await connection.channel()
        bound = await channel.get_queue(queue, ensure=False)
        exchange = await channel.get_exchange("sigmax", ensure=False)
        await bound.unbind(exchange, JobDue.TOPIC)
        seen: list[JobDue] = []
        try:
            async with running(a_service(clean, SchedulerSettings), collecting(seen)) as service:
                refusals = refused_publishes()
                await publish(service, a_job("no route yet"))
                await until_refused(refusals)
                assert await outbox_count(service) == 1
                await bound.bind(exchange, JobDue.TOPIC)

                await until(lambda: _is(lambda: seen == [a_job("no route yet")]))
                await until(lambda: _is_async(outbox_count(service), 0))
        finally:
            await bound.bind(exchange, JobDue.TOPIC)


async def test_a_poison_message_goes_to_the_dead_letters_with_an_alert_and_the_rest_moves_on(clean: Addresses) -> None:
    seen: list[JobDue] = []
    async with running(a_service(clean, SchedulerSettings), collecting(seen)) as service:
        connection = await aio_pika.connect(clean.admin_urls[2])
        async with connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("sigmax", ensure=False)
            await exchange.publish(aio_pika.Message(b'{"job": 1'), JobDue.TOPIC)
        await publish(service, a_job("after the poison"))

        await until(lambda: _is(lambda: seen == [a_job("after the poison")]))
        await until(lambda: _is_async(waiting_in(clean, dead_letter_queue_of("scheduler")), 1))
        await until(lambda: _is_async(waiting_in(clean, queue_of("notifier", Alert)), 1))


async def test_a_handler_that_cannot_succeed_parks_its_message(clean: Addresses) -> None:
    async def broken(_message: JobDue) -> None:
        raise KeyError("a bug")

    async with running(a_service(clean, SchedulerSettings), lambda service: service.on(JobDue, broken)) as service:
        await publish(service, a_job())

        await until(lambda: _is_async(waiting_in(clean, dead_letter_queue_of("scheduler")), 1))


async def test_a_passing_fault_is_waited_out_and_the_message_is_kept(clean: Addresses) -> None:
    tries: list[JobDue] = []

    async def twice_unlucky(message: JobDue) -> None:
        tries.append(message)
        if len(tries) < 3:
            raise ConnectionResetError

    async with running(
        a_service(clean, SchedulerSettings), lambda service: service.on(JobDue, twice_unlucky)
    ) as service:
        await publish(service, a_job())

        await until(lambda: _is(lambda: len(tries) == 3))
    assert await waiting_in(clean, dead_letter_queue_of("scheduler")) == 0


async def test_a_database_that_drops_its_connections_loses_no_message(clean: Addresses) -> None:
    seen: list[JobDue] = []
    async with running(a_service(clean, SchedulerSettings), collecting(seen)) as service:
        await publish(service, a_job("before"))
        await until(lambda: _is(lambda: len(seen) == 1))
        admin = await asyncpg.connect(clean.admin_urls[0])
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'scheduler'")
        await admin.close()
        connection = await aio_pika.connect(clean.admin_urls[2])
        async with connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("sigmax", ensure=False)
            for number in range(5):
                await exchange.publish(aio_pika.Message(a_job(f"after {number}").encode()), JobDue.TOPIC)

        await until(lambda: _is(lambda: len(seen) == 6))
    assert await waiting_in(clean, dead_letter_queue_of("scheduler")) == 0


async def test_a_service_whose_queue_is_gone_is_not_ready(clean: Addresses) -> None:
    queue = queue_of("scheduler", JobDue)
    seen: list[JobDue] = []
    async with running(a_service(clean, SchedulerSettings), collecting(seen)) as service:
        await until(lambda: _is_async(service.readiness.look(), []))
        connection = await aio_pika.connect(clean.admin_urls[2])
        async with connection:
            channel = await connection.channel()
            await channel.queue_delete(queue)
            try:
                await until(lambda: _is_async(_names(service, queue), expected=True))
            finally:
                await _declare_again(channel, queue)


async def test_one_replica_leads_and_another_takes_over_when_it_ends(clean: Addresses) -> None:
    ran: list[str] = []

    def every_turn(name: str) -> Callable[[Service], None]:
        async def action() -> None:
            ran.append(name)

        return lambda service: service.every(0.05, action, name="turn", singleton=True)

    async with running(a_service(clean, SchedulerSettings, "0"), every_turn("first")):
        await until(lambda: _is(lambda: "first" in ran))
        async with running(a_service(clean, SchedulerSettings, "1"), every_turn("second")):
            turns = len(ran)
            await until(lambda: _is(lambda: len(ran) > turns + 3))
            assert "second" not in ran
    async with running(a_service(clean, SchedulerSettings, "1"), every_turn("second")):
        await until(lambda: _is(lambda: "second" in ran))


async def test_a_service_may_not_publish_under_anothers_name(clean: Addresses) -> None:
    async with running(a_service(clean, NotifierSettings)) as service:
        refusals = refused_publishes()
        await publish(service, a_job("forged"))

        await until_refused(refusals)
        assert await outbox_count(service) == 1
    assert await waiting_in(clean, queue_of("scheduler", JobDue)) == 0


async def _is(condition: Callable[[], bool]) -> bool:
    return condition()


async def _is_async(value: Awaitable[object], expected: object) -> bool:
    return await value == expected


async def _names(service: Service, queue: str) -> bool:
    return any(queue in problem for problem in await service.readiness.look())


async def _declare_again(channel: aio_pika.abc.AbstractChannel, queue: str) -> None:
    from sigmax.runtime.rights import OWNERS, rabbitmq_definitions

    definitions = rabbitmq_definitions(dict.fromkeys((*OWNERS, "sigmax_admin"), "any"))
    arguments = next(entry["arguments"] for entry in definitions["queues"] if entry["name"] == queue)
    declared = await channel.declare_queue(queue, durable=True, arguments=arguments)
    for binding in definitions["bindings"]:
        if binding["destination"] == queue:
            await declared.bind(binding["source"], binding["routing_key"])
