"""The same measures through the containers, over the same recordings: what the gateway tells, and no other look."""

import asyncio
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.topology import EXCHANGE
from sigmax_local.bench.measures import (
    ENTER,
    ORDERS_TIMEOUT_S,
    STEADY_S,
    TICKS_PER_S,
    WARM_UP_S,
    approvals,
)
from sigmax_local.bench.recordings import swings
from sigmax_local.compose import Compose, ComposeError
from sigmax_local.environment import repository
from sigmax_local.servers.containers import set_variables
from sigmax_local.testkit.container_stack import ContainerStack, engine_problem

PROJECT = "sigmax-bench"
_INSTRUMENTS = 100
_PAGE = "200"
_POLL_S = 0.2
_PUBLISH = """
import asyncio, os, sys
from pathlib import Path
import aio_pika, asyncpg
from sigmax.runtime.rabbitmq import amqp_url

def secret(name):
    return Path(f"/run/secrets/{name}").read_text().strip()

async def main():
    exchange_name, topic, enter = sys.argv[1:]
    bodies = sys.stdin.buffer.read().splitlines()
    login = {"user": "risk_gate", "password": secret("database_password")}
    books = await asyncpg.connect(os.environ["SIGMAX_DATABASE_URL"], **login)
    await books.execute(enter, "[" + ",".join(body.decode() for body in bodies) + "]")
    await books.close()
    url = amqp_url(os.environ["SIGMAX_RABBITMQ_URL"], "risk_gate", secret("rabbitmq_password"))
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(exchange_name, ensure=False)
        persistent = aio_pika.DeliveryMode.PERSISTENT
        await asyncio.gather(
            *(exchange.publish(aio_pika.Message(body, delivery_mode=persistent), topic) for body in bodies)
        )

asyncio.run(main())
"""
"""Runs inside of risk-gate's container, whose login alone may enter approvals and publish them."""


def problem() -> str | None:
    """Say why the containers cannot be measured here; None when they can."""
    if found := engine_problem():
        return found
    folder = repository()
    project = Compose(folder, folder / ".env")
    try:
        project.engine("image", "inspect", f"sigmax/deploy:{project.variable('SIGMAX_VERSION', '0.1.0')}")
    except ComposeError:
        return "the images are not built: make images, or make images-airgap"
    return None


async def measure(seconds: int, orders: int) -> tuple[list[float], float]:
    """Give each order's seconds from its tick to its request, and orders per second of one order-worker."""
    stack = ContainerStack(PROJECT, repository() / ".sigmax" / PROJECT)
    swinging = {"SIGMAX_REPLAY_FILE": "/recordings/swings.parquet", "SIGMAX_REPLAY_LOOP": "false"}
    stack.prepare(swinging)
    # Another user reads them: the container's.
    for name, values in (
        ("swings", {"instruments": 4, "ticks_per_s": TICKS_PER_S, "seconds": seconds + WARM_UP_S, "period_s": 4}),
        ("many", {"instruments": _INSTRUMENTS, "ticks_per_s": 200, "seconds": 3600, "period_s": 60}),
    ):
        swings(stack.recordings / f"{name}.parquet", **values)
    try:
        await stack.start()
        await asyncio.sleep(seconds + WARM_UP_S + STEADY_S)
        latencies = await _latencies(stack)
        return latencies, await _orders_per_second(stack, orders)
    finally:
        stack.remove()


async def _latencies(stack: ContainerStack) -> list[float]:
    sent = []
    async for order in _orders(stack):
        if order["sent_at"]:
            times = (datetime.fromisoformat(order[name]) for name in ("sent_at", "tick_received_at"))
            sent.append((order["strategy_id"], *times))
    steady = min(at for _, at, _ in sent) + timedelta(seconds=WARM_UP_S)
    return [(at - tick).total_seconds() for strategy, at, tick in sent if strategy == "ema-cross" and at > steady]


async def _orders(stack: ContainerStack) -> Any:
    cursor: dict[str, str] = {}
    while True:
        page = await stack.get("/orders", limit=_PAGE, **cursor)
        for order in page["items"]:
            yield order
        if not page["next_cursor"]:
            return
        cursor = {"cursor": page["next_cursor"]}


async def _orders_per_second(stack: ContainerStack, orders: int) -> float:
    await stack.on_host("stop", "strategy-engine", "llm-controller")
    set_variables(stack.compose.env_file, {"SIGMAX_REPLAY_FILE": "/recordings/many.parquet"})
    await stack.up("--no-deps", "collector")

    async def all_priced() -> bool:
        quotes = await stack.get("/market/latest")
        return len([quote for quote in quotes if quote["instrument_id"].startswith("B")]) >= _INSTRUMENTS

    await stack.until(all_priced, "a price of every instrument")
    await asyncio.sleep(STEADY_S)
    key = (stack.compose.secrets / "risk_gate" / "approval_key").read_text(encoding="utf-8").strip()
    bodies = b"\n".join(one.encode() for one in approvals(orders, _INSTRUMENTS, key.encode()))
    published_at = datetime.now(UTC)
    words = ("exec", "-T", "risk-gate", "python", "-c", _PUBLISH, EXCHANGE, OrderApproved.TOPIC, ENTER)
    await asyncio.to_thread(
        subprocess.run, stack.compose.words(*words), input=bodies, env=dict(stack.compose.environment), check=True
    )
    # The lists are long: they are read once, when the count says that all is done.
    deadline = time.monotonic() + ORDERS_TIMEOUT_S
    while (filled := (await stack.figures(published_at))["orders"].get("filled", 0)) < orders:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{filled} of {orders} orders were filled within {ORDERS_TIMEOUT_S:.0f} s")
        await asyncio.sleep(_POLL_S)
    times = [
        (datetime.fromisoformat(order["created_at"]), datetime.fromisoformat(order["updated_at"]))
        async for order in _orders(stack)
        if order["strategy_id"] == "bench"
    ]
    return orders / (max(ended for _, ended in times) - min(began for began, _ in times)).total_seconds()
