"""I1 to I9 over the tables of order-worker, the venue, and RabbitMQ: the venue's tables are the truth."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aio_pika

from sigmax.domain.approval import verify
from sigmax.domain.audit import Link, Walk
from sigmax.schemas.orders import OrderApproved
from sigmax_local.chaos.matrix.base import BaseScene
from sigmax_local.chaos.matrix.gate_checks import gate_books
from sigmax_local.chaos.matrix.outside import ACCOUNT, Outside
from sigmax_local.chaos.matrix.stack import CURRENCY
from sigmax_local.servers import Addresses

Violations = Mapping[str, tuple[str, ...]]

CHECKED = {
    "I1": "every approval (also of those on risk-gate's record) has a row that is open with a venue id or has ended",
    "I2": "orders per client order id at the venue, against those that order-worker holds a venue id of",
    "I3": "positions, sums of fills, the venue's trades and balances, by instrument; with risk-gate: its book too",
    "I4": "every ledger transaction, and cash and holdings against the venue's balances",
    "I5": "signature and lifetime of the approval of each order that was sent, and no stranger at the venue; with"
    " risk-gate: its verdict on each of them",
    "I6": "times of sends against the times in which their scope was halted",
    "I7": "rows in the outbox, messages in the dead letters",
    "I8": "the audit chains of order-worker and risk-gate, from the first row to the last",
    "I9": "the open quantity that order-worker counts against the venue's open orders; with risk-gate: quantity and"
    " notional of its reservations against order-worker's open and unknown orders",
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
_I7 = "SELECT count(*) FROM {service}.outbox"
_I8 = """
    SELECT position, at, kind, subject, correlation_id, entry, previous, hash
    FROM {service}.audit_log ORDER BY position
"""


async def violations_of(scene: BaseScene, patience_s: float = PATIENCE_S) -> Violations:
    """Check one cell's orders, again and again until all is well or patience ends; give what is still broken."""
    outside, instruments = scene.gate, [scene.instrument_id]

    async def look() -> Violations:
        ids = [approved.client_order_id for approved in scene.approved]
        found = {
            "I1": await _each_ends(outside, ids),
            "I2": await _counts(outside, ids),
            "I3": await _positions(outside, instruments),
            "I4": await _holdings(outside, [scene.base]),
            "I5": await _approved_sends(outside, ids),
            "I6": await _halted_sends(outside, ids),
            "I9": await _reservations(outside, instruments),
        }
        return _joined(found, await gate_books(outside, instruments) if scene.stack.gate is not None else {})

    return await _patiently(look, patience_s)


async def violations_of_all(outside: Outside, patience_s: float = PATIENCE_S, *, has_gate: bool = False) -> Violations:
    """Check the whole run once everything is quiet."""
    services = ("order_worker", "risk_gate") if has_gate else ("order_worker",)
    strangers = "SELECT client_order_id FROM paper_venue.orders WHERE NOT client_order_id = ANY($1)"

    async def look() -> Violations:
        ids = list(outside.published)
        off = await outside.rows(_I4_SUMS)
        unknown = [row["client_order_id"] for row in await outside.rows(strangers, ids)]
        found = {
            "I1": await _each_ends(outside, ids),
            "I2": await _counts(outside, ids),
            "I4": (
                *(f"transaction {row['transaction_id']} is off by {row['off']} {row['asset']}" for row in off),
                *await _holdings(outside, [CURRENCY]),
            ),
            "I5": (*(f"the venue has {each}, which nobody approved" for each in unknown),),
            "I7": await _messages(outside, services),
            "I8": await _audit(outside, services),
        }
        return _joined(found, await gate_books(outside, None) if has_gate else {})

    return await _patiently(look, patience_s)


async def _patiently(look: Callable[[], Awaitable[Violations]], patience_s: float) -> Violations:
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        found = await look()
        if not found or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(_POLL_S)


def _joined(*groups: Violations) -> Violations:
    """Put what several looks found together, and leave out what holds."""
    found: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for name, texts in group.items():
            found[name] = (*found.get(name, ()), *texts)
    return {name: texts for name, texts in found.items() if texts}


