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
    subjects = {
        Scope.GLOBAL: GLOBAL,
        Scope.VENUE: approved.venue,
        Scope.ACCOUNT: approved.account_id,
        Scope.STRATEGY: approved.strategy_id,
        Scope.INSTRUMENT: approved.instrument_id,
    }
    concerned = {row.scope: row for row in rows if subjects[row.scope] == row.scope_id}
    for scope in (Scope.GLOBAL, Scope.ACCOUNT):
        row = concerned.get(scope)
        if row is None:
            return Stage.HALTED, f"no {scope} stage is known"
        if now - row.told_at > terms.stage_age_max:
            return Stage.HALTED, f"the {scope} stage was last told at {row.told_at:%H:%M:%S} UTC"
    strictest = max(concerned.values(), key=lambda row: row.stage.severity)
    return strictest.stage, f"{strictest.scope} {strictest.scope_id} is {strictest.stage.upper()}"


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
