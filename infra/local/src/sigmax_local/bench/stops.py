"""How long a protective stop takes, with no strategy and no model alive: from the tick to the request at the venue."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import aio_pika
import numpy as np
import polars as pl

from sigmax.schemas.signals import Signal
from sigmax.schemas.topology import EXCHANGE
from sigmax_local.servers import Addresses
from sigmax_local.testkit.platform import Platform, running_platform

DEAD = ("strategy-engine", "llm-controller")
"""What need not live for a stop to fire."""
_START_NS = 1_767_225_600_000_000_000
_TICKS_PER_S = 10
"""Of each instrument."""
_CALM_S = 40
"""Prices stand still for so long: every position is entered meanwhile."""
_APART_S = 0.5
_AFTER_S = 20
_STOP_PCT = Decimal(1)
_TIMEOUT_S = 120.0
LIMITS = {
    "posture_positions_max": {"offensive": 1000, "guerrilla": 1000, "defensive": 1000},
    "posture_limit_share_pct": {"offensive": 0, "guerrilla": 0, "defensive": 0},
    "turnover_per_minute_max": "1e9",
    "turnover_per_hour_max": "1e9",
    "turnover_per_day_max": "1e9",
    "account_open_orders_max": 1000,
    "loss_minute_max_pct": "100",
    "loss_day_max_pct": "100",
    "drawdown_max_pct": "100",
}
"""So wide that every entry passes: what is measured is the way out."""
_READY = "SELECT count(*) FROM risk_gate.accounts WHERE reconciliation_passed"
_LISTED = "SELECT count(*) FROM collector.instruments"
_GUARDED = "SELECT count(*) FROM risk_gate.protections"
STOPPED = "SELECT count(*) FROM risk_gate.stop_outs WHERE kind = 'stop_loss'"
_LATENCIES = """
    SELECT extract(epoch FROM o.sent_at - o.tick_received_at)::float8 AS seconds
    FROM risk_gate.exit_orders AS e JOIN order_worker.orders AS o USING (client_order_id)
    WHERE e.kind = 'stop_loss' AND NOT e.is_resting AND o.sent_at IS NOT NULL ORDER BY o.sent_at
"""


async def stop_latency(addresses: Addresses, folder: Path, stops: int, *, rests: bool = False) -> list[float]:
    """Enter positions, let their prices fall through their stops; give each one's seconds from its tick.

    With `rests`, a stop rests at the venue for each position as well; prices fall through its limit, so that it must be
    canceled, and seen canceled, before the gate sells.
    """
    file = folder / "falls.parquet"
    falls(file, instruments=stops)
    settings = {"risk-gate": {"resting_stops": str(rests).lower()}}
    async with running_platform(addresses, file, limits=LIMITS, without=DEAD, settings=settings) as stack:
        await enter(stack, stops)
        await until(stack, STOPPED, stops)
        return [row["seconds"] for row in await stack.rows(_LATENCIES)]


def falls(path: Path, *, instruments: int, fall_pcts: tuple[float, ...] = (2.0,)) -> None:
    """Write trades of several instruments: each stands still, and then falls, one after the other.

    The first falls by the first of `fall_pcts`, and so on in turn.
    """
    seconds = _CALM_S + instruments * _APART_S + _AFTER_S
    count = int(seconds * _TICKS_PER_S) * instruments
    index = np.arange(count)
    which = index % instruments
    at_s = index / (_TICKS_PER_S * instruments)
    start = 100.0 + which
    fallen = start * (1 - np.array(fall_pcts)[which % len(fall_pcts)] / 100)
    # A cent of movement tells the collector the tick size.
    price = np.where(at_s < _CALM_S + which * _APART_S, start, fallen) + 0.01 * ((index // instruments) % 2)
    frame = pl.DataFrame(
        {
            "ts": _START_NS + (at_s * 1e9).astype(np.int64),
            "symbol": [f"B{number:03d}USDT" for number in which],
            "price": np.round(price, 2),
            "qty": np.full(count, 1000.0),
            "side": ["buy" if number % 2 else "sell" for number in index],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


async def enter(stack: Platform, positions: int) -> None:
    """Buy each instrument once, as a strategy would have, and wait until each position is guarded."""
    await until(stack, _READY, 1)
    await until(stack, _LISTED, positions)
    connection = await aio_pika.connect(stack.addresses.rabbitmq_url_as("strategy_engine"))
    async with connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE, ensure=False)
        for number in range(positions):
            body = aio_pika.Message(_entry(number).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await exchange.publish(body, Signal.TOPIC)
    await until(stack, _GUARDED, positions)


def _entry(number: int) -> Signal:
    now = datetime.now(UTC)
    price = Decimal(100 + number)
    envelope = Signal.first(f"stop bench:{number}:{now.isoformat()}", now)
    return Signal(
        **envelope,
        strategy_id=f"bench-{number}",
        strategy_version=1,
        account_id="paper",
        instrument_id=f"B{number:03d}/USDT@replay",
        action="buy",
        strength=Decimal(1),
        reference_price=price,
        stop_pct=_STOP_PCT,
        target_pct=Decimal(50),
        reason="a position to be stopped out",
        snapshot_id=envelope["message_id"],
        market_time=now,
        tick_received_at=now,
        valid_until=now + timedelta(seconds=30),
    )


async def until(stack: Platform, sql: str, count: int) -> None:
    """Wait until a count is reached. Raises `RuntimeError` when that takes too long."""
    deadline = time.monotonic() + _TIMEOUT_S
    while (found := await stack.value(sql)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {count} within {_TIMEOUT_S:.0f} s: {sql}")
        await asyncio.sleep(0.1)
