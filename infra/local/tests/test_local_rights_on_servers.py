"""The rights that topology.py promises, tried on the real servers."""

import aio_pika
import asyncpg
import pytest
import redis.asyncio
from aiormq.exceptions import ChannelAccessRefused
from redis.exceptions import NoPermissionError

from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration


async def test_a_service_publishes_its_own_topics_and_no_other(clean: Addresses) -> None:
    connection = await aio_pika.connect(clean.rabbitmq_url_as("risk_gate"))
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange("sigmax")
        await exchange.publish(aio_pika.Message(b"{}"), "risk_gate.order_approved.v1")
        with pytest.raises(ChannelAccessRefused):
            await exchange.publish(aio_pika.Message(b"{}"), "order_worker.fill.v1")


async def test_nobody_writes_past_the_exchange_to_a_queue(clean: Addresses) -> None:
    connection = await aio_pika.connect(clean.rabbitmq_url_as("llm_controller"))
    async with connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await channel.default_exchange.publish(aio_pika.Message(b"{}"), "order_worker.order_approved.v1")


async def test_a_service_cannot_read_the_queue_of_another(clean: Addresses) -> None:
    connection = await aio_pika.connect(clean.rabbitmq_url_as("strategy_engine"))
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue("order_worker.order_approved.v1")
        with pytest.raises(ChannelAccessRefused):
            await queue.get(fail=False)


async def test_a_service_declares_nothing(clean: Addresses) -> None:
    connection = await aio_pika.connect(clean.rabbitmq_url_as("risk_gate"))
    async with connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_queue("risk_gate.of_my_own")


async def test_only_the_collector_writes_market_data(clean: Addresses) -> None:
    async with redis.asyncio.Redis.from_url(clean.redis_url_as("collector")) as collector:
        await collector.hset("md.latest", "BTC/USDT@x", b"q")
    async with redis.asyncio.Redis.from_url(clean.redis_url_as("risk_gate")) as gate:
        assert await gate.hget("md.latest", "BTC/USDT@x") == b"q"
        with pytest.raises(NoPermissionError):
            await gate.hset("md.latest", "BTC/USDT@x", b"other")
        with pytest.raises(NoPermissionError):
            await gate.xadd("md.ticks.0", {"d": b"x"})
        await gate.xadd("ops.heartbeats", {"d": b"x"})
        with pytest.raises(NoPermissionError):
            await gate.xrange("ops.heartbeats")


async def test_nobody_gets_into_redis_without_a_name(clean: Addresses) -> None:
    async with redis.asyncio.Redis.from_url(clean.redis_url) as stranger:
        with pytest.raises(redis.exceptions.AuthenticationError):
            await stranger.ping()


async def test_a_role_owns_nothing_and_sees_no_other_schema(clean: Addresses) -> None:
    connection = await asyncpg.connect(clean.database_url_as("notifier"))
    try:
        for statement in ("CREATE TABLE own (id int)", "SELECT * FROM scheduler.outbox", "CREATE SCHEMA s"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_gateway_reads_every_schema_and_writes_none_but_its_own(clean: Addresses) -> None:
    connection = await asyncpg.connect(clean.database_url_as("api_gateway"))
    try:
        assert await connection.fetch("SELECT * FROM scheduler.outbox") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM scheduler.outbox")
    finally:
        await connection.close()


async def test_nobody_gets_into_postgres_with_a_wrong_password(clean: Addresses) -> None:
    url = clean.database_url_as("notifier").replace("postgresql://notifier:", "postgresql://notifier:wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)
