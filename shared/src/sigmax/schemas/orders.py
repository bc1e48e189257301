"""From an approval to a fill.

risk_gate.order_approved.v1        -> order-worker, api-gateway
risk_gate.order_denied.v1          -> strategy-engine, api-gateway
risk_gate.cancel_requested.v1      -> order-worker
order_worker.order_event.v1        -> risk-gate, strategy-engine, api-gateway, notifier
order_worker.fill.v1               -> risk-gate, strategy-engine, api-gateway
order_worker.position_changed.v1   -> risk-gate, api-gateway
order_worker.reconciled.v1         -> risk-gate, api-gateway
order_worker.venue_health.v1       -> risk-gate, api-gateway

A new field is optional. A new meaning is a new version, published beside the old one while that still has readers.
"""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from sigmax.schemas.base import Message
from sigmax.schemas.types import (
    Action,
    ClientOrderId,
    DenialCode,
    InstrumentId,
    Liquidity,
    Mode,
    Name,
    NonNegative,
    Number,
    OrderStatus,
    OrderType,
    Price,
    Quantity,
    Side,
    Stage,
    Submission,
    Text,
    TimeInForce,
    Utc,
)


class Check(BaseModel):
    """One control, with the number it saw and the limit it held it against."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    control: int = Field(ge=1, le=99)
    """The control's number in the table of risk controls."""
    code: DenialCode
    passed: bool
    seen: str = Field(max_length=200)
    limit: str = Field(max_length=200)


class OrderApproved(Message):
    """An order that risk-gate allows: the only thing that order-worker may send."""

    TOPIC = "risk_gate.order_approved.v1"

    client_order_id: ClientOrderId
    """Derived from the signal: the same signal delivered twice asks for the same order."""
    signal_id: UUID
    account_id: Name
    venue: Name
    mode: Mode
    strategy_id: Name
    strategy_version: int = Field(ge=1)
    instrument_id: InstrumentId
    action: Action
    side: Side
    quantity: Quantity
    order_type: OrderType
    limit_price: Price | None = None
    """None only for an order that ends at the market."""
    trigger_price: Price | None = None
    """At which a resting stop wakes up; None for every other order."""
    time_in_force: TimeInForce
    reduce_only: bool = False
    reference_price: Price
    stop_price: Price | None = None
    target_price: Price | None = None
    valid_until: Utc
    tick_received_at: Utc
    market_time: Utc
    stage: Stage
    checks: tuple[Check, ...] = Field(max_length=60)
    signature: str = Field(default="", max_length=128)
    """HMAC-SHA256 over every other field, hex; see `sigmax.domain.approval`."""


class OrderDenied(Message):
    """risk-gate's no. The order never left the platform, so there is nothing to reconcile."""

    TOPIC = "risk_gate.order_denied.v1"

    signal_id: UUID
    account_id: Name
    strategy_id: Name
    instrument_id: InstrumentId
    action: Action
    code: DenialCode
    text: Text
    """One sentence with the numbers, for a person."""
    checks: tuple[Check, ...] = Field(max_length=60)


class CancelRequested(Message):
    """Take an order off the venue. Repeating it does no harm."""

    TOPIC = "risk_gate.cancel_requested.v1"

    client_order_id: ClientOrderId
    account_id: Name
    requested_by: Name
    reason: Text


class OrderEvent(Message):
    """An order changed."""

    TOPIC = "order_worker.order_event.v1"

    client_order_id: ClientOrderId
    sequence: int = Field(ge=1)
    """Rising by one per order: a reader ignores what is older than what it knows."""
    signal_id: UUID
    account_id: Name
    venue: Name
    strategy_id: Name
    instrument_id: InstrumentId
    side: Side
    order_type: OrderType
    quantity: Quantity
    limit_price: Price | None = None
    trigger_price: Price | None = None
    status: OrderStatus
    submission: Submission
    filled_quantity: NonNegative
    leaves_quantity: NonNegative
    """What may still fill; 0 once the order is terminal."""
    average_price: Price | None = None
    venue_order_id: str | None = Field(default=None, max_length=64)
    reason: Text = ""


class Fill(Message):
    """A trade of ours. Rows, never counters: what was filled is the sum of these."""

    TOPIC = "order_worker.fill.v1"

    execution_id: str = Field(min_length=1, max_length=64)
    """The venue's; unique by venue, account, and execution id."""
    client_order_id: ClientOrderId
    venue_order_id: str = Field(max_length=64)
    signal_id: UUID
    account_id: Name
    venue: Name
    strategy_id: Name
    instrument_id: InstrumentId
    side: Side
    price: Price
    quantity: Quantity
    fee: Number
    """Positive is paid, negative is a rebate."""
    fee_currency: Name
    liquidity: Liquidity
    executed_at: Utc
    """The venue's time."""


class CashBalance(BaseModel):
    """Money of one currency."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    total: Number
    settled: Number


class PositionChanged(Message):
    """A position and the account's cash after a fill or an adjustment."""

    TOPIC = "order_worker.position_changed.v1"

    account_id: Name
    instrument_id: InstrumentId
    sequence: int = Field(ge=1)
    """Rising per account."""
    quantity: Number
    """Base units held; negative is short."""
    average_price: NonNegative
    """Of what is held, fees left out; 0 when flat."""
    realized_pnl: Number
    """Since the first fill, in the quote currency, fees left out."""
    cash: dict[str, CashBalance]


class Difference(BaseModel):
    """One thing on which the venue and our books disagree."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Name
    """`cash`, `position`, `order`, or `clock`."""
    subject: str = Field(max_length=100)
    ours: str = Field(max_length=100)
    venue: str = Field(max_length=100)
    is_dust: bool


class Reconciled(Message):
    """Our books were held against the venue's. No trading before the first that passed."""

    TOPIC = "order_worker.reconciled.v1"

    account_id: Name
    venue: Name
    mode: Mode
    passed: bool
    cash: dict[str, CashBalance]
    positions: dict[str, Decimal]
    """Base units by instrument, as our books have them after this reconciliation."""
    sequence: int = Field(default=0, ge=0)
    """The account's position sequence these figures are as of."""
    differences: tuple[Difference, ...] = Field(max_length=1000)
    as_of: Utc


class VenueHealth(Message):
    """Whether the venue answers: told when that changes, and every few seconds. Silence is no good news."""

    TOPIC = "order_worker.venue_health.v1"

    account_id: Name
    venue: Name
    is_answering: bool
    failing_since: Utc | None = None
    """When the first of the requests that were not answered was asked; None while it answers."""
    recovering_since: Utc | None = None
    """Since when all of them are answered again, while too many of the last ones were not: no more time counts."""
    mode: Mode | None = None
    """What order-worker trades in; None from one that does not say."""
    hosts: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = Field(default=(), max_length=10)
    """Names of the hosts its requests go to."""
    key_fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    """Tells one venue key from another, and nothing of the key."""
    is_circuit_open: bool = False
    """Submits in a row were not answered: who says so sends nothing for a while."""
    clock_gap_ms: Number = Decimal(0)
    """The venue's clock less ours."""
    orders_unknown: int = Field(default=0, ge=0)
    """Orders of the account of which nobody knows yet whether the venue has them."""
    orders_unclear: int = Field(default=0, ge=0)
    """Those among them that are not going to be clear without a person: the budget of looks is spent, or several venue
    orders may be one of ours."""
    as_of: Utc
