"""The part of the ledger that holds stages, postures, and what the watch looks at."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from risk_gate.adapters import stage_statements as statements
from risk_gate.domain.stages import CurrentStage, read_stage
from sigmax.runtime.ledgers import Ledger
from sigmax.schemas.types import Scope


class StageLedger(Ledger):
    """Stages and open orders in one open transaction."""

    async def stages(self) -> Sequence[CurrentStage]:
        """Give every stored stage; a scope of an unknown kind concerns nothing and is left out."""
        rows = await self._session.execute(statements.STAGES)
        return [_stage(row) for row in rows if row.scope in set(Scope)]

    async def stage(self, scope: Scope, scope_id: str) -> CurrentStage | None:
        """Give the stored stage of one scope, its row locked."""
        row = (await self._session.execute(statements.STAGE, {"scope": scope, "scope_id": scope_id})).first()
        return None if row is None else _stage(row)

    async def set_stage(self, stage: CurrentStage, now: datetime) -> int:
        """Store a stage under the scope's next version, with its line of history, and give that version."""
        values = {
            "scope": stage.scope,
            "scope_id": stage.scope_id,
            "stage": stage.stage,
            "reason": stage.reason,
            "changed_by": stage.changed_by,
            "changed_at": now,
        }
        version: int = (await self._session.execute(statements.SET_STAGE, values)).scalar_one()
        return version

    async def open_orders(self, scope: Scope, scope_id: str) -> Sequence[tuple[str, str]]:
        """Give client order id and account of each order that may still fill, within a scope."""
        values = {} if scope is Scope.GLOBAL else {"scope_id": scope_id}
        rows = await self._session.execute(statements.OPEN_ORDERS[scope], values)
        return [(row.client_order_id, row.account_id) for row in rows]

    async def open_order(self, client_order_id: str) -> tuple[str, str] | None:
        """Give client order id and account of one order, or None when it cannot fill any more."""
        row = (await self._session.execute(statements.OPEN_ORDER, {"client_order_id": client_order_id})).first()
        return None if row is None else (row.client_order_id, row.account_id)


def _stage(row: Row[Any]) -> CurrentStage:
    return CurrentStage(Scope(row.scope), row.scope_id, read_stage(row.stage), row.version, row.changed_by, row.reason)
