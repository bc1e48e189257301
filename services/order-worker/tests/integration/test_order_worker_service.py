"""One order-worker, and several, over real servers and a venue that fails on demand."""

import asyncio
import signal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from order_worker_builders import BTC, ETH, a_cancel
from order_worker_sound import sound
from order_worker_waiting import reach, until

from sigmax.schemas.types import Side, Stage

pytestmark = pytest.mark.integration
Settings = Callable[..., dict[str, str]]


async def test_an_approved_order_is_sent_filled_and_booked(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        approved = platform.approval()
        await platform.say(approved)
        row = await reach(platform, approved, "filled")
        await until(lambda: _is_quiet(platform))

    assert row["submission"] == "acked"
    assert row["filled_quantity"] == 1
    assert row["average_price"] == 100
    assert row["sent_at"] is not None
    await sound(platform, venue)


async def test_an_approval_delivered_many_times_makes_one_order(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()), run_service("order-worker", **settings(replica="1")):
        await platform.allow()
        approved = platform.approval()
        await asyncio.gather(*(platform.say(approved) for _ in range(20)))
        await reach(platform, approved, "filled")
        await until(lambda: _is_quiet(platform))

    assert len(venue.submits) == 1
    await sound(platform, venue)


async def test_a_halt_stops_sends_and_says_so(platform: Any, venue: Any, run_service: Any, settings: Settings) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        first = platform.approval(1)
        await platform.say(first)
        await reach(platform, first, "filled")
        await platform.allow(Stage.HALTED, version=2)
        second = platform.approval(2)
        await platform.say(second)
        row = await reach(platform, second, "unplaced")

    assert "HALTED" in row["reason"]
    assert len(venue.submits) == 1


async def test_an_order_accepted_without_an_answer_is_found(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        venue.faults = ["accept_then_timeout"]
        approved = platform.approval()
        await platform.say(approved)
        await reach(platform, approved, "filled")

    assert len(venue.submits) == 1
    await sound(platform, venue)


@pytest.mark.parametrize("fault", ["timeout", "unavailable", "garbage"])
async def test_an_order_never_accepted_is_unplaced_after_proof(
    platform: Any, venue: Any, run_service: Any, settings: Settings, fault: str
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        venue.faults = [fault]
        approved = platform.approval()
        await platform.say(approved)
        row = await reach(platform, approved, "unplaced")

    assert row["submission"] == "absent"
    assert row["absences"] >= 3
    assert len(venue.submits) == 1
    assert venue.orders == {}


async def test_a_refusal_with_proof_is_a_rejection_at_once(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        venue.faults = ["refuse"]
        approved = platform.approval()
        await platform.say(approved)
        row = await reach(platform, approved, "rejected")

    assert "insufficient balance" in row["reason"]


async def test_a_killed_workers_order_is_finished_by_another(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()) as worker:
        await platform.allow()
        venue.delay_s = 30
        approved = platform.approval()
        await platform.say(approved)

        async def is_out() -> bool:
            return bool(venue.submits)

        await until(is_out)
        await worker.kill()
    venue.delay_s = 0
    async with run_service("order-worker", **settings(replica="1")):
        await platform.allow()
        await reach(platform, approved, "filled")
        await until(lambda: _is_quiet(platform))

    assert len(venue.submits) == 1
    await sound(platform, venue)


async def test_a_worker_that_was_stopped_between_claim_and_send_sends_nothing_late(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with (
        run_service("order-worker", **settings()) as first,
        run_service("order-worker", **settings(replica="1")),
    ):
        await platform.allow()
        approvals = [platform.approval(number, instrument_id=(BTC, ETH)[number % 2]) for number in range(1, 31)]
        for approved in approvals:
            await platform.say(approved)
        first.signal(signal.SIGSTOP)
        await asyncio.sleep(4)
        first.signal(signal.SIGCONT)

        async def are_over() -> bool:
            return bool(await platform.value("SELECT count(*) = 30 FROM orders WHERE status IN ('filled', 'unplaced')"))

        await until(are_over, 180)
        await until(lambda: _is_quiet(platform))

    assert len(venue.submits) == len({submit["newClientOrderId"] for submit in venue.submits})
    await sound(platform, venue)


async def test_a_resting_order_fills_by_the_stream_and_is_canceled(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        approved = platform.approval(limit_price="90", quantity="2")
        await platform.say(approved)
        await reach(platform, approved, "new")

        async def is_heard() -> bool:
            return bool(venue.sockets)

        await until(is_heard)
        venue.fill(1, Decimal("0.5"))
        await venue.report(1, "TRADE")
        row = await reach(platform, approved, "partially_filled")
        assert row["filled_quantity"] == Decimal("0.5")
        await platform.say(a_cancel(1))
        row = await reach(platform, approved, "canceled")

    assert row["filled_quantity"] == Decimal("0.5")
    await sound(platform, venue)


async def test_a_fill_that_no_stream_told_of_is_found_by_the_poll(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        approved = platform.approval(limit_price="90")
        await platform.say(approved)
        await reach(platform, approved, "new")
        venue.fill(1, Decimal(1))
        await reach(platform, approved, "filled")

    await sound(platform, venue)


async def test_a_cancel_that_overtakes_its_order_keeps_it_from_the_venue(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        await platform.say(a_cancel(1))
        await until(lambda: platform.value("SELECT count(*) = 1 FROM cancels_wanted"))
        approved = platform.approval()
        await platform.say(approved)
        await reach(platform, approved, "unplaced")

    assert venue.submits == []


async def test_money_that_nobody_can_explain_stops_sends(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings(reconcile_s="1")):
        await platform.allow()
        venue.balances["USDT"] -= 500
        await until(lambda: platform.value("SELECT NOT is_reconciled FROM accounts"))
        approved = platform.approval()
        await platform.say(approved)
        await until(lambda: platform.order(approved))
        found = await platform.value("SELECT differences::text FROM reconciliations WHERE NOT passed LIMIT 1")
        assert "99500" in found
        assert venue.submits == []

        venue.balances["USDT"] += 500
        await reach(platform, approved, "filled")
    await sound(platform, venue)


async def test_buys_and_sells_of_two_instruments_stay_sound(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()), run_service("order-worker", **settings(replica="1")):
        await platform.allow()
        approvals = []
        for number in range(1, 61):
            side = Side.SELL if number % 3 == 0 else Side.BUY
            price = "101" if side is Side.BUY else "99"
            venue.price = Decimal(100 + number % 2)
            instrument_id = (BTC, ETH)[number % 2]
            approvals.append(platform.approval(number, side=side, limit_price=price, instrument_id=instrument_id))
        await asyncio.gather(*(platform.say(approved) for approved in approvals))

        async def are_filled() -> bool:
            return bool(await platform.value("SELECT count(*) = 60 FROM orders WHERE status = 'filled'"))

        await until(are_filled, 180)
        await until(lambda: _is_quiet(platform))

    await sound(platform, venue)


async def _is_quiet(platform: Any) -> bool:
    return bool(await platform.value("SELECT count(*) = 0 FROM outbox"))
