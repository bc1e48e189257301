"""A stop fires and fills with no strategy and no model alive, at the venue or in the gate, and never in both."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from sigmax_local.bench.stops import FALL, FALL_AFTER_IT, RESTING, RISE, STOPPED, moving, positions, until
from sigmax_local.servers import Addresses
from sigmax_local.testkit.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(900)]

STOPS = 4
BY_SIDE = """
    SELECT instrument_id, sum(quantity) FILTER (WHERE side = 'buy') AS bought,
      sum(quantity) FILTER (WHERE side = 'sell') AS sold, sum(fee) FILTER (WHERE side = 'buy') AS fee
    FROM order_worker.fills GROUP BY instrument_id
"""
SOLD_BY = """
    SELECT o.order_type, count(DISTINCT f.instrument_id) AS instruments FROM order_worker.fills AS f
    JOIN order_worker.orders AS o USING (client_order_id) WHERE f.side = 'sell' GROUP BY o.order_type
"""
FACTS = """
    SELECT p.instrument_id, p.state, p.exit_kind, p.exit_price, p.stop_price, o.tick_received_at,
      v.created_at AS decided_at, o.sent_at, f.executed_at
    FROM risk_gate.protections AS p JOIN risk_gate.exit_orders AS e USING (protection_id)
    JOIN risk_gate.verdicts AS v USING (client_order_id) JOIN order_worker.orders AS o USING (client_order_id)
    JOIN order_worker.fills AS f USING (client_order_id) WHERE NOT e.is_resting
"""
RESTED = """
    SELECT p.instrument_id, e.trigger_price, e.created_at, e.ended_at
    FROM risk_gate.protections AS p JOIN risk_gate.exit_orders AS e USING (protection_id)
    WHERE e.is_resting ORDER BY p.instrument_id, e.created_at
"""
REPLACED = """
    SELECT count(DISTINCT protection_id) FROM risk_gate.exit_orders AS e JOIN order_worker.orders AS o
    USING (client_order_id) WHERE e.is_resting AND e.ended_at IS NULL AND o.submission = 'acked' AND EXISTS (
      SELECT FROM risk_gate.exit_orders AS b WHERE b.protection_id = e.protection_id AND b.is_resting
        AND b.trigger_price < e.trigger_price AND b.ended_at < e.created_at)
"""
CLOSED = "SELECT count(*) FROM risk_gate.stop_outs"
OTHERS_SAID = "SELECT (SELECT count(*) FROM strategy_engine.signals) + (SELECT count(*) FROM llm_controller.decisions)"
LEFT_OPEN = "SELECT client_order_id FROM risk_gate.exit_orders WHERE ended_at IS NULL"


async def each_was_sold_once(stack: Platform) -> None:
    rows = await stack.rows(BY_SIDE)
    assert len(rows) == STOPS
    for row in rows:
        left = row["bought"] - row["fee"] - row["sold"]
        assert 0 <= left < row["bought"] / 1000, f"{row['instrument_id']} was not sold once"
    await until(stack, f"SELECT count(*) FROM (SELECT 1 WHERE NOT EXISTS ({LEFT_OPEN})) AS none_left", 1)


async def test_stops_fire_on_ticks_and_fill_with_strategy_engine_and_llm_controller_dead(
    clean: Addresses, tmp_path: Path
) -> None:
    """How long that takes is a line of the bench; here it is told in which order it happened."""
    async with positions(clean, tmp_path, STOPS, rests=False) as stack:
        async with moving(stack, tmp_path, STOPS, [FALL]):
            await until(stack, STOPPED, STOPS)
        await each_was_sold_once(stack)
        facts = await stack.rows(FACTS)
        assert len({row["instrument_id"] for row in facts}) == STOPS
        for row in facts:
            assert (row["state"], row["exit_kind"]) == ("closed", "stop_loss")
            assert row["exit_price"] <= row["stop_price"]
            assert row["tick_received_at"] <= row["decided_at"] <= row["sent_at"]
            # The venue tells whole milliseconds.
            assert row["executed_at"] >= row["sent_at"].replace(microsecond=row["sent_at"].microsecond // 1000 * 1000)
        assert await stack.value(OTHERS_SAID) == 0


async def test_stops_that_rest_at_the_venue_and_the_gates_own_sell_each_position_once(
    clean: Addresses, tmp_path: Path
) -> None:
    """Half of the prices fall a little below the stop, where the venue fills; half fall through its limit."""
    async with positions(clean, tmp_path, STOPS, rests=True) as stack:
        await until(stack, RESTING, STOPS)
        async with moving(stack, tmp_path, STOPS, [((0.0, -1.2),), FALL]):
            await until(stack, STOPPED, STOPS)
        await each_was_sold_once(stack)
        sold = {row["order_type"]: row["instruments"] for row in await stack.rows(SOLD_BY)}
        assert sold.get("stop_limit", 0) + sold.get("limit", 0) >= STOPS
        assert sold.get("limit", 0) >= STOPS / 2, "what falls through the limit is the gate's to sell"


async def test_a_stop_at_the_venue_follows_a_rising_price_and_there_are_never_two(
    clean: Addresses, tmp_path: Path
) -> None:
    async with positions(clean, tmp_path, STOPS, rests=True, trailing_pct=Decimal(1)) as stack:
        await until(stack, RESTING, STOPS)
        async with moving(stack, tmp_path, STOPS, [RISE]):
            await until(stack, REPLACED, STOPS)
        async with moving(stack, tmp_path, STOPS, [FALL_AFTER_IT], number=2):
            await until(stack, CLOSED, STOPS)
        await each_was_sold_once(stack)
        rested = await stack.rows(RESTED)
        for before, after in pairwise(rested):
            if before["instrument_id"] == after["instrument_id"]:
                assert before["ended_at"] <= after["created_at"]
                assert before["trigger_price"] < after["trigger_price"]
