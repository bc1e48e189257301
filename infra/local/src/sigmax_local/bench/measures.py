"""What is measured, and how."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import aio_pika
import asyncpg

from sigmax.domain.approval import client_order_id, sign
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.signals import Signal
from sigmax.schemas.topology import EXCHANGE, SERVICES
from sigmax_local.bench.recordings import swings
from sigmax_local.servers import Addresses
from sigmax_local.testkit.otlp import collecting
from sigmax_local.testkit.platform import Platform, running_platform

TICKS_PER_S = 100
WARM_UP_S = 10
ORDERS_TIMEOUT_S = 180.0
STEADY_S = 2.0
_QUIET_S = 10.0
"""No more ticks for so long means that no more will come."""
_ENGINE_TICKS = "sigmax_strategy_engine_ticks_total"
_SLOW = {
    "ema_cross": '{"fast": 200, "slow": 400}',
    "rsi_reversion": '{"period": 400, "oversold": 30, "overbought": 70}',
    "donchian_breakout": '{"entry": 400, "exit": 400}',
}
_ADD_STRATEGY = """
    WITH added AS (
      INSERT INTO strategy_engine.strategies (strategy_id, kind, version, status, account_id, timeframe_s, instruments,
        params, asks_judgement)
      VALUES ($1, $2, 1, 'active', 'paper', 5, '["*"]', $3::jsonb, false) RETURNING strategy_id, params)
    INSERT INTO strategy_engine.versions (strategy_id, version, params, changed_by)
    SELECT strategy_id, 1, params, 'bench' FROM added
"""
_EMA = '{"ema_cross": {"fast": 2, "slow": 4}}'

_LATENCIES = """
    SELECT extract(epoch FROM sent_at - tick_received_at)::float8 AS seconds, sent_at
    FROM order_worker.orders WHERE strategy_id = 'ema-cross' AND side = 'buy' AND sent_at IS NOT NULL
      AND sent_at > (SELECT min(sent_at) FROM order_worker.orders) + make_interval(secs => $1)
"""
ENTER = """
    INSERT INTO risk_gate.book_orders (client_order_id, account_id, venue, instrument_id, strategy_id, strategy_version,
      action, side, quantity, limit_price, unit_cost, order_type, time_in_force, reduce_only, is_protective,
      submission_at, created_at)
    SELECT client_order_id, account_id, venue, instrument_id, strategy_id, strategy_version, action, side, quantity,
      limit_price, limit_price, order_type, time_in_force, reduce_only, false, occurred_at, occurred_at
    FROM jsonb_to_recordset($1::jsonb) AS approved (client_order_id text, account_id text, venue text,
      instrument_id text, strategy_id text, strategy_version integer, action text, side text, quantity numeric,
      limit_price numeric, order_type text, time_in_force text, reduce_only boolean, occurred_at timestamptz)
"""
"""What risk-gate itself enters with each approval, from a list of them: a fill that it does not know is an alarm."""
_FILLED = """
    SELECT count(*) AS count, min(created_at) AS first, max(updated_at) AS last
    FROM order_worker.orders WHERE status = 'filled'
