"""Figures and books of the real tables: what is planted is found, and nothing else is."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import redis.asyncio

from sigmax.schemas.market import FIELD, HEARTBEATS, TICKS_ACCEPTED, Heartbeat, nanoseconds
from sigmax.schemas.topology import REACH, SERVICES, dead_letter_queue_of, owner_of

pytestmark = pytest.mark.integration

_PLANTED = {
    "positions equal the sum of fills": """
        INSERT INTO order_worker.positions
        VALUES ('paper', 'BTC/USDT@x', 1, 100, 0, now(), '1', now())
    """,
    "the ledger sums to zero": """
        INSERT INTO order_worker.ledger_entries
            (transaction_id, account_id, ledger_account, asset, amount, settles_at, reason, created_at)
        SELECT gen_random_uuid(), 'paper', account, 'USDT', amount, now(), 'planted', now()
        FROM (VALUES ('trading', 1), ('fees', 1)) AS planted (account, amount)
    """,
    "no order is unknown or under way": """
        INSERT INTO order_worker.orders (client_order_id, signal_id, correlation_id, account_id, venue, mode, strategy_id,
            instrument_id, symbol, side, order_type, time_in_force, quantity, reduce_only, valid_until, approved,
            approved_at, tick_received_at, status, submission, sequence, fence, attempts, cancel_wanted, venue_status,
            venue_filled_quantity, filled_quantity, reason, looks, absences, created_at, updated_at)
        VALUES ('c1', gen_random_uuid(), gen_random_uuid(), 'paper', 'paper', 'paper', 's', 'BTC/USDT@x', 'BTCUSDT', 'buy',
            'market', 'gtc', 1, false, now(), '{}', now(), now(), 'pending_new', 'unknown', 1, 1, 1, false, '', 0, 0, '', 0, 0,
            now(), now())
    """,
    "every message is sent": """
        INSERT INTO scheduler.outbox (message_id, topic, body, headers)
        VALUES (gen_random_uuid(), 'scheduler.alert.v1', '', '')
    """,
    "every fill of the venue is ours, once": """
        WITH account AS (INSERT INTO paper_venue.accounts VALUES ('paper') RETURNING account_id), placed AS (
            INSERT INTO paper_venue.orders (order_id, account_id, client_order_id, instrument_id, symbol, side, type,
                time_in_force, orig_qty, executed_qty, cummulative_quote_qty, status, time, update_time)
            SELECT 1, account_id, 'c1', 'BTC/USDT@x', 'BTCUSDT', 'buy', 'market', 'gtc', 1, 1, 100, 'filled', now(), now()
            FROM account RETURNING order_id
        )
        INSERT INTO paper_venue.trades
        SELECT 1, order_id, 'c1', 'paper', 'BTC/USDT@x', 'BTCUSDT', 'buy', 100, 1, 100, 0, 'BTC', false, now() FROM placed
    """,
    "cash and holdings agree with the venue": """
        WITH account AS (INSERT INTO paper_venue.accounts VALUES ('paper') RETURNING account_id)
        INSERT INTO paper_venue.balances (account_id, asset, free, locked) SELECT account_id, 'USDT', 5, 0 FROM account
    """,
}
_PAPER_ACCOUNT = """
    INSERT INTO risk_gate.accounts (account_id, venue, mode, currency, created_at)
    VALUES ('paper', 'paper', 'paper', 'USDT', now())
"""
_LIVE_CASH = """
    INSERT INTO order_worker.ledger_entries
        (transaction_id, account_id, ledger_account, asset, amount, settles_at, reason, created_at)
    SELECT '00000000-0000-0000-0000-000000000001', 'live', account, 'USDT', amount, now(), 'opened', now()
    FROM (VALUES ('cash', 5), ('opening', -5)) AS opened (account, amount)
"""


async def plant(live: Any, *queries: str) -> None:
    """Write what the tables' own rules would not allow."""
    writer = await asyncpg.connect(live.servers.admin_urls[0])
    await writer.execute("SET session_replication_role = replica")
    for query in queries:
        await writer.execute(query)
    await writer.close()


