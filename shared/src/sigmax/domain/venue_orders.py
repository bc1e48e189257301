"""An order as the venue sees it, and what may happen to it."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sigmax.domain.fees import EXACT
from sigmax.domain.trading_rules import Refusal
from sigmax.domain.wallet import Balance
from sigmax.schemas.types import OrderStatus, Side, TimeInForce

_ZERO = Decimal(0)


class OrderKind(StrEnum):
    """What a venue is asked to do with an order."""

    LIMIT = "limit"
    LIMIT_MAKER = "limit_maker"
    """A limit order that is refused rather than filled at once."""
    MARKET = "market"
    STOP_LOSS = "stop_loss"
    """Waits for a trade that goes against its owner's position, then becomes a market order."""
    STOP_LOSS_LIMIT = "stop_loss_limit"
    TAKE_PROFIT = "take_profit"
    """The same for a trade that goes the owner's way."""
    TAKE_PROFIT_LIMIT = "take_profit_limit"

    @property
    def is_stop_loss(self) -> bool:
        """Say whether it waits for a loss."""
        return self in (OrderKind.STOP_LOSS, OrderKind.STOP_LOSS_LIMIT)

    @property
    def is_stop(self) -> bool:
        """Say whether it waits for a trade before it works."""
        return self.is_stop_loss or self in (OrderKind.TAKE_PROFIT, OrderKind.TAKE_PROFIT_LIMIT)

    @property
    def has_limit(self) -> bool:
        """Say whether it works at a limit price, and not at any."""
        return self not in (OrderKind.MARKET, OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What an account asks for. Exactly one of `quantity` and `notional` is given; `notional` only for MARKET."""

    account_id: str
    instrument_id: str
    client_order_id: str
    side: Side
    kind: OrderKind
    time_in_force: TimeInForce = TimeInForce.GTC
    quantity: Decimal | None = None
    notional: Decimal | None = None
    """Quote units to spend or to raise, as many as fit."""
    price: Decimal | None = None
    """The limit; None for what trades at the market."""
    stop_price: Decimal | None = None
    """At which a stop wakes up; None for every other kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An accepted order at one moment. It never changes: each event carries the order as it is after it."""

    order_id: int
    account_id: str
    instrument_id: str
    client_order_id: str
    side: Side
    kind: OrderKind
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    notional: Decimal | None
    status: OrderStatus
    created_ns: int
    updated_ns: int
    filled: Decimal = _ZERO
    filled_notional: Decimal = _ZERO
    stop_price: Decimal | None = None
    triggered_ns: int | None = None
    """When a stop woke up; None while it waits, and for every other kind."""

    @property
    def is_waiting(self) -> bool:
        """Say whether this is a stop that has not woken up: it is open, and trades with nobody."""
        return self.is_open and self.kind.is_stop and self.triggered_ns is None

    @property
    def working_ns(self) -> int | None:
        """Give when the order began to work in the market; None where it has not."""
        return self.triggered_ns if self.kind.is_stop else self.created_ns

    @property
    def leaves(self) -> Decimal:
        """Give the base units that are not filled."""
        return EXACT.subtract(self.quantity, self.filled)

    @property
    def is_open(self) -> bool:
        """Say whether the order may still fill."""
        return not self.status.is_terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """One fill. The commission is in the asset received: base for a buy, quote for a sell."""

    trade_id: int
    """Unique over all instruments and accounts of the venue, and rising."""
    price: Decimal
    quantity: Decimal
    notional: Decimal
    commission: Decimal
    commission_asset: str
    is_maker: bool
    executed_ns: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The order is in the book, or waits for its stop price; its funds are locked."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Triggered:
    """A stop woke up: from here on it is an order like any other."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Executed:
    """The order was filled, in part or whole."""

    order: VenueOrder
    trade: VenueTrade


@dataclass(frozen=True, slots=True)
class Ended:
    """The order left the book unfilled or filled in part: canceled or expired."""

    order: VenueOrder


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    """A balance is now this."""

    account_id: str
    asset: str
    balance: Balance


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue's no: nothing changed."""

    reason: Refusal


Event = Accepted | Triggered | Executed | Ended | BalanceChanged
