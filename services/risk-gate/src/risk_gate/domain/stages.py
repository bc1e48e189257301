"""How much trading is allowed, and where."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from risk_gate.domain.situation import Account, StageRow
from sigmax.schemas.types import Scope, Stage

GLOBAL = "global"
OWNER = "risk_gate"
"""The producer of what this service tells."""
PLATFORM = "risk-gate"
"""Who changed a stage, where no person did."""


def read_stage(stored: str) -> Stage:
    """Read a stored stage. One that cannot be read is HALTED."""
    try:
        return Stage(stored)
    except ValueError:
        return Stage.HALTED


def global_stage(rows: Iterable[StageRow]) -> Stage:
    """Give the platform's own stage: HALTED where no row says otherwise."""
    for row in rows:
        if row.scope == Scope.GLOBAL and row.scope_id == GLOBAL:
            return read_stage(row.stage)
    return Stage.HALTED


def strictest(
    rows: Iterable[StageRow], account: Account | None, strategy_id: str, instrument_id: str
) -> tuple[Stage, str]:
    """Give the strictest stage that concerns an order, and whose it is.

    The platform and the account always have a row; without one the answer is HALTED.
    """
    if account is None:
        return Stage.HALTED, "the account is not known"
    subjects: dict[str, str] = {
        Scope.GLOBAL: GLOBAL,
        Scope.VENUE: account.venue,
        Scope.ACCOUNT: account.account_id,
        Scope.STRATEGY: strategy_id,
        Scope.INSTRUMENT: instrument_id,
    }
    concerned = {row.scope: read_stage(row.stage) for row in rows if subjects.get(row.scope) == row.scope_id}
    for scope in (Scope.GLOBAL, Scope.ACCOUNT):
        if scope not in concerned:
            return Stage.HALTED, f"the {scope} stage cannot be read"
    whose, stage = max(concerned.items(), key=lambda item: item[1].severity)
    return stage, f"{stage} ({whose})"


@dataclass(frozen=True, slots=True)
class CurrentStage:
    """One stored stage with its version."""

    scope: Scope
    scope_id: str
    stage: Stage
    version: int
    changed_by: str
    reason: str


def strictest_by_scope(stages: Iterable[CurrentStage]) -> dict[Scope, Stage]:
    """Give the strictest stored stage of each kind of scope; the platform and the account always have one."""
    found = {Scope.VENUE: Stage.NORMAL, Scope.STRATEGY: Stage.NORMAL, Scope.INSTRUMENT: Stage.NORMAL}
    for current in stages:
        known = found.get(current.scope, Stage.NORMAL)
        found[current.scope] = max(known, current.stage, key=lambda stage: stage.severity)
    return {scope: found.get(scope, Stage.HALTED) for scope in Scope}


@dataclass(frozen=True, slots=True)
class StageChange:
    """A stage that a scope is to have, and why."""

    scope: Scope
    scope_id: str
    stage: Stage
    reason: str
    changed_by: str = PLATFORM


def one_step_up(stage: Stage) -> Stage:
    """Give the next less strict stage; above NORMAL there is none."""
    return list(Stage)[max(stage.severity - 1, 0)]


def stops_sends(stage: Stage) -> bool:
    """Say whether a stage lets no order leave: then the working ones are taken off the venue."""
    return stage.severity >= Stage.HALTED.severity


def stricter(current: Stage | None, wanted: Stage) -> bool:
    """Say whether a stage asks for less trading than the one that stands; a scope without one is NORMAL."""
    return wanted.severity > (current or Stage.NORMAL).severity


def refusal_to_raise(
    current: CurrentStage | None,
    wanted: Stage,
    accounts: Iterable[tuple[Account, timedelta | None]],
    now: datetime,
) -> str | None:
    """Say why a scope may not go up to a stage, or None when it may.

    Each account comes with the age at which its reconciliation is too old; None stands for limits that cannot be read.
    """
    if current is None or current.stage is Stage.NORMAL:
        return "nothing is lowered there"
    step = one_step_up(current.stage)
    if wanted is not step:
        return f"it is {current.stage}, and goes up one step at a time: to {step}"
    seen = list(accounts)
    if not seen:
        return "no account is known"
    reasons = (_unreconciled(account, age_max, now) for account, age_max in seen)
    return next((reason for reason in reasons if reason), None)


def _unreconciled(account: Account, age_max: timedelta | None, now: datetime) -> str | None:
    """Say why an account's books may not be trusted, or None when they may."""
    if age_max is None:
        return f"the limits of account {account.account_id} cannot be read"
    if account.reconciled_at is None or not account.reconciliation_passed:
        return f"account {account.account_id} has no passed reconciliation"
    if now - account.reconciled_at > age_max:
        return (
            f"account {account.account_id} was last reconciled at {account.reconciled_at:%H:%M:%S} UTC,"
            f" more than {age_max.total_seconds():.0f} s ago"
        )
    return None
