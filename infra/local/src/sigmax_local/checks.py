"""The invariants of the books, checked when all is quiet: nothing lost, nothing doubled."""

from dataclasses import dataclass

import aio_pika
import asyncpg
from aio_pika.exceptions import AMQPError

from sigmax.runtime.rights import ADMIN, OWNERS
from sigmax.schemas.topology import REACH, SERVICES, dead_letter_queue_of
from sigmax_local.servers import Addresses

_CHECKS: tuple[tuple[str, str], ...] = (
    (
        "positions equal the sum of fills",
        """
        SELECT coalesce(p.instrument_id, f.instrument_id) || ': position ' || coalesce(p.quantity, 0)
               || ', fills ' || coalesce(f.quantity, 0)
        FROM order_worker.positions p FULL JOIN (
            SELECT account_id, instrument_id, sum(
                CASE side WHEN 'buy' THEN quantity ELSE -quantity END
                - CASE WHEN fee_currency = split_part(instrument_id, '/', 1) THEN fee ELSE 0 END
            ) AS quantity
            FROM order_worker.fills GROUP BY 1, 2
        ) f USING (account_id, instrument_id)
        WHERE coalesce(p.quantity, 0) <> coalesce(f.quantity, 0)
        """,
    ),
    (
        "the ledger sums to zero",
        """
        SELECT transaction_id || ' ' || asset || ': ' || sum(amount) FROM order_worker.ledger_entries
        GROUP BY transaction_id, asset HAVING sum(amount) <> 0
        """,
    ),
    (
        "no order is unknown or under way",
        """
        SELECT client_order_id || ': ' || submission || ', ' || status FROM order_worker.orders
        WHERE submission IN ('ready', 'sending', 'unknown') AND status <> 'unplaced'
        """,
    ),
    (
        "every fill of the venue is ours, once",
        """
        SELECT coalesce('venue ' || v.trade_id, 'ours ' || f.execution_id) || ': '
               || coalesce(v.qty::text, 'none') || ' at the venue, ' || coalesce(f.quantity::text, 'none') || ' here'
        FROM paper_venue.trades v FULL JOIN order_worker.fills f
          ON f.execution_id = v.symbol || '-' || v.trade_id AND f.account_id = v.account_id
        WHERE v.qty IS DISTINCT FROM f.quantity OR v.price IS DISTINCT FROM f.price OR v.side IS DISTINCT FROM f.side
        """,
    ),
    (
        "each order reached the venue at most once",
        """
        SELECT client_order_id || ': ' || count(*) FROM paper_venue.orders GROUP BY client_order_id HAVING count(*) > 1
        """,
    ),
    (
        "cash and holdings agree with the venue",
        """
        SELECT coalesce(v.asset, l.asset) || ': ' || coalesce(v.amount, 0) || ' at the venue, '
               || coalesce(l.amount, 0) || ' here'
        FROM (SELECT asset, sum(free + locked) AS amount FROM paper_venue.balances GROUP BY asset) v
        FULL JOIN (
            SELECT asset, sum(amount) AS amount FROM order_worker.ledger_entries
            WHERE ledger_account IN ('cash', 'holding') GROUP BY asset
        ) l USING (asset)
        WHERE coalesce(v.amount, 0) <> coalesce(l.amount, 0)
        """,
    ),
    (
        "every message is sent",
        " UNION ALL ".join(
            f"SELECT '{owner}: ' || count(*) FROM {owner}.outbox HAVING count(*) > 0"  # noqa: S608 - names of ours
            for owner in OWNERS
        ),
    ),
)
_SHOWN_MAX = 3


@dataclass(frozen=True)
class Finding:
    """One invariant, and what breaks it; nothing does when it holds."""

    invariant: str
    broken_by: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Say whether the invariant holds."""
        return not self.broken_by


async def check_books(database: "asyncpg.Connection[asyncpg.Record]", addresses: Addresses) -> list[Finding]:
    """Check every invariant. Raises `asyncpg.PostgresError`, `AMQPError`, or `OSError` when one cannot be checked."""
    findings = []
    for invariant, query in _CHECKS:
        rows = await database.fetch(f"SELECT * FROM ({query}) AS broken LIMIT {_SHOWN_MAX}")  # noqa: S608
        findings.append(Finding(invariant, tuple(row[0] for row in rows)))
    findings.append(Finding("no message was given up", tuple(await _dead_letters(addresses))))
    return findings


async def _dead_letters(addresses: Addresses) -> list[str]:
    connection = await aio_pika.connect(addresses.rabbitmq_url_as(ADMIN), timeout=5)
    async with connection:
        channel = await connection.channel()
        found = []
        for queue in (dead_letter_queue_of(service) for service in SERVICES if REACH[service].consumes):
            declared = await channel.declare_queue(queue, passive=True)
            if count := declared.declaration_result.message_count:
                found.append(f"{queue}: {count}")
        return found


UNCHECKABLE = (asyncpg.PostgresError, AMQPError, OSError, TimeoutError)
"""What `check_books` raises when a server does not answer."""
