"""Stages, postures, and rungs in memory, and a feed that says what its test wants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from risk_gate_builders import an_instrument

from risk_gate.domain.ladder import Rung, Step
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.postures import PostureCause, PostureRow
from risk_gate.domain.stages import CurrentStage
from risk_gate.domain.watchdogs import Watched
from sigmax.schemas.market import Instrument
from sigmax.schemas.types import Posture, Scope


@dataclass
class StopOut:
    at: datetime
    kind: str = "stop_loss"
    pnl: Decimal = Decimal(-1)


@dataclass
class Standing:
    """What the watch and the postures have on record."""

    watched: dict[str, Any] = field(default_factory=dict)
    """What differs from an account that is doing well: fields of `Watched`."""
    steps: dict[tuple[str, str, str], int] = field(default_factory=dict)
    rungs: list[tuple[Step, Rung | None]] = field(default_factory=list)
    postures: list[PostureRow] = field(default_factory=list)
    stop_outs: list[StopOut] = field(default_factory=list)
    limits_by: list[str] = field(default_factory=list)


class FakeStageLedger:
    state: Any

    async def stages(self) -> list[CurrentStage]:
        return list(self.state.stages.values())

    async def stage(self, scope: Scope, scope_id: str) -> CurrentStage | None:
        found: CurrentStage | None = self.state.stages.get((scope, scope_id))
        return found

    async def set_stage(self, stage: CurrentStage, now: datetime) -> int:
        known = self.state.stages.get((stage.scope, stage.scope_id))
        version = known.version + 1 if known else 1
        self.state.stages[stage.scope, stage.scope_id] = replace(stage, version=version)
        return version

    async def open_orders(self, scope: Scope, scope_id: str) -> list[tuple[str, str]]:
        approved = [order.approved for order in self.state.orders.values() if order.leaves and order.final is None]
        subject = {
            Scope.GLOBAL: lambda _: "global",
            Scope.VENUE: lambda each: each.venue,
            Scope.ACCOUNT: lambda each: each.account_id,
            Scope.STRATEGY: lambda each: each.strategy_id,
            Scope.INSTRUMENT: lambda each: each.instrument_id,
        }[scope]
        return [(each.client_order_id, each.account_id) for each in approved if subject(each) == scope_id]

    async def open_order(self, client_order_id: str) -> tuple[str, str] | None:
        found = await self.open_orders(Scope.GLOBAL, "global")
        return next((order for order in found if order[0] == client_order_id), None)

    async def watched(self, now: datetime) -> list[Watched]:
        standing: Standing = self.state.standing
        return [
            Watched(account, **({"limits": self.state.limits.get(name), "cash": Decimal(100_000)} | standing.watched))
            for name, account in self.state.accounts.items()
        ]

    async def ladder_steps(self) -> list[Step]:
        return [Step(*key, step) for key, step in self.state.standing.steps.items() if step]

    async def record_rung(self, step: Step, rung: Rung | None, now: datetime) -> None:
        self.state.standing.steps[step.key] = step.step
        self.state.standing.rungs.append((step, rung))

    async def postures(self) -> dict[str, tuple[Posture, PostureRow | None]]:
        found: dict[str, tuple[Posture, PostureRow | None]] = {
            name: (self.state.limits[name].posture, None) for name in self.state.accounts
        }
        return found | {row.account_id: (row.posture, row) for row in self.state.standing.postures}

    async def add_posture(self, row: PostureRow) -> None:
        self.state.standing.postures.append(row)

    async def stops_in_a_row(self, account_id: str) -> int:
        standing: Standing = self.state.standing
        chosen = [row.changed_at for row in standing.postures if row.cause is not PostureCause.EVALUATED]
        won = [each.at for each in standing.stop_outs if each.pnl > 0]
        stops = [
            each
            for each in standing.stop_outs
            if each.kind == "stop_loss" or (each.kind == "trailing_stop" and each.pnl < 0)
        ]
        return sum(all(each.at > at for at in (*chosen, *won)) for each in stops)

    async def add_limits(self, account_id: str, limits: RiskLimits, changed_by: str, now: datetime) -> None:
        self.state.limits[account_id] = limits
        self.state.standing.limits_by.append(changed_by)


class FakeFeed:
    """One instrument, no bars, and no VIX, unless the test says so."""

    def __init__(self) -> None:
        instrument = an_instrument()
        self.listed: dict[str, Instrument] = {instrument.instrument_id: instrument}
        self.bars: dict[str, Sequence[Decimal]] = {}
        self.vix_figure: tuple[Decimal, datetime] | None = None
        self.failure: Exception | None = None

    async def instruments(self) -> Mapping[str, Instrument]:
        if self.failure is not None:
            raise self.failure
        return self.listed

    async def closes(self) -> Mapping[str, Sequence[Decimal]]:
        return self.bars

    async def vix(self) -> tuple[Decimal, datetime] | None:
        return self.vix_figure
