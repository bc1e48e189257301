"""Reads over the tables of all services: what was done, and whether it fits together."""

import asyncio
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.sql import rows
from api_gateway.domain.books import SHOWN_MAX, Finding
from api_gateway.ports.books import Activity
from sigmax.runtime.database import Database
from sigmax.schemas.topology import REACH, owner_of

_COUNTS = """
SELECT
  (SELECT count(*) FROM strategy_engine.signals WHERE created_at >= :since) AS signals,
  (SELECT count(*) FROM llm_controller.decisions WHERE created_at >= :since) AS decisions,
  (SELECT count(*) FROM risk_gate.verdicts WHERE created_at >= :since AND outcome = 'approved') AS approved,
  (SELECT count(*) FROM risk_gate.verdicts WHERE created_at >= :since AND outcome = 'denied') AS denied,
  (SELECT count(*) FROM order_worker.fills WHERE recorded_at >= :since) AS fills,
  (SELECT count(*) FROM notifier.alerts WHERE last_at >= :since) AS alerts
"""
_ORDERS = "SELECT status, count(*) AS orders FROM order_worker.orders WHERE created_at >= :since GROUP BY 1 ORDER BY 1"
_DENIALS = """
SELECT code, count(*) AS denials FROM risk_gate.verdicts
WHERE created_at >= :since AND outcome = 'denied' GROUP BY code ORDER BY 2 DESC, 1
"""
_LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at - tick_received_at) * 1000)
  AS edges
FROM order_worker.orders WHERE created_at >= :since AND sent_at IS NOT NULL
"""

_PAPER = """
SELECT account_id FROM paper_venue.accounts
UNION SELECT account_id FROM risk_gate.accounts WHERE mode = 'paper'
"""
_OWN_BOOKS: tuple[tuple[str, str], ...] = (
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
        "every message is sent",
        " UNION ALL ".join(
            f"SELECT '{owner_of(service)}: ' || count(*) FROM {owner_of(service)}.outbox HAVING count(*) > 0"  # noqa: S608 - names of ours
            for service, reach in REACH.items()
            if reach.has_database
        ),
    ),
)
_AGAINST_PAPER_VENUE: tuple[tuple[str, str], ...] = (
    (
        "every fill of the venue is ours, once",
        f"""
        SELECT coalesce('venue ' || v.trade_id, 'ours ' || f.execution_id) || ': '
               || coalesce(v.qty::text, 'none') || ' at the venue, ' || coalesce(f.quantity::text, 'none') || ' here'
        FROM paper_venue.trades v
        FULL JOIN (SELECT * FROM order_worker.fills WHERE account_id IN ({_PAPER})) f
          ON f.execution_id = v.symbol || '-' || v.trade_id AND f.account_id = v.account_id
        WHERE v.qty IS DISTINCT FROM f.quantity OR v.price IS DISTINCT FROM f.price OR v.side IS DISTINCT FROM f.side
        """,  # noqa: S608 - text of ours
    ),
    (
        "each order reached the venue at most once",
        """
        SELECT client_order_id || ': ' || count(*) FROM paper_venue.orders GROUP BY client_order_id HAVING count(*) > 1
        """,
    ),
    (
        "cash and holdings agree with the venue",
        f"""
        SELECT coalesce(v.asset, l.asset) || ': ' || coalesce(v.amount, 0) || ' at the venue, '
               || coalesce(l.amount, 0) || ' here'
        FROM (SELECT account_id, asset, sum(free + locked) AS amount FROM paper_venue.balances GROUP BY 1, 2) v
        FULL JOIN (
            SELECT account_id, asset, sum(amount) AS amount FROM order_worker.ledger_entries
            WHERE ledger_account IN ('cash', 'holding') AND account_id IN ({_PAPER}) GROUP BY 1, 2
        ) l USING (account_id, asset)
        WHERE coalesce(v.amount, 0) <> coalesce(l.amount, 0)
        """,  # noqa: S608 - text of ours
    ),
)


class SystemBooks:
    """Reads under the gateway's role, which may read every schema."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Whole tables are read: callers wait for each other rather than press on the database together.
        self._checking = asyncio.Lock()

    async def activity(self, since: datetime) -> Activity:
        """Count what was done from `since` on."""
        values = {"since": since}
        async with self._database.reading() as session:
            counts = (await rows(session, _COUNTS, values))[0]
            edges = (await rows(session, _LATENCY, values))[0]["edges"]
            return Activity(
                **counts,
                denials={row["code"]: row["denials"] for row in await rows(session, _DENIALS, values)},
                orders={row["status"]: row["orders"] for row in await rows(session, _ORDERS, values)},
                tick_to_order_ms=(_rounded(edges[0]), _rounded(edges[1])) if edges else None,
            )

    async def findings(self) -> list[Finding]:
        """Check every invariant of the tables; those against the paper venue only where there is a paper account."""
        async with self._checking, self._database.reading() as session:
            has_paper = bool(await rows(session, _PAPER))
            checks = _OWN_BOOKS + (_AGAINST_PAPER_VENUE if has_paper else ())
            return [Finding(invariant, await _broken(session, query)) for invariant, query in checks]


async def _broken(session: AsyncSession, query: str) -> list[str]:
    found = await rows(session, f"SELECT what FROM ({query}) AS broken (what) LIMIT {SHOWN_MAX}")  # noqa: S608
    return [row["what"] for row in found]


def _rounded(milliseconds: float) -> Decimal:
    return round(Decimal(str(milliseconds)), 3)
