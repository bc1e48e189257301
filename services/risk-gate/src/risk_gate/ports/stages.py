"""What stages, postures, and the watch need of the world."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from risk_gate.domain.ladder import Rung, Step
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.postures import PostureRow
from risk_gate.domain.stages import CurrentStage
from risk_gate.domain.watchdogs import Watched
from sigmax.schemas.market import Instrument
from sigmax.schemas.types import Posture, Scope


class StageLedgerPort(Protocol):
    """The stages, and the orders that a stop takes off the venue; the postures, and the rungs on record."""

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

    async def watched(self, now: datetime) -> Sequence[Watched]:
        """Give each account as it stands, nothing locked."""
        ...

    async def ladder_steps(self) -> Sequence[Step]:
        """Give the rung on record of every fault that stands on one."""
        ...

    async def record_rung(self, step: Step, rung: Rung | None, now: datetime) -> None:
        """Keep that a fault is on another rung now, with a picture of the books where it is a grave one."""
        ...

    async def postures(self) -> Mapping[str, tuple[Posture, PostureRow | None]]:
        """Give each account's posture, and its newest row; None where it never had one but that of its limits."""
        ...

    async def add_posture(self, row: PostureRow) -> None:
        """Keep a posture; the newest is in force."""
        ...

    async def stops_in_a_row(self, account_id: str) -> int:
        """Count the stops at a loss since the last exit with a gain, and since a posture was last chosen or forced."""
        ...

    async def add_limits(self, account_id: str, limits: RiskLimits, changed_by: str, now: datetime) -> None:
        """Keep a version of an account's limits; the newest counts."""
        ...


class FeedPort(Protocol):
    """The market as a whole. What cannot be read is absent."""

    async def instruments(self) -> Mapping[str, Instrument]:
        """Give all that the collector lists, as it was a few seconds ago at most."""
        ...

    async def closes(self) -> Mapping[str, Sequence[Decimal]]:
        """Give the closing prices of each instrument's newest bars, the oldest first."""
        ...

    async def vix(self) -> tuple[Decimal, datetime] | None:
        """Give the newest VIX and its time, where anybody tells one."""
        ...
