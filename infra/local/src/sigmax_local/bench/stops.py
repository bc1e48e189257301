"""How long a protective stop takes, with no strategy and no model alive: from the tick to the request at the venue.

Prices stand still until every position stands as it should; only then the recording that moves them is played. So
nothing here depends on how fast a machine gets that far.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import aio_pika
import httpx2
import numpy as np
import polars as pl
from prometheus_client.parser import text_string_to_metric_families

from sigmax.schemas.signals import Signal
from sigmax.schemas.topology import EXCHANGE
from sigmax_local.servers import Addresses
from sigmax_local.testkit.platform import Platform, running_platform
from sigmax_local.testkit.service_process import running_service

DEAD = ("strategy-engine", "llm-controller")
"""What need not live for a stop to fire."""
_START_NS = 1_767_225_600_000_000_000
_LATER_NS = 3_600_000_000_000
"""The recording that moves prices comes after the one that does not, in market time too."""
_TICKS_PER_S = 10
"""Of each instrument."""
_CALM_S = 30
"""Of the recording in which prices stand still; it is played again and again."""
_STILL_S = 2.0
_APART_S = 0.5
_AFTER_S = 180.0
_STOP_PCT = Decimal(1)
_TIMEOUT_S = 180.0
FALL = ((0.0, -2.0),)
"""Through a stop at 1 % and its limit."""
RISE = ((0.0, 0.5), (2.0, 1.0), (4.0, 1.5), (6.0, 2.0))
FALL_AFTER_IT = ((-3600.0, 2.0), (0.0, -3.0))
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
    "resting_apart_s_min": 1,
}
"""So wide that every entry passes: what is measured is the way out."""
_PATIENT = {"ladder_gap_floor_s": "600"}
"""Between the two recordings no price comes, and that is not what is measured."""
_READY = "SELECT count(*) FROM risk_gate.accounts WHERE reconciliation_passed"
_LISTED = "SELECT count(*) FROM collector.instruments"
_GUARDED = "SELECT count(*) FROM risk_gate.protections"
STOPPED = "SELECT count(*) FROM risk_gate.stop_outs WHERE kind = 'stop_loss'"
_LATENCIES = """
    SELECT extract(epoch FROM o.sent_at - o.tick_received_at)::float8 AS seconds
    FROM risk_gate.exit_orders AS e JOIN order_worker.orders AS o USING (client_order_id)
    WHERE e.kind = 'stop_loss' AND NOT e.is_resting AND o.sent_at IS NOT NULL ORDER BY o.sent_at
"""
RESTING = "SELECT count(*) FROM paper_venue.orders WHERE type = 'stop_loss_limit' AND status = 'new'"
_FRUITLESS = """
    SELECT v.signal_id FROM risk_gate.verdicts AS v LEFT JOIN order_worker.orders AS o USING (client_order_id)
    WHERE v.outcome = 'denied' OR (o.status IN ('rejected', 'expired', 'canceled', 'unplaced')
      AND NOT EXISTS (SELECT FROM order_worker.fills AS f WHERE f.client_order_id = o.client_order_id))
