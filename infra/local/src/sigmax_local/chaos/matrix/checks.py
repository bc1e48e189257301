"""I1 to I9 over the tables of order-worker, the venue, and RabbitMQ: the venue's tables are the truth."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aio_pika

from sigmax.domain.approval import verify
from sigmax.domain.audit import Link, Walk
from sigmax.runtime.rights import rabbitmq_definitions
from sigmax.schemas.orders import OrderApproved
from sigmax_local.chaos.matrix.gate import ACCOUNT, Gate
from sigmax_local.chaos.matrix.stack import CURRENCY
from sigmax_local.servers import Addresses

Violations = Mapping[str, tuple[str, ...]]

CHECKED = {
    "I1": "every approval has a row that is open with a venue id or has ended",
    "I2": "orders per client order id at the venue, against those that order-worker holds a venue id of",
    "I3": "positions, sums of fills, the venue's trades and balances, by instrument",
    "I4": "every ledger transaction, and cash and holdings against the venue's balances",
    "I5": "signature and lifetime of the approval of each order that was sent, and no stranger at the venue",
    "I6": "times of sends against the times in which their scope was halted",
    "I7": "rows in the outbox, messages in the dead letters",
    "I8": "the audit chain of order-worker, from its first row to its last",
    "I9": "the open quantity that order-worker counts against the venue's open orders",
}
PATIENCE_S = 20.0
"""Fills may follow with the next poll."""
_POLL_S = 0.25

_I1 = """
    SELECT client_order_id, status, submission, venue_order_id, reason FROM order_worker.orders
    WHERE client_order_id = ANY($1)
"""
_I2 = """
    SELECT wanted.id, count(v.order_id) AS there,
           coalesce((SELECT count(o.venue_order_id) FROM order_worker.orders o WHERE o.client_order_id = wanted.id), 0)
             AS here
    FROM unnest($1::text[]) AS wanted (id) LEFT JOIN paper_venue.orders v ON v.client_order_id = wanted.id
    GROUP BY wanted.id
"""
_I3 = """
    SELECT i.id, coalesce(p.quantity, 0) AS position,
      (SELECT count(*) FROM order_worker.fills f WHERE f.instrument_id = i.id) AS fills,
      (SELECT count(*) FROM paper_venue.trades t WHERE t.instrument_id = i.id) AS trades,
      (SELECT coalesce(sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END
         - CASE fee_currency WHEN split_part(i.id, '/', 1) THEN fee ELSE 0 END), 0)
       FROM order_worker.fills f WHERE f.instrument_id = i.id) AS filled,
      (SELECT coalesce(sum(CASE side WHEN 'buy' THEN qty ELSE -qty END
         - CASE commission_asset WHEN split_part(i.id, '/', 1) THEN commission ELSE 0 END), 0)
       FROM paper_venue.trades t WHERE t.instrument_id = i.id) AS traded,
      (SELECT coalesce(sum(free + locked), 0) FROM paper_venue.balances b WHERE b.asset = split_part(i.id, '/', 1))
        AS held
    FROM unnest($1::text[]) AS i (id)
    LEFT JOIN order_worker.positions p ON p.instrument_id = i.id AND p.account_id = $2
"""
_I4_SUMS = """
    SELECT transaction_id, asset, sum(amount) AS off FROM order_worker.ledger_entries
    GROUP BY transaction_id, asset HAVING sum(amount) <> 0
"""
_I4_HELD = """
    SELECT a.asset,
      (SELECT coalesce(sum(amount), 0) FROM order_worker.ledger_entries e
       WHERE e.asset = a.asset AND e.account_id = $2 AND e.ledger_account IN ('cash', 'holding')) AS here,
      (SELECT coalesce(sum(free + locked), 0) FROM paper_venue.balances b WHERE b.asset = a.asset) AS there
    FROM unnest($1::text[]) AS a (asset)
"""
_SENT = """
    SELECT client_order_id, approved::text AS approved, instrument_id, account_id, sent_at, valid_until
    FROM order_worker.orders WHERE sent_at IS NOT NULL AND client_order_id = ANY($1)
"""
_I9 = """
    SELECT i.id,
      (SELECT coalesce(sum(quantity - filled_quantity), 0) FROM order_worker.orders o WHERE o.instrument_id = i.id
         AND o.status IN ('pending_new', 'new', 'partially_filled', 'pending_cancel')) AS counted,
      (SELECT coalesce(sum(orig_qty - executed_qty), 0) FROM paper_venue.orders v WHERE v.instrument_id = i.id
         AND v.status IN ('new', 'partially_filled')) AS open
    FROM unnest($1::text[]) AS i (id)
"""
_I8 = """
    SELECT position, at, kind, subject, correlation_id, entry, previous, hash
    FROM order_worker.audit_log ORDER BY position
"""


async def violations_of(gate: Gate, approvals: Sequence[OrderApproved], patience_s: float = PATIENCE_S) -> Violations:
    """Check one cell's orders, again and again until all is well or patience ends; give what is still broken."""
    ids = [approved.client_order_id for approved in approvals]
    instruments = sorted({approved.instrument_id for approved in approvals})

    async def look() -> Violations:
        return _only_broken(
            {
                "I1": await _each_ends(gate, ids),
                "I2": await _counts(gate, ids),
                "I3": await _positions(gate, instruments),
                "I4": await _holdings(gate, [each.split("/", maxsplit=1)[0] for each in instruments]),
                "I5": await _approved_sends(gate, ids),
                "I6": await _halted_sends(gate, ids),
                "I9": await _reservations(gate, instruments),
            }
        )

    return await _patiently(look, patience_s)


