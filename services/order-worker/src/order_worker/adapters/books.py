"""The books in Postgres: transactions, claims, and plain reads."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from order_worker.adapters.page import Page
from order_worker.adapters.rows import ORDER_COLUMNS, order_of, stage_of
from order_worker.domain.order import Order
from order_worker.domain.permission import StageRow
from order_worker.domain.sightings import Sighting
from order_worker.domain.terms import Terms
from order_worker.ports import Account, Claim
from sigmax.runtime.database import Database
from sigmax.schemas.base import Message

_RECENT = timedelta(seconds=10)
"""Entries younger than this stay above the checkpoint: a reconciliation tells them apart."""
_RECONCILED_AGE_MAX = timedelta(seconds=180)

# Nothing is sent behind a request in flight, nor behind an unknown one. An exit waits for the first look, or until that
# is overdue (`Order.lets_exits_pass`), then goes when so much is proven to be held.
_IN_THE_WAY = """
    (b.submission = 'sending' OR b.submission = 'unknown' AND NOT (
        o.reduce_only AND (b.looks > 0 OR b.claimed_at <= :overdue_since) AND o.quantity <= COALESCE(
            (SELECT abs(p.quantity) FROM positions p
             WHERE p.account_id = :account_id AND p.instrument_id = o.instrument_id), 0)))
"""
_MAY_GO = f"""
    o.account_id = :account_id AND o.submission = 'ready' AND (o.not_before IS NULL OR o.not_before <= :now)
    AND EXISTS (SELECT FROM accounts a WHERE a.account_id = :account_id AND a.is_reconciled
                AND a.blocked_reason IS NULL AND a.reconciled_at >= :reconciled_since)
    AND NOT EXISTS (SELECT FROM orders b WHERE b.account_id = :account_id AND b.instrument_id = o.instrument_id
                    AND {_IN_THE_WAY})
    -- Without client ids the whole account is one lane: what is not answered could not be told apart.
    AND (o.client_ids OR NOT EXISTS (SELECT FROM orders b WHERE b.account_id = :account_id
                                     AND b.submission IN ('sending', 'unknown') AND NOT b.client_ids AND {_IN_THE_WAY}))
