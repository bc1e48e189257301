"""order-worker against the real paper-venue, through unmodified ccxt."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from order_worker_builders import a_cancel
from order_worker_waiting import reach, until

from sigmax.schemas.types import OrderType, Side

pytestmark = pytest.mark.integration


@asynccontextmanager
async def a_market(run_service: Any) -> AsyncIterator[tuple[str, httpx2.AsyncClient]]:
    """Run the venue with one instrument that has just traded at 100."""
    balances = '{"USDT": "100000"}'
    async with (
        run_service("paper-venue", admin_enabled="true", opening_balances=balances) as venue,
        httpx2.AsyncClient(base_url=venue.url, trust_env=False, timeout=60) as admin,
    ):
        listed = {"instrument_id": "BTC/USDT@binance", "tick_size": "0.01", "lot_size": "0.00001"}
        assert (await admin.post("/admin/instruments", json=listed)).status_code == 200
        await trade(admin, "100")
        yield venue.url, admin


async def test_a_resting_stop_is_sent_as_it_was_approved_sells_when_its_price_trades_and_is_canceled(
    platform: Any, run_service: Any, settings: Callable[..., dict[str, str]]
) -> None:
    async with (
        a_market(run_service) as (url, admin),
        run_service("order-worker", **{**settings(), "venue_url": url}),
    ):
        await platform.allow()
        bought = platform.approval(1, limit_price=None, quantity="2")
        await platform.say(bought)
        await reach(platform, bought, "filled")

        exit_ = {"side": Side.SELL, "reduce_only": True, "order_type": OrderType.STOP_LIMIT}
        stop = platform.approval(2, quantity="0.5", limit_price="94.5", trigger_price=Decimal("95.25"), **exit_)
        other = platform.approval(3, quantity="0.25", limit_price="80", trigger_price=Decimal(81), **exit_)
        market = {**exit_, "order_type": OrderType.STOP}
        at_market = platform.approval(4, quantity="0.25", limit_price=None, trigger_price=Decimal(85), **market)
        for approved in (stop, other, at_market):
            await platform.say(approved)
            row = await reach(platform, approved, "new")
            assert row["trigger_price"] == approved.trigger_price
        await platform.say(a_cancel(3))
        await reach(platform, other, "canceled")

        await trade(admin, "95.26")
        assert (await platform.order(stop))["status"] == "new"
        await trade(admin, "95.25")
        row = await reach(platform, stop, "filled")
        assert row["filled_quantity"] == Decimal("0.5")
        assert row["average_price"] >= Decimal("94.5")
        await trade(admin, "84")
        await reach(platform, at_market, "filled")

        too_high = platform.approval(5, quantity="0.25", limit_price="94", trigger_price=Decimal(99), **exit_)
        await platform.say(too_high)
        row = await reach(platform, too_high, "rejected")
        assert "would trigger immediately" in row["reason"]
        uneven = platform.approval(6, quantity="0.25", limit_price="80", trigger_price=Decimal("80.001"), **exit_)
        await platform.say(uneven)
        row = await reach(platform, uneven, "unplaced")
        assert "no multiple of the venue's step" in row["reason"]


async def test_a_venue_without_stop_orders_is_not_asked_for_one(
    platform: Any, venue: Any, run_service: Any, settings: Callable[..., dict[str, str]]
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        stop = {"side": Side.SELL, "order_type": OrderType.STOP_LIMIT, "trigger_price": Decimal(95)}
        approved = platform.approval(1, limit_price="94", **stop)
        await platform.say(approved)
        row = await reach(platform, approved, "unplaced")

    assert row["reason"] == "NotSupported: paper has no stop orders for BTC/USDT"
    assert venue.submits == []


async def trade(admin: httpx2.AsyncClient, price: str, quantity: str = "50") -> None:
    body = {"symbol": "BTCUSDT", "price": price, "quantity": quantity}
    assert (await admin.post("/admin/trades", json=body)).status_code == 200


async def test_orders_trade_on_the_paper_venue_and_the_books_agree(
    platform: Any, run_service: Any, settings: Callable[..., dict[str, str]]
) -> None:
    async with a_market(run_service) as (url, admin):
        async with run_service("order-worker", **{**settings(reconcile_s="1"), "venue_url": url}):
            await platform.allow()
            market = platform.approval(1, limit_price=None, quantity="0.5")
            await platform.say(market)
            await reach(platform, market, "filled")

            resting = platform.approval(2, limit_price="95", quantity="1")
            await platform.say(resting)
            await reach(platform, resting, "new")
            await trade(admin, "94.5")
            await reach(platform, resting, "filled")

            canceled = platform.approval(3, limit_price="50")
            await platform.say(canceled)
            await reach(platform, canceled, "new")
            await platform.say(a_cancel(3))
            await reach(platform, canceled, "canceled")

            sold = platform.approval(4, side=Side.SELL, limit_price="90", quantity="0.7", reduce_only=True)
            await platform.say(sold)
            await reach(platform, sold, "filled")

            too_large = platform.approval(5, limit_price="95", quantity="5000")
            await platform.say(too_large)
            row = await reach(platform, too_large, "rejected")
            assert "insufficient balance" in row["reason"]

            await platform.connection.execute("UPDATE accounts SET reconciled_at = now() - interval '1 minute'")
            await until(
                lambda: platform.value("SELECT is_reconciled AND reconciled_at > now() - interval '9 s' FROM accounts")
            )
        assert await platform.value("SELECT count(*) FROM reconciliations WHERE NOT passed") == 0
        held = await platform.value("SELECT quantity FROM positions")
        fees = await platform.value("SELECT sum(fee) FROM fills WHERE fee_currency = 'BTC'")
        assert held == Decimal("0.8") - fees


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "lose_answer", "delay_s": 1.5}, "filled"),
        ({"kind": "refuse", "status": 503}, "unplaced"),
        ({"kind": "refuse", "status": 400, "code": -2010, "message": "Market is closed."}, "rejected"),
    ],
)
async def test_each_fault_of_the_venue_ends_in_what_is_true_there(
    platform: Any,
    run_service: Any,
    settings: Callable[..., dict[str, str]],
    fault: dict[str, Any],
    status: str,
) -> None:
    async with (
        a_market(run_service) as (url, admin),
        run_service("order-worker", **{**settings(), "venue_url": url}),
    ):
        await platform.allow()
        where = {"method": "POST", "path": "/api/v3/order", "times": 1}
        assert (await admin.post("/admin/faults", json={**where, **fault})).status_code == 200
        approved = platform.approval(1, limit_price=None)
        await platform.say(approved)
        row = await reach(platform, approved, status)
        assert row["filled_quantity"] == (1 if status == "filled" else 0)
