"""The books of a worker that traded hold, and whatever is done to them behind its back is named."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from order_worker_builders import BTC, ETH, a_transfer
from order_worker_waiting import reach, until

from sigmax.domain.ledger_check import (
    BALANCED,
    CHECKPOINTS,
    FILL_BOOKED,
    POSITION_FOLDED,
    POSITION_HELD,
    VENUE,
    Broken,
)
from sigmax.runtime.rabbitmq import Publisher, amqp_url
from sigmax.schemas.types import Side
from sigmax_local import audit_check, ledger_check
from sigmax_local.environment import service_environment
from sigmax_local.operations.database import OnThisMachine
from sigmax_local.ports import LOOPBACK, free_ports
from sigmax_local.processes import spawn
from sigmax_local.testkit.service_process import ServiceProcess

pytestmark = pytest.mark.integration
Settings = Callable[..., dict[str, str]]
_TABLES = ("fills", "ledger_entries", "ledger_checkpoints", "positions", "reconciliations", "audit_log", "audit_anchor")


async def ledger(platform: Any) -> list[Broken]:
    return await asyncio.to_thread(ledger_check.check, OnThisMachine(platform.addresses))


async def chain(platform: Any, *told: audit_check.Told) -> str | None:
    place, keys = OnThisMachine(platform.addresses), audit_check.keys_of(platform.addresses.secrets.folder)
    verdicts = await asyncio.to_thread(audit_check.check, place, told, keys)
    (mine,) = [one for one in verdicts if one.owner == "order_worker"]
    return None if mine.broken is None else f"{mine.broken.position}: {mine.broken.what}"


@pytest.fixture
async def forger(platform: Any) -> AsyncIterator[Any]:
    """Give a superuser whom no trigger stops, and put back afterwards what was forged."""
    connection = await asyncpg.connect(
        platform.addresses.admin_urls[0],
        server_settings={"session_replication_role": "replica", "search_path": "order_worker"},
    )
    yield connection
    await connection.close()


async def trade(platform: Any, venue: Any) -> None:
    """Buy, buy, sell, at changing prices, with fees in both currencies."""
    for number, (side, quantity, price, instrument) in enumerate(
        (
            (Side.BUY, "2", "100", BTC),
            (Side.BUY, "1", "110", BTC),
            (Side.SELL, "1.5", "120", BTC),
            (Side.BUY, "3", "50", ETH),
        ),
        start=1,
    ):
        venue.price = Decimal(price)
        approved = platform.approval(
            number, side=side, quantity=Decimal(quantity), limit_price=Decimal(price), instrument_id=instrument
        )
        await platform.say(approved)
        await reach(platform, approved, "filled")


async def compared(platform: Any) -> None:
    """Wait for a comparison with the venue that saw all trades, and for a checkpoint."""
    await until(
        lambda: platform.value(
            "SELECT up_to_entry_id = (SELECT max(entry_id) FROM ledger_entries) FROM reconciliations"
            " WHERE passed ORDER BY reconciliation_id DESC LIMIT 1"
        )
    )
    await until(lambda: platform.value("SELECT count(*) > 0 FROM ledger_checkpoints"))


_FIRST_TRADED = "SELECT min(entry_id) FROM ledger_entries WHERE execution_id IS NOT NULL"
_FIRST_OPENING = "SELECT min(entry_id) FROM ledger_entries WHERE ledger_account = 'opening'"
_PLANTED = (
    ("UPDATE fills SET quantity = quantity + 1 WHERE fill_id = 2", {FILL_BOOKED, POSITION_FOLDED}, "fills row 2 "),
    ("DELETE FROM fills WHERE fill_id = 2", {FILL_BOOKED, POSITION_FOLDED}, "no fill"),
    (
        "DELETE FROM ledger_entries WHERE execution_id = (SELECT execution_id FROM fills WHERE fill_id = 3)",
        {FILL_BOOKED, POSITION_HELD, CHECKPOINTS, VENUE},
        "fills row 3 ",
    ),
    (
        f"UPDATE ledger_entries SET transaction_id = gen_random_uuid() WHERE entry_id = ({_FIRST_TRADED})",
        {FILL_BOOKED, BALANCED},
        "has 2 transactions",
    ),
    (
        f"UPDATE ledger_entries SET amount = amount + 1 WHERE entry_id = ({_FIRST_OPENING})",
        {BALANCED, CHECKPOINTS},
        "sums to",
    ),
    ("UPDATE positions SET quantity = quantity + 1", {POSITION_FOLDED, POSITION_HELD}, "positions row paper"),
    ("UPDATE positions SET average_price = average_price + 1", {POSITION_FOLDED}, "positions row paper"),
    ("DELETE FROM positions", {POSITION_FOLDED, POSITION_HELD}, "is missing"),
    (
        "UPDATE ledger_checkpoints SET amount = amount + 1 WHERE ledger_account = 'cash'",
        {CHECKPOINTS},
        "ledger_checkpoints row paper cash",
    ),
    (
        "UPDATE reconciliations SET balances = jsonb_set(balances, '{assets,USDT,venue}', '\"1\"')",
        {VENUE},
        "no difference was told",
    ),
)


async def test_books_that_were_traded_on_hold_and_each_planted_break_is_named(
    platform: Any, venue: Any, run_service: Any, settings: Settings, forger: Any
) -> None:
    async with run_service("order-worker", **settings(reconcile_s="2")):
        await platform.allow()
        await trade(platform, venue)
        await compared(platform)
    assert await ledger(platform) == []
    for table in _TABLES:
        await forger.execute(f"CREATE TABLE public.kept_{table} AS SELECT * FROM {table}")
    try:
        for statement, rules, what in _PLANTED:
            await forger.execute(statement)
            found = await ledger(platform)
            assert rules <= {one.rule for one in found}, (statement, found)
            assert any(what in one.what for one in found), (statement, found)
            for table in ("fills", "ledger_entries", "ledger_checkpoints", "positions", "reconciliations"):
                await forger.execute(f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM public.kept_{table}")
        assert await ledger(platform) == []
    finally:
        for table in _TABLES:
            await forger.execute(f"DROP TABLE public.kept_{table}")


async def test_every_step_of_an_order_is_on_the_chain_and_heads_leave_at_start_and_end(
    platform: Any, venue: Any, run_service: Any, settings: Settings, forger: Any
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        await trade(platform, venue)
    approved = platform.approval(1)
    kinds = [
        row["kind"]
        for row in await platform.rows(
            "SELECT kind FROM audit_log WHERE subject = $1 ORDER BY position", approved.client_order_id
        )
    ]
    assert kinds == ["send", "fill", "answer"]
    assert await chain(platform) is None
    newest = await platform.rows("SELECT position, hash, at FROM audit_log ORDER BY position DESC LIMIT 1")
    head = audit_check.Told("order_worker", audit_check.Head(newest[0]["position"], newest[0]["hash"]), newest[0]["at"])
    assert await chain(platform, head) is None

    await forger.execute("DELETE FROM audit_log WHERE position > $1", head.head.position - 3)
    assert await chain(platform) is None  # nobody can tell, without a head from elsewhere
    found = await chain(platform, head)
    assert found is not None
    assert found.startswith(f"{head.head.position - 2}: ")

    await forger.execute("UPDATE audit_log SET entry = replace(entry, '\"sending\"', '\"ready\"') WHERE kind = 'send'")
    found = await chain(platform)
    assert found is not None
    assert "edited" in found


async def test_a_claim_that_cannot_be_recorded_sends_nothing(
    platform: Any, venue: Any, run_service: Any, settings: Settings, forger: Any
) -> None:
    async with run_service("order-worker", **settings()) as worker:
        await platform.allow()
        await forger.execute("CREATE TABLE public.kept_anchor AS SELECT * FROM audit_anchor; DELETE FROM audit_anchor")
        approved = platform.approval()
        await platform.say(approved)
        await until(lambda: platform.order(approved))
        await until(lambda: _says(worker, "lost its anchor"))
        assert (await platform.order(approved))["submission"] == "ready"
        assert venue.submits == []
        await forger.execute("INSERT INTO audit_anchor SELECT * FROM public.kept_anchor; DROP TABLE public.kept_anchor")
        again = platform.approval(2)
        await platform.say(again)
        await reach(platform, again, "filled")


async def test_a_worker_whose_chain_was_changed_is_not_ready_and_sends_nothing(
    platform: Any, venue: Any, run_service: Any, settings: Settings, forger: Any, tmp_path: Path
) -> None:
    async with run_service("order-worker", **settings()):
        await platform.allow()
        await trade(platform, venue)
    sent = len(venue.submits)
    await forger.execute("UPDATE audit_log SET entry = replace(entry, 'filled', 'FILLED') WHERE kind = 'answer'")
    port = free_ports(1)[0]
    environment = service_environment(platform.addresses, "order-worker", port, **settings())
    command = [sys.executable, "-m", "sigmax.runtime", "order_worker"]
    child = spawn("order-worker", command, log=tmp_path / "worker.log", env=environment)
    worker = ServiceProcess("order-worker", child, f"http://{LOOPBACK}:{port}")
    try:
        await until(lambda: _says(worker, "audit_broken"))
        approved = platform.approval(9, valid_until=datetime.now(UTC) + timedelta(seconds=5))
        await platform.say(approved)
        await until(lambda: platform.order(approved))
        # Everything else is well: the comparison passed, and the sweep had its turns.
        await until(lambda: _says(worker, '"passed":true'))
        late = "SELECT valid_until < now() FROM orders WHERE client_order_id = $1"
        await until(lambda: platform.value(late, approved.client_order_id))
        row = await reach(platform, approved, "unplaced")
        assert "not sent by" in row["reason"]
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
            answer = await client.get(f"{worker.url}/health/ready")
        assert answer.status_code == 503
        assert [problem for problem in answer.json()["problems"] if problem.startswith("audit: row")]
    finally:
        await worker.stop()
    assert len(venue.submits) == sent


async def test_a_sale_of_stocks_is_taxed_and_its_money_is_not_there_before_the_second_business_day(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    venue.price = Decimal(50_000)
    async with run_service("order-worker", **settings(market="krx", holidays='["2026-01-01"]')):
        await platform.allow()
        for number, side in enumerate((Side.BUY, Side.SELL), start=1):
            approved = platform.approval(number, side=side, limit_price="50000", quantity=Decimal(1) / number)
            await platform.say(approved)
            await reach(platform, approved, "filled")

    bought, sold = await platform.rows("SELECT * FROM fills ORDER BY fill_id")
    assert (bought["fee"], bought["fee_currency"], bought["tax"]) == (7, "USDT", 0)  # 1.5 bps of 50,000, whole units
    assert (sold["fee"], sold["fee_currency"], sold["tax"]) == (3, "USDT", 50)  # and 20 bps of 25,000
    taxed = await platform.rows("SELECT amount FROM ledger_entries WHERE ledger_account = 'tax'")
    assert [row["amount"] for row in taxed] == [50]
    days = "SELECT min(settles_at - executed_at) AS least, max(settles_at - executed_at) AS most FROM ledger_entries"
    (waits,) = await platform.rows(f"{days} WHERE execution_id IS NOT NULL")
    assert timedelta(days=1) < waits["least"] <= waits["most"] < timedelta(days=5)
    assert {one.rule for one in await ledger(platform)} <= {VENUE}  # this venue took other fees


async def _says(worker: Any, what: str) -> bool:
    return what in worker.log.read_text()


async def test_a_deposit_beside_the_platform_stops_it_and_two_people_book_it_once(
    platform: Any, venue: Any, run_service: Any, settings: Settings
) -> None:
    password = platform.addresses.secrets.get("api_gateway", "rabbitmq_password")
    gateway = Publisher(amqp_url(platform.addresses.rabbitmq_url, "api_gateway", password))
    await gateway.open()
    passed = "SELECT passed FROM reconciliations ORDER BY reconciliation_id DESC LIMIT 1"
    async with run_service("order-worker", **settings(reconcile_s="2")):
        await platform.allow()
        venue.balances["USDT"] += 500
        await until(lambda: platform.value(f"SELECT NOT ({passed})"))
        now = datetime.now(UTC)
        alone = a_transfer("500", now=now, approved_by="Mina")
        late = a_transfer("500", now=now - timedelta(seconds=1), approved_at=now - timedelta(minutes=11))
        for refused in (alone, late, *(a_transfer(amount, now=now) for amount in ("-100501", "NaN", "0"))):
            await gateway.publish(refused.topic, refused.encode(), refused.message_id, {})
        booked = a_transfer("500", now=datetime.now(UTC))
        for _ in range(3):
            await gateway.publish(booked.topic, booked.encode(), booked.message_id, {})
        await until(lambda: platform.value(passed))
        handled = "SELECT count(*) = 6 FROM inbox WHERE topic = $1"
        await until(lambda: platform.value(handled, booked.topic))
    await gateway.close()

    entries = await platform.rows("SELECT * FROM ledger_entries WHERE reason LIKE 'transfer%' ORDER BY entry_id")
    assert [(row["ledger_account"], row["asset"], row["amount"]) for row in entries] == [
        ("cash", "USDT", 500),
        ("transfer", "USDT", -500),
    ]
    assert {row["transaction_id"] for row in entries} == {booked.message_id}
    assert "mina, approved by jun" in entries[0]["reason"]
    assert await platform.value("SELECT count(*) FROM audit_log WHERE kind = 'ledger_transfer'") == 1
    assert await ledger(platform) == []
