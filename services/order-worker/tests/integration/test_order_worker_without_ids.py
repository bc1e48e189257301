"""order-worker at a venue that keeps no client ids and names no trades: paper-venue, told to be one, over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ccxt.async_support as ccxt
import httpx2
import pytest
from order_worker_builders import TERMS, a_cancel
from order_worker_waiting import reach, until

from order_worker.adapters.venue import exchange_settings
from sigmax.runtime.rabbitmq import Publisher, amqp_url
from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.types import Scope

pytestmark = pytest.mark.integration

ORDER = "/api/v3/order"
PAGE = 2


@dataclass
class Venue:
    """The venue as people see it: they give orders by hand, and switch faults on."""

    url: str
    http: httpx2.AsyncClient
    client: Any

    async def admin(self, path: str, /, **body: Any) -> None:
        assert (await self.http.post(f"/admin/{path}", json=body)).status_code == 200

    async def by_hand(self) -> str:
        """Give the order that the approvals of these tests ask for, beside the platform."""
        order = await self.client.create_order("BTC/USDT", "limit", "buy", "1", "90", {"timeInForce": "GTC"})
        return str(order["id"])

    async def orders(self) -> list[Any]:
        found: list[Any] = await self.client.fetch_open_orders("BTC/USDT")
        return found


@asynccontextmanager
async def a_venue(platform: Any, run_service: Any) -> AsyncIterator[Venue]:
    """Run the venue with pages of two rows and one instrument that has just traded at 100."""
    secrets = platform.addresses.secrets
    key, secret = secrets.get("paper_venue", "venue_api_key"), secrets.get("paper_venue", "venue_api_secret")
    free = {"maker_bps": "0", "taker_bps": "0", "opening_balances": '{"USDT": "100000"}', "admin_enabled": "true"}
    async with run_service("paper-venue", **free) as running:
        client = ccxt.binance(exchange_settings(running.url, key, secret, TERMS) | {"timeout": 30_000})
        async with httpx2.AsyncClient(base_url=running.url, trust_env=False, timeout=60) as http:
            venue = Venue(running.url, http, client)
            await venue.admin("manner", client_ids=False, execution_ids=False, orders_page_max=PAGE)
            await venue.admin("instruments", instrument_id="BTC/USDT@binance", tick_size="0.01", lot_size="0.001")
            await venue.admin("trades", symbol="BTCUSDT", price="100", quantity="50")
            try:
                yield venue
            finally:
                await client.close()


@pytest.fixture
def worker(run_service: Any, settings: Callable[..., dict[str, str]]) -> Callable[..., Any]:
    """Give a function that runs a worker for such a venue."""

    def run(venue: Venue, **changes: str) -> Any:
        no_ids = {"venue_client_ids": "false", "venue_execution_ids": "false", "fee_bps": "0"}
        return run_service("order-worker", **{**settings(reconcile_s="1"), "venue_url": venue.url, **no_ids, **changes})

    return run


async def test_orders_trade_without_any_id_of_ours_and_the_books_agree(
    platform: Any, run_service: Any, worker: Callable[..., Any]
) -> None:
    async with a_venue(platform, run_service) as venue, worker(venue):
        await platform.allow()
        for number in (1, 2, 3):
            approved = platform.approval(number, limit_price=None, quantity="0.5")
            await platform.say(approved)
            row = await reach(platform, approved, "filled")
            assert (row["client_ids"], len(row["known_venue_ids"])) == (False, number - 1)
        resting = platform.approval(4, limit_price="90", quantity="1")
        await platform.say(resting)
        row = await reach(platform, resting, "new")
        assert row["venue_reference"] == "00950"
        await platform.say(a_cancel(4))
        await reach(platform, resting, "canceled")
        known = "SELECT max(reconciliation_id) FROM reconciliations"
        before = await platform.value(known)
        await until(lambda: platform.value(f"SELECT ({known}) > $1", before))

    fills = await platform.rows("SELECT execution_id, quantity FROM fills")
    assert [row["quantity"] for row in fills] == [Decimal("0.5")] * 3
    assert all(row["execution_id"].startswith("growth-") for row in fills)
    assert await platform.value("SELECT bool_and(passed) FROM reconciliations")


async def test_an_order_whose_answer_was_lost_is_found_by_what_it_looks_like_on_any_page(
    platform: Any, run_service: Any, worker: Callable[..., Any]
) -> None:
    async with a_venue(platform, run_service) as venue, worker(venue):
        await platform.allow()
        before = [await venue.by_hand() for _ in range(2 * PAGE)]
        for order_id in before:
            await venue.client.cancel_order(order_id, "BTC/USDT", {"branch": "00950"})
        await venue.admin("faults", kind="lose_answer", method="POST", path=ORDER, times=1, delay_s=30)
        approved = platform.approval(1, limit_price="90", quantity="1")
        await platform.say(approved)
        row = await reach(platform, approved, "new")
        resting = await venue.orders()
        await platform.say(a_cancel(1))
        await reach(platform, approved, "canceled")

    assert set(row["known_venue_ids"]) == set(before)
    assert [row["venue_order_id"]] == [each["id"] for each in resting]
    assert row["venue_reference"] == "00950"  # from the same row, and the cancel needed it


async def test_of_two_that_look_the_same_two_people_say_which_it_is_and_nothing_is_sent_meanwhile(
    platform: Any, run_service: Any, worker: Callable[..., Any]
) -> None:
    password = platform.addresses.secrets.get("api_gateway", "rabbitmq_password")
    gateway = Publisher(amqp_url(platform.addresses.rabbitmq_url, "api_gateway", password))
    await gateway.open()

    async def say(venue_order_id: str, **changes: Any) -> None:
        named = {"client_order_id": approved.client_order_id, "venue_order_id": venue_order_id}
        command = an_identification(named, **changes)
        await gateway.publish(command.topic, command.encode(), command.message_id, {})

    async with a_venue(platform, run_service) as venue, worker(venue, first_look_s="5"):
        await platform.allow()
        await venue.admin("faults", kind="lose_answer", method="POST", path=ORDER, times=1, delay_s=30)
        approved, entry = platform.approval(1, limit_price="90"), platform.approval(2, limit_price="80")
        await platform.say(approved)
        await until(venue.orders)
        imitation = await venue.by_hand()
        await platform.say(entry)
        unclear = "SELECT is_unclear FROM orders WHERE client_order_id = $1"
        await until(lambda: platform.value(unclear, approved.client_order_id))
        assert (await platform.order(approved))["submission"] == "unknown"
        assert (await platform.order(entry))["submission"] == "ready"
        ours = next(each["id"] for each in await venue.orders() if each["id"] != imitation)
        await say(ours, approved_by="Mina")  # one person is not two
        await say("999")
        handled = "SELECT count(*) = 2 FROM inbox WHERE topic = $1"
        await until(lambda: platform.value(handled, Command.TOPIC))
        assert (await platform.order(approved))["submission"] == "unknown"
        await say(ours)
        row = await reach(platform, approved, "new")
        await venue.client.cancel_order(imitation, "BTC/USDT", {"branch": "00950"})
        await reach(platform, entry, "new")
    await gateway.close()

    assert row["venue_order_id"] == ours


async def test_what_was_never_there_is_unplaced_and_what_comes_later_all_the_same_stops_the_account(
    platform: Any, run_service: Any, worker: Callable[..., Any]
) -> None:
    async with a_venue(platform, run_service) as venue, worker(venue):
        await platform.allow()
        await venue.admin("faults", kind="refuse", method="POST", path=ORDER, times=1, status=503)
        approved = platform.approval(1, limit_price="90")
        await platform.say(approved)
        row = await reach(platform, approved, "unplaced")
        assert row["absences"] >= TERMS.absence_looks_min
        late = await venue.by_hand()  # as a request that was held up would arrive: nothing at this venue keeps it out
        row = await reach(platform, approved, "new")
        blocked = await platform.value("SELECT blocked_reason FROM accounts")

    assert row["venue_order_id"] == late
    assert "counted as absent" in blocked


def an_identification(named: dict[str, str], **changes: Any) -> Command:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "command": CommandName.IDENTIFY_ORDER,
        "subject": "paper",
        "scope": Scope.ACCOUNT,
        "values": named,
        "requested_by": "mina",
        "approved_by": "jun",
        "approved_at": now,
    }
    return Command(**Command.first(f"{named}:{now.isoformat()}", now), **(values | changes))