"""  # noqa: S608 (the statement is a constant)
_CLAIM = text(
    f"""
    UPDATE orders SET submission = 'sending', fence = fence + 1, worker = :worker, claimed_at = :now,
        send_deadline = :send_deadline, lease_until = :lease_until, updated_at = :now,
        known_venue_ids = CAST(:known_ids AS text[])
    WHERE order_id = (
        SELECT o.order_id FROM orders o
        WHERE o.instrument_id = :instrument_id AND (o.client_ids OR CAST(:known_ids AS text[]) IS NOT NULL)
          AND {_MAY_GO}
        ORDER BY o.reduce_only DESC, o.order_id LIMIT 1 FOR UPDATE)
      AND submission = 'ready'
    RETURNING {ORDER_COLUMNS}, (SELECT json_agg(row_to_json(g))::text FROM stages g) AS stages
    """  # noqa: S608 (columns are constants)
)
_NEXT_KEY = text(
    f"""
    SELECT o.account_id, o.instrument_id FROM orders o WHERE NOT o.client_ids AND {_MAY_GO}
    ORDER BY o.reduce_only DESC, o.order_id LIMIT 1
    """  # noqa: S608 (the statement is a constant)
)
_READY_KEYS = text(
    """
    SELECT account_id, instrument_id, bool_or(reduce_only) AS is_exit FROM orders
    WHERE submission = 'ready' AND account_id = :account_id AND (not_before IS NULL OR not_before <= :now)
    GROUP BY account_id, instrument_id ORDER BY bool_or(reduce_only) DESC, min(order_id) LIMIT :limit
    """
)
_SELECT = f"SELECT {ORDER_COLUMNS} FROM orders WHERE account_id = :account_id"  # noqa: S608 (columns are constants)
_ORDERS_OF = text(
    f"{_SELECT} AND (venue_order_id = ANY(CAST(:venue_ids AS text[])) OR client_order_id = ANY(CAST(:ids AS text[])))"
)
_UNMATCHED = text(
    f"{_SELECT} AND NOT client_ids AND venue_order_id IS NULL AND (submission IN ('sending', 'unknown')"
    " OR submission = 'absent' AND absences > 0 AND claimed_at >= :since) ORDER BY order_id"
)
_UNFINISHED = text(
    f"{_SELECT} AND status IN ('pending_new', 'new', 'partially_filled', 'pending_cancel') AND submission <> 'ready'"
    " ORDER BY order_id"
)
_ACCOUNT = text(
    "SELECT sequence, blocked_reason, blocked_at, reconciled_at FROM accounts WHERE account_id = :account_id"
)
_CHECKPOINT = text(
    """
    INSERT INTO ledger_checkpoints (account_id, ledger_account, asset, amount, up_to_entry_id)
    SELECT :account_id, ledger_account, asset, sum(amount), :up_to FROM (
        SELECT ledger_account, asset, amount FROM ledger_entries
        WHERE account_id = :account_id AND entry_id > :since AND entry_id <= :up_to
        UNION ALL
        SELECT ledger_account, asset, amount FROM ledger_checkpoints WHERE account_id = :account_id) AS all_entries
    GROUP BY ledger_account, asset
    ON CONFLICT (account_id, ledger_account, asset)
    DO UPDATE SET amount = excluded.amount, up_to_entry_id = excluded.up_to_entry_id
    """
)
# Entries that have not settled stay above the checkpoint as well, where each sum can tell them apart.
_CHECKPOINT_RANGE = text(
    """
    SELECT COALESCE((SELECT max(up_to_entry_id) FROM ledger_checkpoints WHERE account_id = :account_id), 0) AS since,
           COALESCE((SELECT min(entry_id) - 1 FROM ledger_entries
                     WHERE account_id = :account_id AND greatest(settles_at, executed_at) > :recent
                     AND entry_id > COALESCE(
                        (SELECT max(up_to_entry_id) FROM ledger_checkpoints WHERE account_id = :account_id), 0)),
                    (SELECT max(entry_id) FROM ledger_entries WHERE account_id = :account_id), 0) AS up_to
    """
)


class Books:
    """The books of one account."""

    def __init__(self, database: Database, terms: Terms) -> None:
        self._database = database
        self._terms = terms

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Page]:
        """Open a transaction."""
        async with self._database.transaction() as unit:
            yield Page(unit, await unit.session.connection(), self._terms)

    async def prepare(self) -> None:
        """Make the account's row, if this is its first start."""
        async with self._database.transaction() as unit:
            await unit.session.execute(
                text("INSERT INTO accounts (account_id) VALUES (:account_id) ON CONFLICT DO NOTHING"),
                {"account_id": self._terms.account_id},
            )

    async def claim(self, key: tuple[str, str], now: datetime, known_ids: frozenset[str] | None = None) -> Claim | None:
        """Claim the next order of a key, and commit. None when there is none, or none may go now."""
        terms = self._terms
        values = {
            "account_id": key[0],
            "instrument_id": key[1],
            "worker": terms.worker,
            **self._may_go_at(now),
            "send_deadline": now + terms.send,
            "lease_until": now + terms.lease,
            "known_ids": None if known_ids is None else sorted(known_ids),
        }
        try:
            async with self._database.reading() as session:  # one statement, committed by itself
                row = (await (await session.connection()).execute(_CLAIM, values)).first()
        except IntegrityError:
            return None  # another worker has a request of this key, or of this account, in flight
        if row is None:
            return None
        stages: list[dict[str, Any]] = json.loads(row.stages or "[]")
        return Claim(order_of(row), tuple(stage_of(each) for each in stages))

    async def next_key(self, account_id: str, now: datetime) -> tuple[str, str] | None:
        """Give the key of the order that may go next in an account whose venue keeps no client ids."""
        rows = await self._read(_NEXT_KEY, **{"account_id": account_id, **self._may_go_at(now)})
        return (rows[0].account_id, rows[0].instrument_id) if rows else None

    def _may_go_at(self, now: datetime) -> dict[str, datetime]:
        return {
            "now": now,
            "reconciled_since": now - _RECONCILED_AGE_MAX,
            "overdue_since": now - self._terms.exit_waits_max,
        }

    async def unmatched(self, claimed_since: datetime) -> list[Order]:
        """Give the orders without client ids that may be at the venue and have no id of its own yet, unlocked."""
        return [order_of(row) for row in await self._read(_UNMATCHED, since=claimed_since)]

    async def ready_keys(self, now: datetime, limit: int) -> dict[tuple[str, str], bool]:
        """Give the keys that have an order waiting, and whether one of these is an exit: those first."""
        rows = await self._read(_READY_KEYS, now=now, limit=limit)
        return {(row.account_id, row.instrument_id): row.is_exit for row in rows}

    async def was_handled(self, message: Message) -> bool:
        """Say whether a message is in the inbox; its handler asks before it does what costs something."""
        async with self._database.reading() as session:
            query = text("SELECT EXISTS (SELECT FROM inbox WHERE message_id = :message_id)")
            return bool((await session.execute(query, {"message_id": message.message_id})).scalar())

    async def known_executions(self, execution_ids: Sequence[str]) -> frozenset[str]:
        """Say which of these trades are entered already."""
        if not execution_ids:
            return frozenset()
        query = "SELECT execution_id FROM fills WHERE account_id = :account_id AND venue = :venue"
        rows = await self._read(
            text(f"{query} AND execution_id = ANY(CAST(:ids AS text[]))"),
            venue=self._terms.venue,
            ids=list(execution_ids),
        )
        return frozenset(row.execution_id for row in rows)

    async def orders_of(self, sightings: Sequence[Sighting]) -> Mapping[str, Order]:
        """Give the orders that these sightings are of, by venue order id, unlocked."""
        if not sightings:
            return {}
        rows = await self._read(
            _ORDERS_OF,
            venue_ids=[sighting.venue_order_id for sighting in sightings],
            ids=[sighting.client_order_id for sighting in sightings if sighting.client_order_id],
        )
        orders = [order_of(row) for row in rows]
        by_venue_id = {order.venue_order_id: order for order in orders if order.venue_order_id}
        by_client_id = {order.client_order_id: order for order in orders}
        found = {}
        for sighting in sightings:
            order = by_venue_id.get(sighting.venue_order_id) or by_client_id.get(sighting.client_order_id or "")
            # A client id that the venue has seen before may name another order there: ours keeps its own.
            if order is not None and order.venue_order_id in (None, sighting.venue_order_id):
                found[sighting.venue_order_id] = order
        return found

    async def unfinished(self) -> list[Order]:
        """Give the orders that rest, or may rest, at the venue, unlocked."""
        return [order_of(row) for row in await self._read(_UNFINISHED)]

    async def owned(self, venue_order_ids: Collection[str]) -> frozenset[str]:
        """Say which of these venue orders are ours."""
        query = "SELECT venue_order_id FROM orders WHERE account_id = :account_id"
        rows = await self._read(
            text(f"{query} AND venue_order_id = ANY(CAST(:ids AS text[]))"), ids=list(venue_order_ids)
        )
        return frozenset(row.venue_order_id for row in rows)

    async def instruments(self) -> frozenset[str]:
        """Give every instrument we ever had an order in."""
        rows = await self._read(text("SELECT DISTINCT instrument_id FROM orders WHERE account_id = :account_id"))
        return frozenset(row.instrument_id for row in rows)

    async def stages(self) -> tuple[StageRow, ...]:
        """Give every stage we were told."""
        async with self._database.reading() as session:
            rows = (await session.execute(text("SELECT scope, scope_id, stage, told_at FROM stages"))).mappings()
            return tuple(stage_of(dict(row)) for row in rows)

    async def account(self) -> Account:
        """Give the account's row, unlocked."""
        row = (await self._read(_ACCOUNT))[0]
        return Account(row.sequence, row.blocked_reason, row.blocked_at, row.reconciled_at)

    async def checkpoint(self, now: datetime) -> None:
        """Keep the sum of the ledger so far, so that sums stay quick."""
        account_id = self._terms.account_id
        async with self._database.transaction() as unit:
            # Whoever appends to the ledger holds this row: no entry below the newest can still be on its way.
            await Page(unit, await unit.session.connection(), self._terms).lock_account()
            bounds = (
                await unit.session.execute(_CHECKPOINT_RANGE, {"account_id": account_id, "recent": now - _RECENT})
            ).one()
            if bounds.up_to > bounds.since:
                values = {"account_id": account_id, "since": bounds.since, "up_to": bounds.up_to}
                await unit.session.execute(_CHECKPOINT, values)

    async def _read(self, query: Any, **values: Any) -> Sequence[Any]:
        async with self._database.reading() as session:
            return (await session.execute(query, {"account_id": self._terms.account_id, **values})).all()
