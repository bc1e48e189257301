"""The part of the ledger that holds stages, postures, and what the watch looks at."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from risk_gate.adapters import stage_statements as statements
from risk_gate.adapters.rows import account_of, limits_of, lists, marks_of, unknown_of, venue_of
from risk_gate.domain.facts import Outcomes
from risk_gate.domain.ladder import Rung, Step
from risk_gate.domain.limits import RATIO_WINDOW_S, RiskLimits
from risk_gate.domain.market_view import FILL_AGE_MAX
from risk_gate.domain.postures import PostureCause, PostureRow
from risk_gate.domain.situation import Holding
from risk_gate.domain.stages import CurrentStage, read_stage
from risk_gate.domain.watchdogs import Watched
from sigmax.runtime.ledgers import Ledger
from sigmax.schemas.types import Posture, Scope


class StageLedger(Ledger):
    """Stages, open orders, postures, and rungs in one open transaction."""

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

    async def watched(self, now: datetime) -> Sequence[Watched]:
        """Give each account as it stands, nothing locked."""
        rows = await self._session.execute(statements.WATCHED, {"fills_since": now - FILL_AGE_MAX, **_since(now)})
        return [_watched(row, now) for row in rows]

    async def ladder_steps(self) -> Sequence[Step]:
        """Give the rung on record of every fault that stands on one."""
        rows = await self._session.execute(statements.LADDER_STEPS)
        return [Step(row.fault, row.scope, row.scope_id, row.step) for row in rows]

    async def record_rung(self, step: Step, rung: Rung | None, now: datetime) -> None:
        """Keep that a fault is on another rung now, with a picture of the books where it is a grave one."""
        values = {
            "fault": step.fault,
            "scope": step.scope,
            "scope_id": step.scope_id,
            "step": step.step,
            "text": rung.text if rung else "ended",
            "is_grave": rung is not None and rung.is_grave,
            "at": now,
        }
        await self._session.execute(statements.RECORD_RUNG, values)

    async def postures(self) -> Mapping[str, tuple[Posture, PostureRow | None]]:
        """Give each account's posture, and its newest row."""
        rows = await self._session.execute(statements.POSTURES)
        return {row.account_id: _posture(row) for row in rows}

    async def add_posture(self, row: PostureRow) -> None:
        """Keep a posture; the newest is in force."""
        values = {
            "account_id": row.account_id,
            "posture": row.posture,
            "is_manual": row.cause is PostureCause.BY_HAND,
            "cause": row.cause,
            "reason": row.reason,
            "changed_by": row.changed_by,
            "changed_at": row.changed_at,
            "evaluate_at": row.evaluate_at,
        }
        await self._session.execute(statements.ADD_POSTURE, values)

    async def stops_in_a_row(self, account_id: str) -> int:
        """Count the stops at a loss since the last exit with a gain, and since a posture was last chosen or forced."""
        count: int = (await self._session.execute(statements.STOPS_IN_A_ROW, {"account_id": account_id})).scalar_one()
        return count

    async def add_limits(self, account_id: str, limits: RiskLimits, changed_by: str, now: datetime) -> None:
        """Keep a version of an account's limits; the newest counts."""
        values = {
            "account_id": account_id,
            "version": limits.version,
            "values": limits.model_dump_json(exclude={"version"}),
            "changed_by": changed_by,
            "now": now,
        }
        await self._session.execute(statements.ADD_LIMITS, values)

    async def open_order(self, client_order_id: str) -> tuple[str, str] | None:
        """Give client order id and account of one order, or None when it cannot fill any more."""
        row = (await self._session.execute(statements.OPEN_ORDER, {"client_order_id": client_order_id})).first()
        return None if row is None else (row.client_order_id, row.account_id)


def _stage(row: Row[Any]) -> CurrentStage:
    return CurrentStage(Scope(row.scope), row.scope_id, read_stage(row.stage), row.version, row.changed_by, row.reason)


def _since(now: datetime) -> dict[str, datetime]:
    """Give how far back the figures of an account reach."""
    return {
        "minute_ago": now - timedelta(minutes=1),
        "minutes_ago": now - timedelta(minutes=5),
        "day_start": now.replace(hour=0, minute=0, second=0, microsecond=0),
        "ratio_since": now - timedelta(seconds=RATIO_WINDOW_S),
    }


def _watched(row: Row[Any], now: datetime) -> Watched:
    limits, venue = limits_of(row.account_id, row.limits), venue_of(row.health)
    lease = timedelta(seconds=limits.sending_lease_s if limits else 0)
    return Watched(
        account=account_of(row),
        limits=limits,
        cash=Decimal(row.cash or 0),
        holdings={
            name: Holding(Decimal(filled), None if reported is None else Decimal(reported))
            for name, filled, reported in lists(row.holdings)
        },
        working=frozenset(lists(row.working)),
        fills={name: (Decimal(price), datetime.fromisoformat(at)) for name, price, at in lists(row.fills)},
        marks=marks_of(row.marks),
        outcomes=Outcomes(*map(int, lists(row.outcomes))),
        unknown=unknown_of(row.unproven, "", venue, now - lease),
        venue=venue,
    )


def _posture(row: Row[Any]) -> tuple[Posture, PostureRow | None]:
    """Read the posture in force; where none can be read, the one that risks least."""
    if row.posture is None:
        return (Posture(row.of_limits) if row.of_limits in set(Posture) else Posture.DEFENSIVE), None
    posture = Posture(row.posture) if row.posture in set(Posture) else Posture.DEFENSIVE
    cause = PostureCause(row.cause)
    return posture, PostureRow(
        row.account_id, posture, cause, row.reason, row.changed_by, row.changed_at, row.evaluate_at
    )
