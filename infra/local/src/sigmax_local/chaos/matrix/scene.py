"""One cell being played with the run itself as risk-gate: whatever is to be sent is approved."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Scope, Side, Stage
from sigmax_local.chaos.matrix.base import STRIKE_S, BaseScene, Kind
from sigmax_local.chaos.matrix.gate import Gate

_TERMS: dict[Kind, dict[str, Any]] = {
    Kind.ENTRY: {},
    Kind.EXIT: {"side": Side.SELL, "reduce_only": True},
    Kind.RESTING: {"limit_price": "90"},
    # The best level holds 50: the rest of it rests.
    Kind.PARTIAL: {"limit_price": "100.01", "quantity": "60"},
}


@dataclass
class Scene(BaseScene):
    """What such a cell works with."""

    gate: Gate

    def __post_init__(self) -> None:
        super().__post_init__()
        self._approvals = 0

    async def prepare(self, kind: Kind = Kind.ENTRY) -> None:
        """For an exit, hold something to sell."""
        if kind is Kind.EXIT:
            await self.place(self.approve(Kind.ENTRY, quantity="5"), "filled")

    def approve(self, kind: Kind, **changes: Any) -> OrderApproved:
        """Sign one more approval of this cell."""
        name = f"{self.number}:{self._approvals}"
        self._approvals += 1
        return self.gate.approve(name, self.instrument_id, **{**_TERMS[kind], **changes})

    async def place(self, approved: OrderApproved, *statuses: str) -> None:
        """Publish an approval that nothing is to strike, and wait for what becomes of it."""
        async with self.lane:
            await self.gate.say(approved)
            await self.reach(approved, *statuses)

    async def speak(self, order: Any) -> None:
        """Publish an approval."""
        await self.gate.say(order)

    @asynccontextmanager
    async def halted(self, scope: Scope, scope_id: str) -> AsyncIterator[None]:
        """Halt a scope; from the moment a worker knows it nothing may be sent."""
        told = await self.gate.stage(scope, scope_id, Stage.HALTED)
        await self.until(partial(self._is_known, told), "the halt is known", STRIKE_S)
        try:
            async with self.nothing_sent(scope, scope_id):
                yield
        finally:
            ended = await self.gate.stage(scope, scope_id, Stage.NORMAL)
            await self.until(partial(self._is_known, ended), "the end of the halt is known", STRIKE_S)

    async def _is_known(self, told: StageChanged) -> bool:
        known = "SELECT count(*) > 0 FROM order_worker.stages WHERE scope = $1 AND scope_id = $2 AND version = $3"
        return bool(await self.gate.value(known, told.scope, told.scope_id, told.version))
