"""Orders per second and the slowest orders with 1, 2, and 4 order-workers, at a venue that answers after 50 ms."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigmax_local.bench import measures
from sigmax_local.bench.recordings import swings
from sigmax_local.chaos.load.judging import quantiles
from sigmax_local.chaos.matrix.gate import Gate, open_gate
from sigmax_local.servers import Addresses
from sigmax_local.testkit.platform import Platform, running_platform

WORKERS = (1, 2, 4)
ANSWER_S = 0.05
STEADY_PER_S = 20
STEADY_S = 15
_INSTRUMENTS = 100
_BYSTANDERS = ("strategy-engine", "llm-controller", "risk-gate", "api-gateway", "notifier", "scheduler")
"""Approvals come from the measure itself: what risk-gate did not approve, it would halt."""
_TIMEOUT_S = 180.0
_POLL_S = 0.2
_KNOWN_S = 60.0
_PASSED = """
    SELECT count(*) AS count, min(created_at) AS first, max(updated_at) AS last
    FROM order_worker.orders WHERE status = 'filled' AND order_id > $1
"""
_LATENCIES = """
    SELECT extract(epoch FROM acked_at - approved_at)::float8 AS seconds FROM order_worker.orders
    WHERE order_id > $1 AND acked_at IS NOT NULL
"""


@dataclass(frozen=True)
class Scale:
    """What so many workers do."""

    workers: int
    orders_per_s: float
    """Of a burst, until the last one is filled and booked."""
    p50_ms: float
    """From the approval to the venue's acceptance, at a steady pace."""
    p99_ms: float


async def scale(addresses: Addresses, folder: Path, workers: int, orders: int) -> Scale:
    """Send a burst of orders, then a steady stream, through so many workers. Raises `RuntimeError` when they stall."""
    file = folder / f"scaling-{workers}.parquet"
    swings(file, instruments=_INSTRUMENTS, ticks_per_s=200, seconds=3600, period_s=60)
    async with running_platform(addresses, file, workers=workers, without=_BYSTANDERS) as stack:
        venue = stack.services["paper-venue"]
        async with open_gate(addresses, f"scaling:{workers}", venue.url) as gate:
            await _until_known(stack)
            await gate.fault(kind="delay", method="POST", path="/api/v3/order", delay_s=ANSWER_S)
            rate = await _burst(stack, gate, orders)
            latencies = await _steady(stack, gate)
    return Scale(workers, round(rate, 1), latencies["p50"], latencies["p99"])


async def _until_known(stack: Platform) -> None:
    async with asyncio.timeout(_KNOWN_S):
        # The venue is another process, which tells nobody when it has seen its first trades.
        while await stack.value("SELECT count(*) FROM paper_venue.markets") < _INSTRUMENTS:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
    await asyncio.sleep(measures.STEADY_S)


async def _burst(stack: Platform, gate: Gate, orders: int) -> float:
    key = stack.addresses.secrets.get("risk_gate", "approval_key").encode()
    await asyncio.gather(*(gate.say(each) for each in measures.approvals(orders, _INSTRUMENTS, key)))
    row = await _passed(stack, 0, orders)
    return float(orders / (row["last"] - row["first"]).total_seconds())


async def _steady(stack: Platform, gate: Gate) -> dict[str, float]:
    before = await stack.value("SELECT max(order_id) FROM order_worker.orders")
    key = stack.addresses.secrets.get("risk_gate", "approval_key").encode()
    loop = asyncio.get_running_loop()
    started, orders = loop.time(), STEADY_PER_S * STEADY_S
    for number in range(orders):
        await asyncio.sleep(max(0.0, started + number / STEADY_PER_S - loop.time()))
        (approved,) = measures.approvals(1, _INSTRUMENTS, key, first=number)
        await gate.say(approved)
    await _passed(stack, before, orders)
    return quantiles([row["seconds"] for row in await stack.rows(_LATENCIES, before)])


async def _passed(stack: Platform, after: int, orders: int) -> dict[str, Any]:
    deadline = asyncio.get_running_loop().time() + _TIMEOUT_S
    while True:
        (row,) = await stack.rows(_PASSED, after)
        if row["count"] >= orders:
            return dict(row)
        if asyncio.get_running_loop().time() > deadline:
            raise RuntimeError(f"{row['count']} of {orders} orders were filled within {_TIMEOUT_S:.0f} s")
        await asyncio.sleep(_POLL_S)
