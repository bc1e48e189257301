"""The floor of tick-to-order: the same hops, written bare.

feed -> Redis stream -> (commit, publish) -> RabbitMQ -> (commit, publish) -> RabbitMQ -> (commit, commit) -> HTTP

Four processes, as in the stack, on the same servers with the same durability: redis-py, asyncpg, aio-pika, and a
socket; no framework, no checks, no decision. What the platform takes on top is what its decisions cost.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any

import aio_pika
import asyncpg
import redis.asyncio

from sigmax_local.ports import LOOPBACK, free_ports

STREAM = "bench.floor"
EXCHANGE = "bench.floor"
QUEUES = ("bench.floor.gate", "bench.floor.worker")
_TABLES = ("bench_signals", "bench_verdicts", "bench_orders")
_BODY = b"x" * 900
"""About the size of an approved order."""
_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_SPARE_S = 20.0

Urls = tuple[str, str, str]
"""Postgres, Redis, RabbitMQ, with a login that may do all."""


def measure(urls: Urls, count: int, per_second: float) -> list[float]:
    """Send `count` ticks down the bare path, `per_second` of them, and give each one's seconds to the HTTP request."""
    asyncio.run(_prepare(urls))
    context = multiprocessing.get_context("spawn")
    arrived: Queue[tuple[int, int]] = context.Queue()
    ready = [context.Event() for _ in range(4)]
    (port,) = free_ports(1)
    parts: list[tuple[Callable[..., Awaitable[None]], tuple[Any, ...]]] = [
        (_venue, (port, arrived)),
        (_worker, (urls, port)),
        (_gate, (urls,)),
        (_engine, (urls,)),
    ]
    processes = [
        context.Process(target=_run, args=(part, arguments, event), daemon=True)
        for (part, arguments), event in zip(parts, ready, strict=True)
    ]
    try:
        for process, event in zip(processes, ready, strict=True):
            process.start()
            if not event.wait(_SPARE_S):
                raise RuntimeError("a part of the floor did not start")
        sent = asyncio.run(_feed(urls, count, per_second))
        seconds = []
        for _ in range(count):
            number, at_ns = arrived.get(timeout=_SPARE_S)
            seconds.append((at_ns - sent[number]) / 1e9)
        return seconds
    finally:
        for process in processes:
            process.terminate()
            process.join(5)
        asyncio.run(_remove(urls))


def _run(part: Callable[..., Awaitable[None]], arguments: tuple[Any, ...], ready: Event) -> None:
    async def main() -> None:
        await part(*arguments, ready)

    asyncio.run(main())


async def _prepare(urls: Urls) -> None:
    await _remove(urls)
    database = await asyncpg.connect(urls[0])
    for table in _TABLES:
        await database.execute(f"CREATE TABLE public.{table} (id bigint PRIMARY KEY, body bytea, state text)")
    await database.close()
    connection = await aio_pika.connect(urls[2])
    channel = await connection.channel()
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    for name in QUEUES:
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(exchange, name)
    await connection.close()


async def _remove(urls: Urls) -> None:
    database = await asyncpg.connect(urls[0])
    for table in _TABLES:
        await database.execute(f"DROP TABLE IF EXISTS public.{table}")
    await database.close()
    cache = redis.asyncio.Redis.from_url(urls[1])
    await cache.delete(STREAM)
    await cache.aclose()
    connection = await aio_pika.connect(urls[2])
    channel = await connection.channel()
    for name in QUEUES:
        await channel.queue_delete(name)
    await channel.exchange_delete(EXCHANGE)
    await connection.close()


async def _feed(urls: Urls, count: int, per_second: float) -> dict[int, int]:
    cache = redis.asyncio.Redis.from_url(urls[1])
    sent = {}
    for number in range(count):
        sent[number] = time.time_ns()
        await cache.xadd(STREAM, {"n": number, "d": _BODY})
        await asyncio.sleep(1 / per_second)
    await cache.aclose()
    return sent


async def _engine(urls: Urls, ready: Event) -> None:
    cache = redis.asyncio.Redis.from_url(urls[1], socket_timeout=10)
    database = await asyncpg.connect(urls[0])
    publish = await _publisher(urls)
    last = b"0"
    ready.set()
    while True:
        for _stream, entries in _streams(await cache.xread({STREAM: last}, count=100, block=1000)):
            for entry_id, fields in entries:
                last = entry_id
                number = int(fields[b"n"])
                async with database.transaction():
                    await database.execute("INSERT INTO public.bench_signals VALUES ($1, $2, 'new')", number, _BODY)
                await publish(QUEUES[0], number)


def _streams(answer: Any) -> list[tuple[bytes, list[Any]]]:
    """Give XREAD's answer alike for both protocols."""
    if isinstance(answer, dict):
        return [(stream, [entry for part in parts for entry in part]) for stream, parts in answer.items()]
    return list(answer or [])


async def _gate(urls: Urls, ready: Event) -> None:
    database = await asyncpg.connect(urls[0])
    publish = await _publisher(urls)

    async def handle(number: int) -> None:
        async with database.transaction():
            await database.execute("INSERT INTO public.bench_verdicts VALUES ($1, $2, 'new')", number, _BODY)
        await publish(QUEUES[1], number)

    await _consume(urls, QUEUES[0], handle, ready)


async def _worker(urls: Urls, port: int, ready: Event) -> None:
    database = await asyncpg.connect(urls[0])
    reader, writer = await asyncio.open_connection(LOOPBACK, port)

    async def handle(number: int) -> None:
        async with database.transaction():
            await database.execute("INSERT INTO public.bench_orders VALUES ($1, $2, 'ready')", number, _BODY)
        async with database.transaction():
            await database.execute("UPDATE public.bench_orders SET state = 'sending' WHERE id = $1", number)
        writer.write(f"POST /order?n={number} HTTP/1.1\r\nHost: venue\r\nContent-Length: 0\r\n\r\n".encode())
        await reader.readexactly(len(_RESPONSE))

    await _consume(urls, QUEUES[1], handle, ready)


async def _venue(port: int, arrived: "Queue[tuple[int, int]]", ready: Event) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            arrived.put((int(head.split(b"n=", 1)[1].split(b" ", 1)[0]), time.time_ns()))
            writer.write(_RESPONSE)

    server = await asyncio.start_server(serve, LOOPBACK, port)
    ready.set()
    await server.serve_forever()


async def _publisher(urls: Urls) -> Callable[[str, int], Awaitable[None]]:
    connection = await aio_pika.connect(urls[2])
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.get_exchange(EXCHANGE, ensure=False)

    async def publish(queue: str, number: int) -> None:
        message = aio_pika.Message(_BODY, message_id=str(number), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, routing_key=queue)

    return publish


async def _consume(urls: Urls, name: str, handle: Callable[[int], Awaitable[None]], ready: Event) -> None:
    connection = await aio_pika.connect(urls[2])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    queue = await channel.get_queue(name, ensure=False)
    async with queue.iterator() as messages:
        ready.set()
        async for message in messages:
            await handle(int(message.message_id or 0))
            await message.ack()