"""


async def tick_to_order(
    addresses: Addresses, folder: Path, seconds: int, trace_ratio: float = 0
) -> tuple[list[float], dict[str, float]]:
    """Run the stack at 100 ticks/s; give each order's seconds from its tick to its request, and memory by service.

    With a `trace_ratio`, that part of all chains is recorded and sent to a collector beside the stack.
    """
    file = folder / "swings.parquet"
    swings(file, instruments=4, ticks_per_s=TICKS_PER_S, seconds=seconds + WARM_UP_S, period_s=4)
    with collecting() as collector:
        tracing = {"otlp_endpoint": collector.url, "trace_ratio": str(trace_ratio)} if trace_ratio else {}
        settings = {name: dict(tracing) for name in SERVICES}
        settings["strategy-engine"] |= {"seed_timeframe_s": "1", "seed_params": _EMA}
        return await _latencies(addresses, file, seconds, settings)


async def _latencies(
    addresses: Addresses, file: Path, seconds: int, settings: Mapping[str, Mapping[str, str]]
) -> tuple[list[float], dict[str, float]]:
    async with running_platform(addresses, file, settings=settings) as stack:
        await asyncio.sleep(seconds + WARM_UP_S + STEADY_S)
        rows = await stack.rows(_LATENCIES, WARM_UP_S)
        return [row["seconds"] for row in rows], stack.rss_mb()


async def ticks_per_second(addresses: Addresses, folder: Path, ticks: int) -> tuple[float, float]:
    """Replay 1,000 instruments as fast as possible; give ticks/s through the engine, and the part that arrived.

    Six strategies with 10 indicators look at bars of 5 s built from the ticks. Their periods are so long that they do
    not trade: what is measured is the way of the ticks.
    """
    file = folder / "crowd.parquet"
    count = swings(file, instruments=1000, ticks_per_s=5000, seconds=ticks // 5000, period_s=30)
    await _add_slow_strategies(addresses)
    bystanders = ("api-gateway", "notifier", "scheduler", "llm-controller", "order-worker", "paper-venue", "risk-gate")
    async with running_platform(addresses, file, speed=0, without=bystanders) as stack:
        started, before = await _first_ticks(stack)
        seen, last_change = before, time.monotonic()
        while time.monotonic() - last_change < _QUIET_S and seen < count:
            await asyncio.sleep(0.05)
            now_seen = await stack.metric("strategy-engine", _ENGINE_TICKS)
            if now_seen != seen:
                seen, last_change = now_seen, time.monotonic()
        return (seen - before) / (last_change - started), seen / count


async def _add_slow_strategies(addresses: Addresses) -> None:
    connection = await asyncpg.connect(addresses.admin_urls[0])
    try:
        for number in (1, 2):
            for kind, params in _SLOW.items():
                await connection.execute(_ADD_STRATEGY, f"{kind}-{number}", kind, params)
    finally:
        await connection.close()


async def _first_ticks(stack: Platform) -> tuple[float, float]:
    deadline = time.monotonic() + ORDERS_TIMEOUT_S
    while time.monotonic() < deadline:
        if seen := await stack.metric("strategy-engine", _ENGINE_TICKS):
            return time.monotonic(), seen
        await asyncio.sleep(0.02)
    raise RuntimeError("no tick reached the engine")


async def orders_per_second(addresses: Addresses, folder: Path, orders: int) -> float:
    """Approve many orders at once; give how many a second one order-worker gets sent, filled, and into the ledger."""
    file = folder / "many.parquet"
    swings(file, instruments=100, ticks_per_s=200, seconds=3600, period_s=60)
    bystanders = ("strategy-engine", "llm-controller")
    # A stop at rest for each of these positions would be a second order, and another measure.
    settings = {"risk-gate": {"resting_stops": "false"}}
    async with running_platform(addresses, file, without=bystanders, settings=settings) as stack:
        await asyncio.sleep(STEADY_S)
        (known,) = await stack.rows("SELECT count(*) AS count FROM collector.instruments")
        await _approve(addresses, orders, int(known["count"]))
        deadline = time.monotonic() + ORDERS_TIMEOUT_S
        while time.monotonic() < deadline:
            (row,) = await stack.rows(_FILLED)
            if row["count"] >= orders:
                return float(orders / (row["last"] - row["first"]).total_seconds())
            await asyncio.sleep(0.2)
        raise RuntimeError(f"{row['count']} of {orders} orders were filled within {ORDERS_TIMEOUT_S:.0f} s")


async def _approve(addresses: Addresses, orders: int, instruments: int) -> None:
    key = addresses.secrets.get("risk_gate", "approval_key").encode()
    approved_orders = approvals(orders, instruments, key)
    await _enter(addresses, approved_orders)
    connection = await aio_pika.connect(addresses.rabbitmq_url_as("risk_gate"))
    async with connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE, ensure=False)
        await asyncio.gather(
            *(
                exchange.publish(
                    aio_pika.Message(approved.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
                    OrderApproved.TOPIC,
                )
                for approved in approved_orders
            )
        )


async def _enter(addresses: Addresses, approved_orders: Iterable[OrderApproved]) -> None:
    connection = await asyncpg.connect(addresses.admin_urls[0])
    try:
        await connection.execute(ENTER, entries(approved_orders))
    finally:
        await connection.close()


def entries(approved_orders: Iterable[OrderApproved]) -> str:
    """Give approvals as the one value of `ENTER`."""
    return f"[{','.join(each.encode().decode() for each in approved_orders)}]"


def approvals(orders: int, instruments: int, key: bytes, first: int = 0) -> list[OrderApproved]:
    """Give signed approvals of orders that fill at once, spread over the instruments from number `first` on."""
    now = datetime.now(UTC)
    return [sign(_approval(number, number % instruments, now), key) for number in range(first, first + orders)]


def _approval(number: int, instrument: int, now: datetime) -> OrderApproved:
    price = Decimal(100 + instrument)
    envelope = OrderApproved.first(f"bench:{number}:{now.isoformat()}", now)
    signal_id = Signal.first(f"bench:{number}:{now.isoformat()}", now)["message_id"]
    return OrderApproved(
        **envelope,
        client_order_id=client_order_id(signal_id),
        signal_id=signal_id,
        account_id="paper",
        venue="paper",
        mode="paper",
        strategy_id="bench",
        strategy_version=1,
        instrument_id=f"B{instrument:03d}/USDT@replay",
        action="buy",
        side="buy",
        quantity=Decimal(1),
        order_type="limit",
        limit_price=price * 2,
        time_in_force="ioc",
        reference_price=price,
        valid_until=now + timedelta(seconds=ORDERS_TIMEOUT_S),
        tick_received_at=now,
        market_time=now,
        stage="normal",
        checks=(),
    )
