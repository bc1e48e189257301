"""From a tick to a fill through nine processes, as their users see it."""

import asyncio
import csv
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sigmax_local.servers import Addresses
from sigmax_local.testkit.container_stack import write_recording
from sigmax_local.testkit.platform import Platform, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(480)]

START_NS = 1_767_605_400_000_000_000
TICKS_PER_S = 20
INSTRUMENT = "BTC/USDT@replay"
FAST = {"strategy-engine": {"seed_timeframe_s": "1", "seed_params": '{"ema_cross": {"fast": 2, "slow": 4}}'}}

FILLED = "SELECT count(*) FROM order_worker.orders WHERE status = 'filled'"
IN_FLIGHT = "SELECT count(*) FROM order_worker.orders WHERE submission IN ('sending', 'unknown')"
LAST_SENT = "SELECT max(sent_at) FROM order_worker.orders"
WORKING = "SELECT count(*) FROM order_worker.orders WHERE submission IN ('ready', 'sending', 'unknown')"


def trades(path: Path, price_by_second: Sequence[float]) -> Path:
    """Write 20 trades for each second of market time, around that second's price."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "symbol", "price", "qty", "side"])
        for number in range(len(price_by_second) * TICKS_PER_S):
            ts = START_NS + number * (1_000_000_000 // TICKS_PER_S)
            # A cent of movement, which also tells the collector the tick size.
            price = price_by_second[number // TICKS_PER_S] + 0.01 * (number % 3)
            writer.writerow([ts, "BTCUSDT", f"{price:.2f}", "50", "buy" if number % 2 else "sell"])
    return path


def swinging(seconds: int) -> list[float]:
    """Give prices that cross their own average twice in four seconds."""
    return list(itertools.islice(itertools.cycle([99.5, 99.5, 100.5, 100.5]), seconds))


async def until(condition: Callable[[], Awaitable[Any]], what: str, within_s: float = 150) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := await condition():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {within_s:.0f} s: {what}")


async def books_are_right(platform: Platform) -> None:
    """Hold every order, fill, position, and ledger entry against the venue's own books."""
    ours = await platform.rows(
        "SELECT execution_id, client_order_id, price, quantity FROM order_worker.fills ORDER BY 1"
    )
    venue = await platform.rows(
        "SELECT symbol || '-' || trade_id, client_order_id, price, qty FROM paper_venue.trades ORDER BY 1"
    )
    assert [tuple(row) for row in ours] == [tuple(row) for row in venue], "a fill was lost or doubled"
    doubled = await platform.rows(
        "SELECT client_order_id FROM paper_venue.orders GROUP BY client_order_id HAVING count(*) > 1"
    )
    assert not doubled, "an order was sent twice"
    unbalanced = await platform.rows(
        "SELECT transaction_id, asset FROM order_worker.ledger_entries GROUP BY 1, 2 HAVING sum(amount) <> 0"
    )
    assert not unbalanced, "the ledger does not sum to zero"
    held = await platform.value("SELECT coalesce(sum(quantity), 0) FROM order_worker.positions")
    summed = await platform.value(
        "SELECT coalesce(sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END"
        " - CASE WHEN fee_currency = split_part(instrument_id, '/', 1) THEN fee ELSE 0 END), 0) FROM order_worker.fills"
    )
    assert held == summed, "the position is not the sum of the fills"


async def test_a_tick_sequence_that_must_trade_does_and_each_fill_says_why(clean: Addresses, tmp_path: Path) -> None:
    # Flat, up, down: one crossing up buys, one crossing down closes.
    recording = trades(tmp_path / "trades.csv", [100.0] * 10 + [101.0] * 8 + [99.0] * 30)
    async with running_platform(clean, recording, settings=FAST) as platform:
        await platform.sign_in()

        async def bought_and_sold() -> bool:
            sides = await platform.rows("SELECT DISTINCT side FROM order_worker.fills WHERE strategy_id = 'ema-cross'")
            return {row["side"] for row in sides} == {"buy", "sell"}

        await until(bought_and_sold, "ema-cross bought and sold")
        await until(lambda: _none(platform, WORKING), "all orders are done")
        await until(lambda: _none(platform, "SELECT count(*) FROM order_worker.outbox"), "all is told")

        fills = (await platform.get("/fills"))["items"]
        why = await platform.get(f"/why/{fills[-1]['execution_id']}")
        assert why["fill"]["execution_id"] == fills[-1]["execution_id"]
        assert why["signal"]["features"]
        assert why["verdict"]["checks"]
        assert why["order"]["client_order_id"] == fills[-1]["client_order_id"]
        positions = await platform.get("/positions")
        assert [position["instrument_id"] for position in positions] == [INSTRUMENT]
        assert await platform.get("/accounts")
        await books_are_right(platform)


