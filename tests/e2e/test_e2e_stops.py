"""A stop fires and fills with no strategy and no model alive, at the venue or in the gate, and never in both."""

from pathlib import Path

import pytest

from sigmax_local.bench.stops import DEAD, LIMITS, STOPPED, enter, falls, stop_latency, until
from sigmax_local.servers import Addresses
from sigmax_local.testkit.platform import running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(240)]

STOPS = 4
RESTING = "SELECT count(*) FROM paper_venue.orders WHERE type = 'stop_loss_limit' AND status = 'new'"
BY_SIDE = """
    SELECT instrument_id, sum(quantity) FILTER (WHERE side = 'buy') AS bought,
      sum(quantity) FILTER (WHERE side = 'sell') AS sold, sum(fee) FILTER (WHERE side = 'buy') AS fee
    FROM order_worker.fills GROUP BY instrument_id
"""
BOTH_SOLD = """
    SELECT count(DISTINCT o.order_type) AS kinds FROM order_worker.fills AS f JOIN order_worker.orders AS o
    USING (client_order_id) WHERE f.side = 'sell' GROUP BY f.instrument_id
"""


async def test_stops_fire_on_ticks_and_fill_with_strategy_engine_and_llm_controller_dead(
    clean: Addresses, tmp_path: Path
) -> None:
    latencies = await stop_latency(clean, tmp_path, STOPS)
    assert len(latencies) >= STOPS
    assert sorted(latencies)[len(latencies) // 2] < 1.0


async def test_stops_that_rest_at_the_venue_and_the_gates_own_sell_each_position_once(
    clean: Addresses, tmp_path: Path
) -> None:
    """Half of the prices fall a little below the stop, where the venue fills; half fall through its limit."""
    file = tmp_path / "falls.parquet"
    falls(file, instruments=STOPS, fall_pcts=(1.2, 2.0))
    resting = {"risk-gate": {"resting_stops": "true"}}
    async with running_platform(clean, file, limits=LIMITS, without=DEAD, settings=resting) as stack:
        await enter(stack, STOPS)
        await until(stack, RESTING, STOPS)
        await until(stack, STOPPED, STOPS)
        for row in await stack.rows(BY_SIDE):
            left = row["bought"] - row["fee"] - row["sold"]
            assert 0 <= left < row["bought"] / 1000, f"{row['instrument_id']} was not sold once"
        kinds = [row["kinds"] for row in await stack.rows(BOTH_SOLD)]
        assert len(kinds) == STOPS
        assert not await stack.rows("SELECT 1 FROM risk_gate.exit_orders WHERE ended_at IS NULL")