async def _each_ends(outside: Outside, ids: Sequence[str]) -> tuple[str, ...]:
    rows = {row["client_order_id"]: row for row in await outside.rows(_I1, ids)}
    lost = [f"approval of {each} has no order" for each in ids if each not in rows]
    stuck = [
        f"{each} is {row['submission']}, {row['status']}: {row['reason']}"
        for each, row in rows.items()
        if row["status"] in {"pending_new", "pending_cancel"}
        or (row["status"] in {"new", "partially_filled"} and row["venue_order_id"] is None)
    ]
    return (*lost, *stuck)


async def _counts(outside: Outside, ids: Sequence[str]) -> tuple[str, ...]:
    rows = await outside.rows(_I2, ids)
    doubled = [f"the venue has {row['there']} orders of {row['id']}" for row in rows if row["there"] > 1]
    differing = [
        f"the venue has {row['there']} orders of {row['id']}, we {row['here']}"
        for row in rows
        if row["there"] != row["here"]
    ]
    return (*doubled, *differing)


async def _positions(outside: Outside, instruments: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{row['id']}: position {row['position']}, {row['fills']} fills of {row['filled']}; the venue has"
        f" {row['trades']} of {row['traded']} and holds {row['held']}"
        for row in await outside.rows(_I3, instruments, ACCOUNT)
        if not (row["position"] == row["filled"] == row["traded"] == row["held"] and row["fills"] == row["trades"])
    )


async def _holdings(outside: Outside, assets: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{row['asset']}: the ledger has {row['here']}, the venue {row['there']}"
        for row in await outside.rows(_I4_HELD, assets, ACCOUNT)
        if row["here"] != row["there"]
    )


async def _approved_sends(outside: Outside, ids: Sequence[str]) -> tuple[str, ...]:
    key = outside.addresses.secrets.get("order_worker", "approval_key").encode()
    found = []
    for row in await outside.rows(_SENT, ids):
        if not verify(OrderApproved.model_validate_json(row["approved"]), key):
            found.append(f"{row['client_order_id']} was sent without a valid signature")
        if row["sent_at"] > row["valid_until"]:
            found.append(f"{row['client_order_id']} was sent at {row['sent_at']}, valid until {row['valid_until']}")
    return tuple(found)


async def _halted_sends(outside: Outside, ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{row['client_order_id']} was sent at {row['sent_at']}, {scope} {scope_id} was halted since {since}"
        for row in await outside.rows(_SENT, ids)
        for scope, scope_id, since, until in outside.halts
        if scope_id in {"global", row["account_id"], row["instrument_id"]}
        and since < row["sent_at"]
        and (until is None or row["sent_at"] < until)
    )


async def _reservations(outside: Outside, instruments: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{row['id']}: {row['counted']} count as open, {row['open']} are open at the venue"
        for row in await outside.rows(_I9, instruments)
        if row["counted"] != row["open"]
    )


async def _messages(outside: Outside, services: Sequence[str]) -> tuple[str, ...]:
    found = []
    for service in services:
        waiting = await outside.value(_I7.format(service=service))
        found += [f"{waiting} messages are in the outbox of {service}"] if waiting else []
    dead = await dead_letters(outside.addresses, services)
    return (*found, *([f"{dead} dead letters, {outside.planted} planted"] if dead != outside.planted else []))


async def dead_letters(addresses: Addresses, services: Sequence[str]) -> int:
    """Count what the dead letters of services hold."""
    connection = await aio_pika.connect(addresses.admin_urls[2])
    async with connection:
        channel = await connection.channel()
        return sum([await _depth(channel, f"{service}.dead") for service in services])


async def _depth(channel: Any, name: str) -> int:
    queue = await channel.declare_queue(name, passive=True)
    return int(queue.declaration_result.message_count or 0)


async def _audit(outside: Outside, services: Sequence[str]) -> tuple[str, ...]:
    found = []
    for service in services:
        rows = await outside.rows(_I8.format(service=service))
        broken = Walk().follow(Link(**row) for row in rows)
        if broken is not None or not rows:
            found.append(f"the audit chain of {service}: {broken.what if broken else 'it is empty'}")
    return tuple(found)
