"""What stages, postures, and the watch need of a transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from risk_gate.domain.stages import CurrentStage
from sigmax.schemas.types import Scope


class StageLedgerPort(Protocol):
    """The stages, and the orders that a stop takes off the venue."""

    async def stages(self) -> Sequence[CurrentStage]:
        """Give every stored stage that can be read."""
        ...

    async def stage(self, scope: Scope, scope_id: str) -> CurrentStage | None:
        """Give the stored stage of one scope, and keep others from changing it until this transaction ends."""
        ...

    async def set_stage(self, stage: CurrentStage, now: datetime) -> int:
        """Store a stage under the scope's next version, with its line of history, and give that version."""
        ...

    async def open_orders(self, scope: Scope, scope_id: str) -> Sequence[tuple[str, str]]:
        """Give client order id and account of each order that may still fill, within a scope."""
        ...

    async def open_order(self, client_order_id: str) -> tuple[str, str] | None:
        """Give client order id and account of one order, or None when it cannot fill any more."""
        ...