async def violations_of_all(gate: Gate, patience_s: float = PATIENCE_S) -> Violations:
    """Check the whole run once everything is quiet."""
    ids = list(gate.published)
    strangers = "SELECT client_order_id FROM paper_venue.orders WHERE NOT client_order_id = ANY($1)"

    async def look() -> Violations:
        off = await gate.rows(_I4_SUMS)
        unknown = [row["client_order_id"] for row in await gate.rows(strangers, ids)]
        return _only_broken(
            {
                "I1": await _each_ends(gate, ids),
                "I2": await _counts(gate, ids),
                "I4": (
                    *(f"transaction {row['transaction_id']} is off by {row['off']} {row['asset']}" for row in off),
                    *await _holdings(gate, [CURRENCY]),
                ),
                "I5": (*(f"the venue has {each}, which nobody approved" for each in unknown),),
                "I7": await _messages(gate),
                "I8": await _audit(gate),
            }
        )

    return await _patiently(look, patience_s)


async def _patiently(look: Callable[[], Awaitable[Violations]], patience_s: float) -> Violations:
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        found = await look()
        if not found or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(_POLL_S)


def _only_broken(found: Mapping[str, tuple[str, ...]]) -> Violations:
    return {name: texts for name, texts in found.items() if texts}


async def _each_ends(gate: Gate, ids: Sequence[str]) -> tuple[str, ...]:
    rows = {row["client_order_id"]: row for row in await gate.rows(_I1, ids)}
    lost = [f"approval of {each} has no order" for each in ids if each not in rows]
    stuck = [
        f"{each} is {row['submission']}, {row['status']}: {row['reason']}"
        for each, row in rows.items()
        if row["status"] in {"pending_new", "pending_cancel"}
        or (row["status"] in {"new", "partially_filled"} and row["venue_order_id"] is None)
    ]
    return (*lost, *stuck)


async def _counts(gate: Gate, ids: Sequence[str]) -> tuple[str, ...]:
    rows = await gate.rows(_I2, ids)
    doubled = [f"the venue has {row['there']} orders of {row['id']}" for row in rows if row["there"] > 1]
    differing = [
        f"the venue has {row['there']} orders of {row['id']}, we {row['here']}"
        for row in rows
        if row["there"] != row["here"]
    ]
    return (*doubled, *differing)


async def _positions(gate: Gate, instruments: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{row['id']}: position {row['position']}, {row['fills']} fills of {row['filled']}; the venue has"
        f" {row['trades']} of {row['traded']} and holds {row['held']}"
        for row in await gate.rows(_I3, instruments, ACCOUNT)
        if not (row["position"] == row["filled"] == row["traded"] == row["held"] and row["fills"] == row["trades"])
    )


async def _holdings(gate: Gate, assets: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{row['asset']}: the ledger has {row['here']}, the venue {row['there']}"
        for row in await gate.rows(_I4_HELD, assets, ACCOUNT)
        if row["here"] != row["there"]
    )


async def _approved_sends(gate: Gate, ids: Sequence[str]) -> tuple[str, ...]:
    key = gate.addresses.secrets.get("order_worker", "approval_key").encode()
    found = []
    for row in await gate.rows(_SENT, ids):
        if not verify(OrderApproved.model_validate_json(row["approved"]), key):
            found.append(f"{row['client_order_id']} was sent without a valid signature")
        if row["sent_at"] > row["valid_until"]:
            found.append(f"{row['client_order_id']} was sent at {row['sent_at']}, valid until {row['valid_until']}")
    return tuple(found)


async def _halted_sends(gate: Gate, ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{row['client_order_id']} was sent at {row['sent_at']}, {scope} {scope_id} was halted since {since}"
        for row in await gate.rows(_SENT, ids)
        for scope, scope_id, since, until in gate.halts
        if scope_id in {"global", row["account_id"], row["instrument_id"]}
        and since < row["sent_at"]
        and (until is None or row["sent_at"] < until)
    )


async def _reservations(gate: Gate, instruments: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{row['id']}: {row['counted']} count as open, {row['open']} are open at the venue"
        for row in await gate.rows(_I9, instruments)
        if row["counted"] != row["open"]
    )


async def _messages(gate: Gate) -> tuple[str, ...]:
    waiting = await gate.value("SELECT count(*) FROM order_worker.outbox")
    dead = await dead_letters(gate.addresses)
    found = [f"{waiting} messages are in the outbox"] if waiting else []
    return (*found, *([f"{dead} dead letters, {gate.planted} planted"] if dead != gate.planted else []))


async def dead_letters(addresses: Addresses) -> int:
    """Count what order-worker's dead letters hold."""
    connection = await aio_pika.connect(addresses.admin_urls[2])
    async with connection:
        channel = await connection.channel()
        names = [each["name"] for each in rabbitmq_definitions(addresses.secrets.rabbitmq_passwords())["queues"]]
        counts = [await _depth(channel, name) for name in names if name == "order_worker.dead"]
    return sum(counts)


async def _depth(channel: Any, name: str) -> int:
    queue = await channel.declare_queue(name, passive=True)
    return int(queue.declaration_result.message_count or 0)


async def _audit(gate: Gate) -> tuple[str, ...]:
    broken = Walk().follow(Link(**row) for row in await gate.rows(_I8))
    return () if broken is None else (f"the audit chain of order-worker: {broken.what}",)
