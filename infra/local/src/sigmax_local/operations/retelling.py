"""Tell again what was on its way between services when a backup was taken.

A message that had left its publisher's outbox and was not yet handled by its readers lay in RabbitMQ alone, which is
not in the backup: risk-gate would wait for ever for the end of an order, a strategy for a fill. The publishers' tables
say what was told, the readers' inboxes what was heard. What is missing is made anew, with the ids it had, and put into
the outbox; readers drop what they have.

Only what holds something open is told again: approvals (room is reserved for them), the newest event of each order, and
fills. Signals, decisions, and commands end by their own deadlines.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sigmax.domain.orders import leaves_quantity
from sigmax.schemas.base import Message
from sigmax.schemas.orders import Fill, OrderApproved, OrderEvent
from sigmax.schemas.topology import REACH, owner_of
from sigmax.schemas.types import OrderStatus
from sigmax_local.operations.database import Place, query, writing

_MONEY = frozenset({"strategy_engine", "risk_gate", "order_worker"})
"""Whose work waits for what they have not heard; people's views and alerts do not."""
_SPAN = "interval '1 day'"
"""Before the newest order: nothing is on its way for so long."""
_SINCE = f"(SELECT max(updated_at) - {_SPAN} FROM order_worker.orders)"  # noqa: S608 - names of ours
_APPROVED = f"""
SELECT approved || jsonb_build_object('checks', checks) FROM risk_gate.verdicts
WHERE outcome = 'approved' AND created_at >= coalesce({_SINCE}, now() - {_SPAN})
"""  # noqa: S608
_ORDERS = f"""
SELECT to_jsonb(o) FROM order_worker.orders o WHERE updated_at >= {_SINCE}
"""  # noqa: S608
_FILLS = f"""
SELECT to_jsonb(f) || jsonb_build_object('approved', o.approved)
FROM order_worker.fills f JOIN order_worker.orders o USING (client_order_id) WHERE f.recorded_at >= {_SINCE}
"""  # noqa: S608


def retell(place: Place, database: str) -> dict[str, int]:
    """Put what some reader has not heard into the outboxes; give how many messages of each topic. No service may run.

    Raises `DatabaseError`, or `pydantic.ValidationError` when a row is not what its service writes.
    """
    told: dict[str, int] = {}
    statements: list[str] = []
    kinds: tuple[tuple[type[Message], str, Callable[[dict[str, Any]], Message | None]], ...] = (
        (OrderApproved, _APPROVED, _approval),
        (OrderEvent, _ORDERS, _event),
        (Fill, _FILLS, _fill),
    )
    for kind, sql, make in kinds:
        missing = list(_unheard(place, database, kind, _made(place, database, sql, make)))
        told[kind.TOPIC] = len(missing)
        statements += [_insert(message) for message in missing]
    if statements:
        with writing(place, "psql", "-d", database, "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1") as psql:
            psql.write("\n".join(statements).encode())
    return told


def _made(place: Place, database: str, sql: str, make: Callable[[dict[str, Any]], Message | None]) -> Iterator[Message]:
    # One line per row: Postgres writes jsonb without line breaks, and escapes those inside of texts.
    for (row,) in query(place, sql, database):
        message = make(json.loads(row, parse_float=Decimal))
        if message is not None:
            yield message


def _approval(row: dict[str, Any]) -> OrderApproved:
    return OrderApproved.model_validate(row)


def _event(row: dict[str, Any]) -> OrderEvent | None:
    if row["sequence"] < 1:
        return None  # nothing was told of it yet
    status, quantity, filled = OrderStatus(row["status"]), Decimal(row["quantity"]), Decimal(row["filled_quantity"])
    return OrderEvent.model_validate(
        {
            **{name: row[name] for name in OrderEvent.model_fields if name in row},
            **OrderEvent.after(_cause(row), datetime.fromisoformat(row["updated_at"]), part=str(row["sequence"])),
            "leaves_quantity": leaves_quantity(status, quantity, filled),
        }
    )


def _fill(row: dict[str, Any]) -> Fill:
    return Fill.model_validate(
        {
            **{name: row[name] for name in Fill.model_fields if name in row},
            "fee": Decimal(row["fee"]) + Decimal(row.get("tax", 0)),  # the message tells all that is kept of a trade
            **Fill.after(_cause(row), datetime.fromisoformat(row["recorded_at"]), part=row["execution_id"]),
        }
    )


def _cause(row: dict[str, Any]) -> Message:
    """Give the approval as far as the ids of what followed from it depend on it."""
    approved = row["approved"]
    message_id, correlation_id = UUID(approved["message_id"]), UUID(approved["correlation_id"])
    return OrderApproved.model_construct(message_id=message_id, correlation_id=correlation_id)  # type: ignore[call-arg]


def _unheard(place: Place, database: str, kind: type[Message], made: Iterable[Message]) -> Iterator[Message]:
    """Give those that some reader's inbox does not have, and that their publisher's outbox has no more."""
    publisher = kind.TOPIC.split(".", 1)[0]
    waiting = {row[0] for row in query(place, f"SELECT message_id FROM {publisher}.outbox", database)}  # noqa: S608
    readers = [owner_of(service) for service, reach in REACH.items() if kind in reach.consumes]
    heard = [
        {
            row[0]
            for row in query(
                place,
                f"SELECT message_id FROM {reader}.inbox WHERE topic = '{kind.TOPIC}'",  # noqa: S608
                database,
            )
        }
        for reader in readers
        if reader in _MONEY
    ]
    for message in made:
        name = str(message.message_id)
        if name not in waiting and not all(name in one for one in heard):
            yield message


def _insert(message: Message) -> str:
    return (
        f"INSERT INTO {message.producer}.outbox (message_id, topic, body, headers) VALUES "  # noqa: S608
        f"('{message.message_id}', '{message.topic}', decode('{message.encode().hex()}', 'hex'), '')"
        " ON CONFLICT DO NOTHING;"
    )
