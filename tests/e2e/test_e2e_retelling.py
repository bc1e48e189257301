"""What was between two services when a backup was taken is told again, and nothing else."""

import asyncio
import csv
import itertools
import time
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from sigmax.runtime.rights import DATABASE
from sigmax.schemas.orders import Fill, OrderApproved, OrderEvent
from sigmax_local.operations.database import OnThisMachine
from sigmax_local.operations.retelling import retell
from sigmax_local.servers import Addresses
from sigmax_local.testkit.platform import Platform, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(480)]

_START_NS = 1_767_605_400_000_000_000
_TICKS_PER_S = 20
_FAST = {"strategy-engine": {"seed_timeframe_s": "1", "seed_params": '{"ema_cross": {"fast": 2, "slow": 4}}'}}
_UNHEARD = (
    # Each message is unheard by one of its readers, which is enough.
    (OrderApproved, "order_worker", "SELECT message_id FROM order_worker.inbox WHERE topic = $1 LIMIT 1"),
    (
        OrderEvent,
        "risk_gate",
        # The newest of its order: an older one has nothing to say any more.
        "SELECT i.message_id FROM risk_gate.inbox i WHERE i.topic = $1 ORDER BY received_at DESC LIMIT 1",
    ),
    (Fill, "strategy_engine", "SELECT message_id FROM strategy_engine.inbox WHERE topic = $1 LIMIT 1"),
)


async def test_what_a_reader_has_not_heard_is_told_again_once(clean: Addresses, tmp_path: Path) -> None:
    if not (clean.folder / "postgres" / "data").exists():
        pytest.skip("PostgreSQL's programs are not beside servers in containers")
    async with running_platform(clean, _recording(tmp_path / "trades.csv"), settings=_FAST) as platform:
        await platform.sign_in()
        await _until_filled(platform, 3)
        await platform.services["collector"].stop()
        await _until_quiet(platform)
    place = OnThisMachine(clean)

    async with asyncio.timeout(60):
        while set(retell(place, DATABASE).values()) != {0}:
            await asyncio.sleep(1)

    connection = await asyncpg.connect(clean.admin_urls[0])
    try:
        expected: dict[str, set[UUID]] = {}
        for kind, reader, sql in _UNHEARD:
            message_id = await connection.fetchval(sql, kind.TOPIC)
            await connection.execute(f"DELETE FROM {reader}.inbox WHERE message_id = $1", message_id)
            expected[kind.TOPIC] = {message_id}

        assert retell(place, DATABASE) == dict.fromkeys(expected, 1)

        rows = await connection.fetch(
            "SELECT topic, message_id, body FROM risk_gate.outbox"
            " UNION ALL SELECT topic, message_id, body FROM order_worker.outbox"
        )
        assert {row["topic"]: {row["message_id"]} for row in rows} == expected
        for row, kind in itertools.product(rows, (OrderApproved, OrderEvent, Fill)):
            if row["topic"] == kind.TOPIC:
                assert kind.decode(row["body"]).message_id == row["message_id"]
        assert set(retell(place, DATABASE).values()) == {0}, "what waits in an outbox is told already"
    finally:
        await connection.close()


def _recording(path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "symbol", "price", "qty", "side"])
        for number in range(120 * _TICKS_PER_S):
            price = (99.5, 99.5, 100.5, 100.5)[number // _TICKS_PER_S % 4] + 0.01 * (number % 3)
            ts = _START_NS + number * (1_000_000_000 // _TICKS_PER_S)
            writer.writerow([ts, "BTCUSDT", f"{price:.2f}", "50", "buy" if number % 2 else "sell"])
    return path


async def _until_filled(platform: Platform, orders: int) -> None:
    await _until(platform, f"SELECT count(*) >= {orders} FROM order_worker.orders WHERE status = 'filled'")


async def _until_quiet(platform: Platform) -> None:
    busy = "SELECT 1 FROM order_worker.orders WHERE submission IN ('ready', 'sending', 'unknown')"
    told = " AND ".join(f"NOT EXISTS (SELECT FROM {one}.outbox)" for one in ("order_worker", "risk_gate"))
    heard = (
        "(SELECT count(*) FROM strategy_engine.inbox WHERE topic = 'order_worker.fill.v1')"
        " = (SELECT count(*) FROM order_worker.fills)"
    )
    await _until(platform, f"SELECT NOT EXISTS ({busy}) AND {told} AND {heard}")


async def _until(platform: Platform, sql: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if await platform.value(sql):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within 90 s: {sql}")
