"""The summary's checks find what is planted, on the real tables."""

import aio_pika
import asyncpg
import pytest

from sigmax_local.checks import check_books
from sigmax_local.servers import Addresses

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
    "cash and holdings agree with the venue": """
        WITH account AS (INSERT INTO paper_venue.accounts VALUES ('paper') RETURNING account_id)
        INSERT INTO paper_venue.balances (account_id, asset, free, locked) SELECT account_id, 'USDT', 5, 0 FROM account
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
    "every message is sent": """
        INSERT INTO scheduler.outbox (message_id, topic, body, headers)
        VALUES (gen_random_uuid(), 'scheduler.alert.v1', '', '')
    """,
}


async def _broken(addresses: Addresses) -> list[str]:
    reader = await asyncpg.connect(addresses.database_url_as("api_gateway"))
    try:
        return [finding.invariant for finding in await check_books(reader, addresses) if not finding.holds]
    finally:
        await reader.close()


async def test_empty_books_are_right(clean: Addresses) -> None:
    assert await _broken(clean) == []


@pytest.mark.parametrize("invariant", _PLANTED)
async def test_a_planted_fault_breaks_its_invariant_and_no_other(clean: Addresses, invariant: str) -> None:
    writer = await asyncpg.connect(clean.admin_urls[0])
    await writer.execute("SET session_replication_role = replica")
    await writer.execute(_PLANTED[invariant])
    await writer.close()
    assert await _broken(clean) == [invariant]


async def test_a_dead_letter_is_found(clean: Addresses) -> None:
    connection = await aio_pika.connect(clean.admin_urls[2])
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("sigmax.dead")
        await exchange.publish(aio_pika.Message(b"{}"), "risk_gate.dead")
    assert await _broken(clean) == ["no message was given up"]
