"""May this order be sent now? Asked after the claim and before the signature, of values read in the claim itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from order_worker.domain.order import Order
from order_worker.domain.terms import Terms
from sigmax.domain.approval import client_order_id, verify
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Scope, Stage

GLOBAL = "global"


@dataclass(frozen=True)
class StageRow:
    """How much trading one scope allows, and when risk-gate last said so."""

    scope: Scope
    scope_id: str
    stage: Stage
    told_at: datetime


def stage_for(approved: OrderApproved, rows: Iterable[StageRow], terms: Terms, now: datetime) -> tuple[Stage, str]:
    """Give the strictest stage that concerns an order, and why.

    The stages of the platform and of the account must be there and young; one that cannot be read is HALTED.
    """
    concerned = _concerned(approved, rows)
    for scope in (Scope.GLOBAL, Scope.ACCOUNT):
        row = concerned.get(scope)
        if row is None:
            return Stage.HALTED, f"no {scope} stage is known"
        if now - row.told_at > terms.silence_max:
            return Stage.HALTED, f"the {scope} stage was last told at {row.told_at:%H:%M:%S} UTC"
    strictest = max(concerned.values(), key=lambda row: row.stage.severity)
    return strictest.stage, f"{strictest.scope} {strictest.scope_id} is {strictest.stage.upper()}"


def _concerned(approved: OrderApproved, rows: Iterable[StageRow]) -> dict[Scope, StageRow]:
    subjects = {
        Scope.GLOBAL: GLOBAL,
        Scope.VENUE: approved.venue,
        Scope.ACCOUNT: approved.account_id,
        Scope.STRATEGY: approved.strategy_id,
        Scope.INSTRUMENT: approved.instrument_id,
    }
    return {row.scope: row for row in rows if subjects[row.scope] == row.scope_id}


def unwanted(order: Order, rows: Iterable[StageRow], terms: Terms, now: datetime) -> str | None:
    """Say why an order that works at the venue is to be canceled, or None when it may stay.

    A halt that was told takes back all of its scope. When risk-gate has fallen silent nobody judges any more what the
    market does to a resting entry: it goes, and what only reduces stays, because it protects. LOCKED cancels nothing:
    the keys are not to be used.
    """
    approved = order.approved
    concerned = _concerned(approved, rows)
    strictest = max(concerned.values(), key=lambda row: row.stage.severity, default=None)
    if strictest is not None and strictest.stage is Stage.LOCKED:
        return None
    if strictest is not None and strictest.stage is Stage.HALTED:
        return f"{strictest.scope} {strictest.scope_id} is HALTED"
    heard = [concerned[scope].told_at for scope in (Scope.GLOBAL, Scope.ACCOUNT) if scope in concerned]
    is_silent = len(heard) < 2 or now - min(heard) > terms.silence_max
    if is_silent and not approved.reduce_only:
        return f"risk-gate has not been heard for {terms.silence_max.total_seconds():.0f} s"
    return None


def refusal_to_send(order: Order, stages: Iterable[StageRow], terms: Terms, now: datetime) -> str | None:
    """Say why an order must not be sent, or None when it may."""
    approved = order.approved
    ours = (terms.account_id, terms.venue, terms.mode)
    rules = (
        ("the approval's signature is not risk-gate's", not verify(approved, terms.approval_key)),
        (
            "the client order id does not derive from the signal",
            approved.client_order_id != client_order_id(approved.signal_id),
        ),
        (
            f"approved for {approved.account_id} at {approved.venue}, {approved.mode}: not this worker's account",
            (approved.account_id, approved.venue, approved.mode) != ours,
        ),
        (f"the approval was valid until {approved.valid_until:%H:%M:%S} UTC", now > approved.valid_until),
        ("canceled before it was sent", order.cancel_wanted),
    )
    for reason, is_broken in rules:
        if is_broken:
            return reason
    stage, why = stage_for(approved, stages, terms, now)
    is_stopped = stage.severity >= Stage.HALTED.severity or (stage is Stage.REDUCING and not approved.reduce_only)
    return why if is_stopped else None