async def test_a_judged_signal_is_traded_with_a_decision_that_says_who_judged(clean: Addresses, tmp_path: Path) -> None:
    # A long fall and a sharp rise: the RSI leaves oversold, which asks for judgement before it buys.
    falling = [100 - 0.2 * step for step in range(25)]
    recording = trades(tmp_path / "trades.csv", [*falling, *[falling[-1] + 0.4 * step for step in range(40)]])
    async with running_platform(clean, recording, settings=FAST) as platform:
        await platform.sign_in()
        await until(
            lambda: platform.value("SELECT count(*) FROM order_worker.fills WHERE strategy_id = 'rsi-reversion'"),
            "rsi-reversion bought",
        )

        (decision, *_) = (await platform.get("/decisions"))["items"]
        assert decision["policy"] == "local"
        assert decision["verdict"] == "approve"


async def test_a_tick_sequence_that_must_be_denied_is_and_says_the_numbers(clean: Addresses, tmp_path: Path) -> None:
    recording = trades(tmp_path / "trades.csv", swinging(60))
    restricted = {"instruments_restricted": [INSTRUMENT]}
    async with running_platform(clean, recording, limits=restricted, settings=FAST) as platform:
        await platform.sign_in()
        await until(lambda: platform.value("SELECT count(*) FROM risk_gate.verdicts"), "a verdict")

        verdicts = (await platform.get("/verdicts"))["items"]
        assert {verdict["outcome"] for verdict in verdicts} == {"denied"}
        assert verdicts[0]["code"] == "instrument_not_tradable"
        assert verdicts[0]["text"]
        assert await platform.value("SELECT count(*) FROM order_worker.orders") == 0
        assert await platform.value("SELECT count(*) FROM paper_venue.orders") == 0


async def test_a_halt_stops_sending_within_a_second_and_resume_lets_it_go_on(clean: Addresses, tmp_path: Path) -> None:
    recording = trades(tmp_path / "trades.csv", swinging(180))
    async with running_platform(clean, recording, settings=FAST) as platform:
        await platform.sign_in()
        await until(lambda: platform.value(FILLED), "an order was filled")
        halted_at = await platform.value("SELECT clock_timestamp()")

        await platform.command("/risk/halt", {"reason": "a drill"})

        denials = "SELECT count(*) FROM risk_gate.verdicts WHERE code = 'kill_switch_on'"
        await until(lambda: platform.value(denials), "signals are denied because trading is halted")
        last_sent = await platform.value("SELECT max(sent_at) FROM order_worker.orders")
        assert last_sent < halted_at + timedelta(seconds=1)

        await platform.resume("the drill is over")

        await until(
            lambda: platform.value("SELECT count(*) FROM order_worker.orders WHERE sent_at > $1", last_sent),
            "trading goes on",
        )


async def test_a_halt_with_four_busy_workers_lets_nothing_leave_after_a_second(
    clean: Addresses, tmp_path: Path
) -> None:
    recording = write_recording(tmp_path / "trades.csv", seconds=240)
    async with running_platform(clean, recording, workers=4, settings=FAST) as platform:
        await platform.sign_in()
        await _fault(platform, {"kind": "delay", "method": "POST", "path": "/api/v3/order", "delay_s": 0.3})
        busy = "SELECT count(DISTINCT worker) FROM order_worker.orders WHERE sent_at > now() - interval '30 seconds'"
        await until(lambda: _more(platform, busy, 3), "all four workers send", within_s=120)
        await until(lambda: _more(platform, IN_FLIGHT, 1), "several requests are in flight")

        slowness = await _slowness(platform)
        asked = await platform.command("/risk/halt", {"reason": "a drill"})

        denials = "SELECT count(*) FROM risk_gate.verdicts WHERE code = 'kill_switch_on'"
        await until(lambda: platform.value(denials), "signals are denied because trading is halted")
        await until(lambda: _none(platform, IN_FLIGHT), "what was in flight is known")
        last_sent = await platform.value(LAST_SENT)
        took = last_sent - datetime.fromisoformat(asked["requested_at"])
        print(f"From the halt to the last send: {took.total_seconds() * 1000:.0f} ms")
        assert took < timedelta(seconds=1) + slowness
        working = "SELECT count(*) FROM paper_venue.orders WHERE status IN ('new', 'partially_filled')"
        await until(lambda: _none(platform, working), "nothing rests at the venue")
        await until(lambda: _same(platform), "all fills are known")
        await books_are_right(platform)
        assert await platform.value(LAST_SENT) == last_sent, "something left after the halt"


