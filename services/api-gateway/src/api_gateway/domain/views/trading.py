"""Accounts, positions, orders, fills, and the ledger."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from api_gateway.domain.views.base import Json, View
from sigmax.schemas.types import Liquidity, Mode, OrderStatus, OrderType, Side, Submission, TimeInForce


class AccountView(View):
    """One trading account and what it is worth."""

    account_id: str
    venue: str
    mode: Mode
    currency: str
    cash: dict[str, Decimal]
    """By asset; the sum of the ledger's cash entries."""
    settled_cash: dict[str, Decimal]
    holdings: dict[str, Decimal]
    """By asset; the sum of the ledger's holding entries."""
    holdings_value: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    equity: Decimal | None
    """In the account's currency; null while a holding has no price."""
    unpriced: list[str]
    """Instruments held that have no price in the account's currency."""
    is_reconciled: bool | None
    """Whether the last comparison with the venue passed; null before the first."""
    reconciled_at: datetime | None


class PositionView(View):
    """What is held of one instrument."""

    account_id: str
    instrument_id: str
    quantity: Decimal
    """Base units; negative is short."""
    average_price: Decimal
    realized_pnl: Decimal
    last_price: Decimal | None
    priced_at: datetime | None
    unrealized_pnl: Decimal | None
    updated_at: datetime


class OrderView(View):
    """One order, from approval to its end."""

    client_order_id: str
    venue_order_id: str | None
    signal_id: UUID
    correlation_id: UUID
    account_id: str
    venue: str
    mode: Mode
    strategy_id: str
    instrument_id: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None = None
    """At which a resting stop wakes up."""
    reduce_only: bool = False
    status: OrderStatus
    """FIX's word, and so the venue's."""
    submission: Submission
    """Ours: whether the venue has the order."""
    filled_quantity: Decimal
    average_price: Decimal | None
    reason: str
    tick_received_at: datetime | None
    approved_at: datetime | None
    claimed_at: datetime | None
    sent_at: datetime | None
    acked_at: datetime | None
    created_at: datetime
    updated_at: datetime


class FillView(View):
    """One trade of ours."""

    execution_id: str
    client_order_id: str | None
    venue_order_id: str
    signal_id: UUID | None
    strategy_id: str | None
    account_id: str
    venue: str
    instrument_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    executed_at: datetime
    recorded_at: datetime


class LedgerEntryView(View):
    """One line of the double-entry ledger; per transaction and asset the amounts sum to zero."""

    entry_id: int
    transaction_id: UUID
    account_id: str
    ledger_account: str
    asset: str
    amount: Decimal
    settles_at: datetime | None
    reason: str
    execution_id: str | None
    created_at: datetime


class ReconciliationView(View):
    """One comparison of our books with the venue's."""

    reconciliation_id: int
    account_id: str
    passed: bool
    differences: Json
    created_at: datetime
