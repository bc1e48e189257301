"""What protective exits and flattening need from the world."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from risk_gate.domain.exits import ExitRules, OpenOrder
from risk_gate.domain.flattening import Flattening
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.protection import Bought, Levels, Protection
from risk_gate.domain.watch import Watch
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import ExitKind, Scope


@dataclass(frozen=True, slots=True)
class ExitOrder:
    """An order that a protection made."""

    client_order_id: str
    protection_id: UUID
    kind: ExitKind
    is_resting: bool
    wanted_quantity: Decimal | None
    trigger_price: Decimal | None
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WaitingSale:
    """A strategy's sale that waits for the resting stop to leave the venue."""

    signal: Signal
    size_factor: Decimal
    since: datetime


@dataclass(frozen=True, slots=True)
class PositionKey:
    """One strategy's position in one instrument."""

    account_id: str
    strategy_id: str
    instrument_id: str


@dataclass(frozen=True, slots=True)
class Holding:
    """What one strategy holds of one instrument."""

    key: PositionKey
    quantity: Decimal
    refusal: str = ""
    """Why the last attempt to sell it was denied."""
    is_guarded: bool = False
    """A protection has it; what none has is too small to be sold."""


class ExitLedgerPort(Protocol):
    """The protections of positions, in one open transaction. Lock the account before you change one."""

    async def protections(self) -> Sequence[Protection]:
        """Give every live protection."""
        ...

    async def protection(self, protection_id: UUID) -> Protection | None:
        """Give one protection, its row locked."""
        ...

    async def protection_of(self, key: PositionKey) -> Protection | None:
        """Give the live protection of a position, its row locked."""
        ...

    async def asked_about(self, exit_id: UUID) -> Protection | None:
        """Give the protection that waits for judgement on an exit, not locked."""
        ...

    async def keep_protection(self, protection: Protection) -> None:
        """Store a protection as it is now."""
        ...

    async def raise_best(self, best: dict[UUID, Decimal]) -> None:
        """Store the highest prices seen, where they are higher than those that are stored."""
        ...

    async def levels(self, client_order_id: str) -> Levels:
        """Give what an order's approval says about leaving its position; nothing for an order that is not known."""
        ...

    async def limits_of(self, account_id: str) -> RiskLimits | None:
        """Give the account's newest limits, or None where they cannot be read."""
        ...

    async def held_by(self, key: PositionKey) -> Decimal:
        """Give what a strategy holds."""
        ...

    async def unguarded(self) -> Sequence[Bought]:
        """Give what strategies hold and nothing ever guarded, at the average price of their buys."""
        ...

    async def orders_of(self, key: PositionKey) -> Sequence[OpenOrder]:
        """Give the orders of a position that may still fill, and other strategies' buys of its instrument."""
        ...

    async def orders_by_position(self) -> dict[PositionKey, list[OpenOrder]]:
        """Give all orders that may still fill."""
        ...

    async def keep_exit_order(self, order: ExitOrder) -> None:
        """Note that a protection made an order."""
        ...

    async def exit_order(self, client_order_id: str) -> ExitOrder | None:
        """Give the note on an order, if a protection made it."""
        ...

    async def cancel_asked(self, client_order_id: str, now: datetime) -> None:
        """Note that an order was asked to leave the venue."""
        ...

    async def exit_order_ended(self, client_order_id: str, now: datetime) -> bool:
        """Note that an order of a protection has ended; False when that was known."""
        ...

    async def keep_waiting(self, sale: WaitingSale) -> None:
        """Keep a sale until the resting stop has ended."""
        ...

    async def waiting(self, key: PositionKey | None = None) -> Sequence[WaitingSale]:
        """Give the sales that wait, of one position or of all."""
        ...

    async def waits_no_more(self, signal_id: UUID) -> None:
        """Forget a waiting sale: it is decided."""
        ...

    async def add_stop_out(self, protection: Protection, now: datetime) -> None:
        """Put a position that its protection closed on record, with what it made."""
        ...

    async def start_flattening(self, flattening: Flattening) -> None:
        """Put the beginning of a flattening on record."""
        ...

    async def flattenings(self) -> Sequence[Flattening]:
        """Give the flattenings under way, their rows locked; those another replica holds are its business."""
        ...

    async def keep_flattening(self, flattening: Flattening) -> None:
        """Store how far a flattening is."""
        ...

    async def protections_in(self, scope: Scope, scope_id: str) -> Sequence[Protection]:
        """Give the live protections of a scope."""
        ...

    async def give_unowned(self, scope: Scope, scope_id: str, strategy_id: str) -> Sequence[Holding]:
        """Give to a name what the accounts of a scope hold and no strategy bought."""
        ...

    async def holdings_in(self, scope: Scope, scope_id: str) -> Sequence[Holding]:
        """Give what the strategies of a scope hold, guarded or not."""
        ...


class ExitMeterPort(Protocol):
    """Measures exits."""

    def exited(self, approved: OrderApproved, kind: ExitKind) -> None:
        """Take the time from the tick to the approval of the exit that it made."""
        ...

    def naked(self, seconds: float) -> None:
        """Take how long a position had neither a resting stop nor an exit order at the venue."""
        ...


class Unmeasured:
    """Measures nothing."""

    def exited(self, approved: OrderApproved, kind: ExitKind) -> None:
        """Take nothing."""

    def naked(self, seconds: float) -> None:
        """Take nothing."""


@dataclass(frozen=True, slots=True)
class ExitDesk:
    """What exits reach beside the rest of the world."""

    rules: ExitRules = field(default_factory=ExitRules)
    watch: Watch = field(default_factory=Watch)
    meter: ExitMeterPort = field(default_factory=Unmeasured)