async def test_a_killed_workers_order_is_finished_by_another(clean: Addresses, tmp_path: Path) -> None:
    recording = trades(tmp_path / "trades.csv", swinging(180))
    async with running_platform(clean, recording, workers=2, settings=FAST) as platform:
        await until(lambda: platform.value(FILLED), "an order was filled")
        await _delay_answers(platform, 2)
        # Only what the venue has: a worker that dies before it has written the request leaves nothing to be finished.
        taken = (
            "SELECT client_order_id, worker FROM order_worker.orders JOIN paper_venue.orders USING (client_order_id)"
            " WHERE submission = 'sending' AND order_type = 'limit' LIMIT 1"
        )
        (order,) = await until(lambda: platform.rows(taken), "the venue has an order and has not said so")
        name = next(name for name in platform.services if name == f"order-worker-{_replica(order['worker'])}")

        await platform.services[name].kill()
        await _delay_answers(platform, 0)

        # The price may have moved on meanwhile: then the venue has let it expire, or it rests there.
        finished = (
            "SELECT count(*) FROM order_worker.orders WHERE client_order_id = $1 AND submission = 'acked'"
            " AND status IN ('new', 'partially_filled', 'filled', 'expired', 'canceled')"
        )
        await until(lambda: platform.value(finished, order["client_order_id"]), "the other worker finished the order")
        asked = "SELECT count(*) FROM paper_venue.orders WHERE client_order_id = $1"
        assert await platform.value(asked, order["client_order_id"]) == 1
        before = await platform.value(FILLED)
        await until(lambda: _more(platform, FILLED, before), "trading goes on with one worker")
        await platform.services["collector"].stop()
        await until(lambda: _none(platform, WORKING), "all orders are done")
        await until(lambda: _same(platform), "all fills are known")
        await books_are_right(platform)


async def test_parameters_changed_through_the_gateway_take_effect_while_running(
    clean: Addresses, tmp_path: Path
) -> None:
    recording = trades(tmp_path / "trades.csv", swinging(180))
    async with running_platform(clean, recording, settings=FAST) as platform:
        await platform.sign_in_as_trader()
        await until(lambda: platform.value("SELECT count(*) FROM strategy_engine.signals"), "a signal")

        await platform.command("/strategies/ema-cross/params", {"params": {"fast": 3, "slow": 5}}, method="PUT")

        changed = (
            "SELECT count(*) FROM strategy_engine.signals WHERE strategy_id = 'ema-cross' AND strategy_version = 2"
        )
        await until(lambda: platform.value(changed), "a signal of the new version")
        strategy = await platform.get("/strategies/ema-cross")
        assert Decimal(str(strategy["params"]["fast"])) == 3


async def _none(platform: Platform, sql: str) -> bool:
    return bool(await platform.value(sql) == 0)


async def _more(platform: Platform, sql: str, than: int) -> bool:
    return bool(await platform.value(sql) > than)


async def _same(platform: Platform) -> bool:
    ours = await platform.value("SELECT count(*) FROM order_worker.fills")
    return bool(ours == await platform.value("SELECT count(*) FROM paper_venue.trades"))


async def _slowness(platform: Platform) -> timedelta:
    """Give how long the gateway takes to answer now: milliseconds, but for a machine that is busy elsewhere."""
    began = time.monotonic()
    await platform.get("/risk/stages")
    return timedelta(seconds=time.monotonic() - began)


def _replica(worker: str) -> str:
    return worker.rsplit("-", 1)[-1]


async def _delay_answers(platform: Platform, delay_s: float) -> None:
    """Have the venue take every order and be slow to say so, also to the user stream; 0 takes that back."""
    if not delay_s:
        await _fault(platform, None)
        return
    await _fault(platform, {"kind": "mute"})
    await _fault(platform, {"kind": "lose_answer", "method": "POST", "path": "/api/v3/order", "delay_s": delay_s})


async def _fault(platform: Platform, fault: dict[str, Any] | None) -> None:
    """Have the venue fail; None takes that back."""
    url = f"{platform.services['paper-venue'].url}/admin/faults"
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await (client.delete(url) if fault is None else client.post(url, json=fault))
        answer.raise_for_status()