@pytest_asyncio.fixture
async def beat(live: Any) -> Any:
    """Give a function that writes heartbeats as the other services do."""
    clients = []

    async def write(service: str, age_s: float = 0, **told: dict[str, int]) -> None:
        client = redis.asyncio.Redis.from_url(live.servers.redis_url_as(owner_of(service)))
        clients.append(client)
        now = (await live.rows("SELECT now()"))[0][0]
        at_ns = nanoseconds(now - timedelta(seconds=age_s))
        queues = told.get("queues", {dead_letter_queue_of(service): 0})
        told_of = Heartbeat(service, "0", "1", True, at_ns, 0, queues, [], told.get("counts", {}))
        await client.xadd(HEARTBEATS, {FIELD: told_of.encode()})

    yield write
    for client in clients:
        await client.aclose()


async def broken(live: Any, beat: Any, **dead: int) -> list[str]:
    """Have the books checked while every service is heard of."""
    for service in SERVICES:
        if REACH[service].consumes:
            queue = dead_letter_queue_of(service)
            await beat(service, queues={queue: dead.get(owner_of(service), 0)})
    books = (await (await live.signed_in()).get("/api/v1/system/books")).raise_for_status().json()
    assert books["are_right"] is all(finding["holds"] for finding in books["findings"])
    return [finding["invariant"] for finding in books["findings"] if not finding["holds"]]


async def test_empty_books_are_right(live: Any, beat: Any) -> None:
    await plant(live, _PAPER_ACCOUNT)
    assert await broken(live, beat) == []


@pytest.mark.parametrize("invariant", _PLANTED)
async def test_a_planted_fault_breaks_its_invariant_and_no_other(live: Any, beat: Any, invariant: str) -> None:
    await plant(live, _PLANTED[invariant])
    assert await broken(live, beat) == [invariant]


async def test_a_message_that_was_given_up_is_found(live: Any, beat: Any) -> None:
    assert await broken(live, beat, risk_gate=1) == ["no message was given up"]


async def test_what_a_live_account_has_is_not_held_against_the_paper_venue(live: Any, beat: Any) -> None:
    await plant(live, _LIVE_CASH)
    assert await broken(live, beat) == []
    await plant(live, _PAPER_ACCOUNT)
    assert await broken(live, beat) == []


async def test_what_the_paper_venue_lost_is_missed_though_it_knows_no_account(live: Any, beat: Any) -> None:
    await plant(live, _PAPER_ACCOUNT, _LIVE_CASH.replace("'live'", "'paper'"))
    assert await broken(live, beat) == ["cash and holdings agree with the venue"]


async def test_figures_tell_what_the_tables_hold_from_a_time_on(live: Any, beat: Any) -> None:
    await live.seed_chain()
    for count, age_s in ((100, 4), (300, 0)):
        await beat("collector", age_s, counts={TICKS_ACCEPTED: count})
    viewer = await live.user("viewer")

    def figures(since: str) -> Any:
        return viewer.get("/api/v1/system/figures", params={"since": since})

    seen = (await figures("2026-01-05T00:00:00Z")).raise_for_status().json()
    assert {name: seen[name] for name in ("signals", "decisions", "approved", "denied", "fills", "alerts")} == {
        "signals": 1, "decisions": 1, "approved": 1, "denied": 0, "fills": 2, "alerts": 0,
    }  # fmt: skip
    assert (seen["orders"], seen["denials"]) == ({"partially_filled": 1}, {})
    assert Decimal(seen["tick_to_order_p50_ms"]) == 820
    assert seen["ticks"] == {"0": 300}
    assert 45 < Decimal(seen["ticks_per_s"]) <= 50  # each heartbeat was dated a little after the one before
    assert [account["account_id"] for account in seen["accounts"]] == ["paper"]
    assert [Decimal(position["quantity"]) for position in seen["positions"]] == [Decimal("0.298")]

    later = (await figures("2026-01-06T00:00:00Z")).json()
    assert (later["signals"], later["orders"], later["tick_to_order_p50_ms"]) == (0, {}, None)
    assert len(later["positions"]) == 1
