"""Ending with nothing held: what is left of it, and why."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sigmax.schemas.types import Scope

UNOWNED = "unowned"
"""Stands for the strategy of what an account holds and none of ours bought."""


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is not closed yet."""

    strategy_id: str
    instrument_id: str
    quantity: Decimal
    reason: str
    is_dust: bool = False
    """Too small to be sold: nobody waits for it."""

    def shown(self) -> dict[str, str]:
        """Give it as JSON has it."""
        return {
            "strategy_id": self.strategy_id,
            "instrument_id": self.instrument_id,
            "quantity": f"{self.quantity:f}",
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Flattening:
    """One order to hold nothing, within a scope."""

    flattening_id: UUID
    scope: Scope
    scope_id: str
    requested_by: str
    reason: str
    started_at: datetime
    ended_at: datetime | None = None
    is_flat: bool | None = None
    everything: bool = False
    """Also what the account holds and no strategy of ours bought."""
    remaining: tuple[dict[str, str], ...] = field(default_factory=tuple)


def has_ended(left: Iterable[Left], open_orders: int, started_at: datetime, now: datetime, within: timedelta) -> bool:
    """Say whether a flattening is over: nothing is left that could still be sold, or its time is."""
    is_done = open_orders == 0 and all(each.is_dust for each in left)
    return is_done or now - started_at >= within


def outcome(left: Iterable[Left], open_orders: int) -> str:
    """Say in a sentence how a flattening ended."""
    kept = [f"{each.quantity:f} {each.instrument_id} of {each.strategy_id} ({each.reason})" for each in left]
    if open_orders:
        kept.append(f"{open_orders} orders that may still fill")
    return f"Left: {'; '.join(kept)}." if kept else "Nothing is held and no order is open."