"""
_DENIALS = (
    "SELECT text, count(*) FROM risk_gate.verdicts WHERE outcome = 'denied' GROUP BY text ORDER BY 2 DESC LIMIT 5"
)
_REPLACED = "SELECT count(*) FROM risk_gate.exit_orders WHERE is_resting AND ended_at IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Naked:
    """How long positions had no stop at the venue while that was replaced."""

    count: int
    mean_s: float
    within_s: float
    """A bound of the histogram that none was above."""


async def stop_latency(addresses: Addresses, folder: Path, stops: int, *, rests: bool = False) -> list[float]:
    """Enter positions, let their prices fall through their stops; give each one's seconds from its tick.

    With `rests`, a stop rests at the venue for each position as well; prices fall through its limit, so that it must be
    canceled, and seen canceled, before the gate sells.
    """
    async with positions(addresses, folder, stops, rests=rests) as stack:
        if rests:
            await until(stack, RESTING, stops)
        async with moving(stack, folder, stops, [FALL]):
            await until(stack, STOPPED, stops)
        return [row["seconds"] for row in await stack.rows(_LATENCIES)]


async def naked_time(addresses: Addresses, folder: Path, count: int) -> Naked:
    """Let prices rise, so that the stops at the venue must follow; give how long positions were without one."""
    async with positions(addresses, folder, count, rests=True, trailing_pct=Decimal(1)) as stack:
        await until(stack, RESTING, count)
        before = await _naked(stack)
        async with moving(stack, folder, count, [RISE]):
            await until(stack, _REPLACED, count)
            await until(stack, RESTING, count)
        after = await _naked(stack)
    found = after[0] - before[0]
    within = next(le for le, number in after[2].items() if number == after[0])
    return Naked(int(found), (after[1] - before[1]) / max(found, 1), within)


@asynccontextmanager
async def positions(
    addresses: Addresses, folder: Path, count: int, *, rests: bool, trailing_pct: Decimal | None = None
) -> AsyncIterator[Platform]:
    """Run the stack over prices that stand still, with so many positions, each of them guarded."""
    file = folder / "calm.parquet"
    recording(file, instruments=count, moves=[()], start_ns=_START_NS, seconds=_CALM_S)
    settings = {
        "risk-gate": {"resting_stops": str(rests).lower(), **_PATIENT},
        "collector": {"replay_loop": "true"},
    }
    async with running_platform(addresses, file, limits=LIMITS, without=DEAD, settings=settings) as stack:
        await enter(stack, count, trailing_pct)
        yield stack


@asynccontextmanager
async def moving(
    stack: Platform, folder: Path, count: int, moves: Sequence[Sequence[tuple[float, float]]], number: int = 1
) -> AsyncIterator[None]:
    """Move the prices, see `recording`, from here on; `number` says which time this is.

    Whoever is interested waits for what that does.
    """
    file = folder / f"moves-{number}.parquet"
    start_ns = _START_NS + number * _LATER_NS
    recording(file, instruments=count, moves=moves, start_ns=start_ns, seconds=_AFTER_S + count * _APART_S)
    if number == 1:
        await stack.services["collector"].stop()
    played = {"source": "replay", "replay_file": str(file), "replay_speed": "1", "replica": str(number)}
    async with running_service(stack.addresses, "collector", **played):
        yield


def recording(
    path: Path, *, instruments: int, moves: Sequence[Sequence[tuple[float, float]]], start_ns: int, seconds: float
) -> None:
    """Write trades of several instruments, which stand still and then move, one instrument after the other.

    A move is a time in seconds and a level in percent of the start; the first instrument has the first of `moves`, and
    so on in turn.
    """
    count = int(seconds * _TICKS_PER_S) * instruments
    index = np.arange(count)
    which = index % instruments
    at_s = index / (_TICKS_PER_S * instruments)
    level = np.zeros(count)
    for number in range(instruments):
        begins_s = _STILL_S + number * _APART_S
        for since_s, pct in moves[number % len(moves)]:
            level[(which == number) & (at_s >= begins_s + since_s)] = pct
    # A cent of movement tells the collector the tick size.
    price = (100.0 + which) * (1 + level / 100) + 0.01 * ((index // instruments) % 2)
    frame = pl.DataFrame(
        {
            "ts": start_ns + (at_s * 1e9).astype(np.int64),
            "symbol": [f"B{number:03d}USDT" for number in which],
            "price": np.round(price, 2),
            "qty": np.full(count, 1000.0),
            "side": ["buy" if number % 2 else "sell" for number in index],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


async def enter(stack: Platform, count: int, trailing_pct: Decimal | None = None) -> None:
    """Buy each instrument once, as a strategy would have, and wait until each position is guarded.

    An entry that came to nothing, denied for a price that a busy machine told too late, is wished for again, as a
    strategy would with the next bar.
    """
    await until(stack, _READY, 1)
    await until(stack, _LISTED, count)
    deadline = time.monotonic() + _TIMEOUT_S
    asked: dict[UUID, int] = {}
    again = list(range(count))
    connection = await aio_pika.connect(stack.addresses.rabbitmq_url_as("strategy_engine"))
    async with connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE, ensure=False)
        while again or await stack.value(_GUARDED) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"not all of {count} positions are there: {await _denials(stack)}")
            for number in again:
                signal = _entry(number, trailing_pct)
                asked[signal.message_id] = number
                body = aio_pika.Message(signal.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await exchange.publish(body, Signal.TOPIC)
            await asyncio.sleep(0.1)
            fruitless = {row["signal_id"] for row in await stack.rows(_FRUITLESS)}
            again = [asked.pop(signal_id) for signal_id in fruitless & asked.keys()]


def _entry(number: int, trailing_pct: Decimal | None) -> Signal:
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
        trailing_pct=trailing_pct,
        reason="a position to be stopped out",
        snapshot_id=envelope["message_id"],
        market_time=now,
        tick_received_at=now,
        valid_until=now + timedelta(seconds=30),
    )


async def until(stack: Platform, sql: str, count: int) -> None:
    """Wait until a count is reached. Raises `RuntimeError` that names the denials when that takes too long."""
    deadline = time.monotonic() + _TIMEOUT_S
    while (found := await stack.value(sql)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {count} within {_TIMEOUT_S:.0f} s: {sql}; {await _denials(stack)}")
        await asyncio.sleep(0.1)


async def _denials(stack: Platform) -> str:
    denials = [f"{row['count']} x {row['text']}" for row in await stack.rows(_DENIALS)]
    return "denied: " + ("; ".join(denials) or "nothing")


async def _naked(stack: Platform) -> tuple[float, float, dict[float, float]]:
    """Give how many naked times were measured, their sum in seconds, and how many were within each bound."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        page = (await client.get(f"{stack.services['risk-gate'].url}/metrics")).text
    families = text_string_to_metric_families(page)
    family = next(each for each in families if each.name == "sigmax_risk_gate_naked_seconds")
    total = {each.name.removeprefix(family.name): each.value for each in family.samples if "le" not in each.labels}
    within = {float(each.labels["le"]): each.value for each in family.samples if "le" in each.labels}
    return total["_count"], total["_sum"], within
