"""Turns rows into values and back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from order_worker.domain.order import Looks, Order
from order_worker.domain.permission import StageRow
from order_worker.domain.sightings import Trade
from sigmax.domain.ledger import Execution
from sigmax.domain.orders import VenueWord
from sigmax.schemas.market import base_of, quote_of
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Liquidity, OrderStatus, Scope, Side, Stage, Submission

ORDER_COLUMNS = (
    "approved::text AS approved, client_ids, status, submission, sequence, fence, attempts, cancel_wanted,"
    " venue_order_id, venue_reference, venue_status, venue_filled_quantity, filled_quantity, average_price, reason,"
    " not_before, claimed_at, send_deadline, known_venue_ids, sent_at, acked_at, looks, absences, absent_since,"
    " look_at, is_unclear"
)
APPROVED_COLUMNS = (
    "client_order_id",
    "signal_id",
    "correlation_id",
    "account_id",
    "venue",
    "mode",
    "strategy_id",
    "instrument_id",
    "symbol",
    "side",
    "order_type",
    "time_in_force",
    "quantity",
    "limit_price",
    "trigger_price",
    "reduce_only",
    "valid_until",
    "approved",
    "approved_at",
    "tick_received_at",
    "client_ids",
    "created_at",
    "updated_at",
)
"""What is written once, when a row is added."""
STATE_COLUMNS = (
    "status",
    "submission",
    "sequence",
    "fence",
    "attempts",
    "cancel_wanted",
    "venue_order_id",
    "venue_reference",
    "venue_status",
    "venue_filled_quantity",
    "filled_quantity",
    "average_price",
    "reason",
    "not_before",
    "sent_at",
    "acked_at",
    "looks",
    "absences",
    "absent_since",
    "look_at",
    "is_unclear",
)
"""What changes in a row after it was added, except what a claim writes."""


def order_of(row: Any) -> Order:
    """Build an order from the columns of `ORDER_COLUMNS`."""
    return Order(
        approved=OrderApproved.model_validate_json(row.approved),
        client_ids=row.client_ids,
        status=OrderStatus(row.status),
        submission=Submission(row.submission),
        sequence=row.sequence,
        fence=row.fence,
        attempts=row.attempts,
        cancel_wanted=row.cancel_wanted,
        venue_order_id=row.venue_order_id,
        venue_reference=row.venue_reference,
        word=VenueWord(OrderStatus(row.venue_status), row.venue_filled_quantity),
        filled_quantity=row.filled_quantity,
        average_price=row.average_price,
        reason=row.reason,
        not_before=row.not_before,
        claimed_at=row.claimed_at,
        send_deadline=row.send_deadline,
        known_ids=frozenset(row.known_venue_ids or ()),
        sent_at=row.sent_at,
        acked_at=row.acked_at,
        looks=Looks(row.looks, row.absences, row.absent_since, row.look_at, row.is_unclear),
    )


def state_of(order: Order) -> dict[str, Any]:
    """Give the values of `STATE_COLUMNS`."""
    return {
        "status": str(order.status),
        "submission": str(order.submission),
        "sequence": order.sequence,
        "fence": order.fence,
        "attempts": order.attempts,
        "cancel_wanted": order.cancel_wanted,
        "venue_order_id": order.venue_order_id,
        "venue_reference": order.venue_reference,
        "venue_status": str(order.word.status),
        "venue_filled_quantity": order.word.filled_quantity,
        "filled_quantity": order.filled_quantity,
        "average_price": order.average_price,
        "reason": order.reason,
        "not_before": order.not_before,
        "sent_at": order.sent_at,
        "acked_at": order.acked_at,
        "looks": order.looks.count,
        "absences": order.looks.absences,
        "absent_since": order.looks.absent_since,
        "look_at": order.looks.next_at,
        "is_unclear": order.looks.is_unclear,
    }


def approved_of(order: Order, now: datetime) -> dict[str, Any]:
    """Give the columns that never change: the approval, spelt out for those who read the table."""
    approved = order.approved
    return {
        "client_order_id": approved.client_order_id,
        "signal_id": approved.signal_id,
        "correlation_id": approved.correlation_id,
        "account_id": approved.account_id,
        "venue": approved.venue,
        "mode": str(approved.mode),
        "strategy_id": approved.strategy_id,
        "instrument_id": approved.instrument_id,
        "symbol": order.symbol,
        "side": str(approved.side),
        "order_type": str(approved.order_type),
        "time_in_force": str(approved.time_in_force),
        "quantity": approved.quantity,
        "limit_price": approved.limit_price,
        "trigger_price": approved.trigger_price,
        "reduce_only": approved.reduce_only,
        "valid_until": approved.valid_until,
        "approved": approved.model_dump_json(),
        "approved_at": approved.occurred_at,
        "tick_received_at": approved.tick_received_at,
        "client_ids": order.client_ids,
        "created_at": now,
        "updated_at": now,
    }


def trade_of(row: Any) -> Trade:
    """Build a trade from a row of `orphan_fills`."""
    return Trade(
        execution_id=row.execution_id,
        venue_order_id=row.venue_order_id,
        symbol=row.symbol,
        side=Side(row.side),
        price=row.price,
        quantity=row.quantity,
        fee=row.fee,
        fee_currency=row.fee_currency,
        liquidity=Liquidity(row.liquidity),
        executed_at=row.executed_at,
        client_order_id=row.client_order_id,
    )


def execution_of(row: Any) -> Execution:
    """Build what the ledger folds from a row of `fills`."""
    return Execution(
        execution_id=row.execution_id,
        executed_at=row.executed_at,
        base=base_of(row.instrument_id),
        quote=quote_of(row.instrument_id),
        side=Side(row.side),
        price=row.price,
        quantity=row.quantity,
        fee=row.fee,
        fee_currency=row.fee_currency,
        tax=row.tax,
    )


def stage_of(row: Mapping[str, Any]) -> StageRow:
    """Build a stage from a row of `stages`, or from the JSON of one."""
    told_at = row["told_at"]
    return StageRow(
        Scope(row["scope"]),
        row["scope_id"],
        Stage(row["stage"]),
        told_at if isinstance(told_at, datetime) else datetime.fromisoformat(told_at),
    )
