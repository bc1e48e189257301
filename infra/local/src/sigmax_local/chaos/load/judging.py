"""What a load run must end in, and what it measured."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from sigmax_local.figures import FiguresReader, Finding
from sigmax_local.gateway import GatewayAwayError
from sigmax_local.servers import Addresses

_SETTLE_S = 90.0
_POLL_S = 1.0

_LOST = """
    SELECT v.client_order_id FROM risk_gate.verdicts v
    LEFT JOIN order_worker.orders o ON o.client_order_id = v.client_order_id
    WHERE v.outcome = 'approved' AND (o.client_order_id IS NULL OR o.submission IN ('ready', 'sending', 'unknown'))
"""
_DOUBLED = "SELECT client_order_id FROM paper_venue.orders GROUP BY client_order_id HAVING count(*) > 1"
_UNKNOWN_THERE = """
    SELECT v.client_order_id FROM paper_venue.orders v
    LEFT JOIN order_worker.orders o ON o.venue_order_id = v.order_id::text WHERE o.order_id IS NULL
"""
_FILLS = """
    SELECT t.trade_id::text FROM paper_venue.trades t
    LEFT JOIN order_worker.fills f ON f.execution_id = t.symbol || '-' || t.trade_id::text WHERE f.fill_id IS NULL
"""
_TICK_TO_ORDER = """
    SELECT extract(epoch FROM sent_at - tick_received_at)::float8 AS seconds FROM order_worker.orders
    WHERE sent_at IS NOT NULL
"""
_EVENT_TO_DECISION = """
    SELECT extract(epoch FROM v.created_at - s.tick_received_at)::float8 AS seconds
    FROM risk_gate.verdicts v JOIN strategy_engine.signals s ON s.signal_id = v.signal_id
"""
_DENIALS = (
    "SELECT code, count(*) AS times FROM risk_gate.verdicts WHERE outcome = 'denied' GROUP BY code ORDER BY 2 DESC"
)


@dataclass
class Verdict:
    """What was found, and what was measured."""

    lost: Sequence[str] = ()
    doubled: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    orders: int = 0
    approved: int = 0
    denials: dict[str, int] = field(default_factory=dict)
    tick_to_order_ms: dict[str, float] = field(default_factory=dict)
    event_to_decision_ms: dict[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """Say what is wrong; empty when all is well."""
        found = [f"lost: {each}" for each in self.lost] + [f"doubled: {each}" for each in self.doubled]
        if not self.findings:
            found.append("the books were not checked")
        return found + [f"not so: {each.invariant}: {each.broken_by[:3]}" for each in self.findings if not each.holds]


async def judge(addresses: Addresses, reader: FiguresReader) -> Verdict:
    """Look again and again until nothing is wrong, or patience ends."""
    deadline = asyncio.get_running_loop().time() + _SETTLE_S
    connection = await asyncpg.connect(addresses.admin_urls[0])
    try:
        while True:
            verdict = await _look(connection, reader)
            if not verdict.failures or asyncio.get_running_loop().time() > deadline:
                return verdict
            await asyncio.sleep(_POLL_S)
    finally:
        await connection.close()


async def _look(connection: Any, reader: FiguresReader) -> Verdict:
    try:
        findings = await reader.check_books()
    except GatewayAwayError:
        findings = []

    async def ids(*queries: str) -> list[str]:
        return [str(row[0]) for query in queries for row in await connection.fetch(query)]

    return Verdict(
        lost=await ids(_LOST, _UNKNOWN_THERE, _FILLS),
        doubled=await ids(_DOUBLED),
        findings=findings,
        orders=await connection.fetchval("SELECT count(*) FROM paper_venue.orders"),
        approved=await connection.fetchval("SELECT count(*) FROM risk_gate.verdicts WHERE outcome = 'approved'"),
        denials={row["code"]: row["times"] for row in await connection.fetch(_DENIALS)},
        tick_to_order_ms=quantiles([row["seconds"] for row in await connection.fetch(_TICK_TO_ORDER)]),
        event_to_decision_ms=quantiles([row["seconds"] for row in await connection.fetch(_EVENT_TO_DECISION)]),
    )


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Give p50 and p99 in milliseconds; nothing of nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {
        "p50": round(ordered[last // 2] * 1000, 1),
        "p99": round(ordered[round(last * 0.99)] * 1000, 1),
        "max": round(ordered[-1] * 1000, 1),
    }
