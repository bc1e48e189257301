"""What operators see of the books: figures that are true within seconds, on every replica."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from order_worker_waiting import reach, until

pytestmark = pytest.mark.integration
Settings = Callable[..., dict[str, str]]


async def figures(service: Any) -> dict[str, float]:
    """Give the samples of /metrics by name and labels, as they are written."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        page = (await client.get(f"{service.url}/metrics")).text
    lines = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def shows(service: Any, name: str, value: float) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return (await figures(service)).get(name) == value

    return look


async def test_an_order_that_is_accepted_and_filled_is_measured_once_against_its_service_levels(
    platform: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings()) as worker:
        await platform.allow()
        approved = platform.approval()
        await platform.say(approved)
        await platform.say(approved)
        await reach(platform, approved, "filled")
        seen = await figures(worker)

    assert seen['sigmax_service_level_seconds_count{step="order"}'] == 1
    assert seen['sigmax_service_level_seconds_count{step="cycle"}'] == 1


async def test_unknown_submissions_are_counted_and_grow_older_until_they_are_known(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    async with run_service("order-worker", **settings(absence_window_s="4")) as worker:
        await platform.allow()
        venue.faults = ["timeout"]
        approved = platform.approval()
        await platform.say(approved)
        await until(shows(worker, 'sigmax_orders_open{submission="unknown"}', 1))
        assert (await figures(worker))['sigmax_orders_open_oldest_seconds{submission="unknown"}'] > 0

        await reach(platform, approved, "unplaced")
        await until(shows(worker, 'sigmax_orders_open{submission="unknown"}', 0))
        assert (await figures(worker))['sigmax_orders_open_oldest_seconds{submission="unknown"}'] == 0


async def test_every_replica_shows_a_broken_ledger_and_what_the_reconciliation_found(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    quick = settings(reconcile_s="1")
    async with (
        run_service("order-worker", **quick) as first,
        run_service("order-worker", **quick, replica="1") as second,
    ):
        for worker in (first, second):
            await until(shows(worker, "sigmax_reconciled", 1))
            assert (await figures(worker))["sigmax_ledger_imbalances"] == 0
            assert (await figures(worker))["sigmax_reconciliation_age_seconds"] < 60

        await platform.connection.execute(
            "INSERT INTO ledger_entries (transaction_id, account_id, ledger_account, asset, amount, settles_at, reason,"
            " created_at) VALUES (gen_random_uuid(), 'paper', 'fees', 'USDT', 1, now(), 'planted', now())"
        )
        venue.balances["USDT"] -= 500

        for worker in (first, second):
            await until(shows(worker, "sigmax_ledger_imbalances", 1))
            await until(shows(worker, "sigmax_reconciled", 0))
            await until(shows(worker, "sigmax_reconciliation_differences", 1))
            assert (await figures(worker))["sigmax_account_blocked"] == 0

        await platform.connection.execute("UPDATE accounts SET blocked_reason = 'planted', blocked_at = now()")
        await until(shows(second, "sigmax_account_blocked", 1))
