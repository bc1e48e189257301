"""What people ask of the risk gate: how much is traded, how boldly, and within which limits."""

import json
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api_gateway.domain.commands import Wish
from api_gateway.domain.limits import wrong_limits
from api_gateway.domain.problems import Problem, ProblemKind, not_found
from api_gateway.domain.rights import Right, may
from api_gateway.domain.views.base import Json
from api_gateway.domain.views.people import CommandView
from api_gateway.handlers.desk import DeskDep, Reason, ScopeBody
from api_gateway.handlers.parameters import IdText
from sigmax.schemas.control import CommandName
from sigmax.schemas.types import Posture, Scope, Stage

router = APIRouter(tags=["steering"])

LimitName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
GivenReason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class StageBody(ScopeBody):
    """The stage that a scope is to have: any stricter one, or the next less strict one."""

    stage: Stage


class PostureBody(BaseModel):
    """How boldly an account is to trade; without a posture the platform chooses again."""

    account_id: IdText
    posture: Posture | None = None
    reason: Reason = ""


class LimitsBody(BaseModel):
    """New limits of an account by name; those left out stay."""

    account_id: IdText
    values: dict[LimitName, Json] = Field(
        min_length=1, max_length=100, examples=[{"order_notional_max": "5000", "leverage_max": "1"}]
    )
    reason: GivenReason


class FlattenBody(ScopeBody):
    """What is to be closed."""

    everything: bool = False
    """Also what no strategy of ours bought."""


class ReleaseBody(ScopeBody):
    """Whose latches are to be taken off."""

    reason: GivenReason


class TransferBody(BaseModel):
    """Money that came to an account or, below zero, went from it beside the platform."""

    account_id: IdText
    asset: str = Field(pattern=r"^[A-Z0-9]{1,16}$", examples=["USDT"])
    amount: Decimal = Field(max_digits=38, allow_inf_nan=False, examples=["1000"])
    reason: GivenReason


@router.post("/risk/halt", status_code=202)
async def halt(body: ScopeBody, desk: DeskDep) -> CommandView:
    """Stop all sends in a scope and cancel what is open. It stays until two people resume, restarts included."""
    await desk.check_scope(body)
    return await desk.submit(Wish(CommandName.HALT, body.scope_id, body.scope, reason=body.reason))


@router.post("/risk/resume", status_code=202)
async def resume(body: ScopeBody, desk: DeskDep) -> CommandView:
    """Let a scope go one step up: locked, halted, reducing, caution, normal. Out of the first two it takes two people.

    The risk gate wants a reconciliation that passed and is young.
    """
    await desk.check_scope(body)
    current = await desk.stage(body)
    if current is Stage.NORMAL:
        raise Problem(ProblemKind.CONFLICT, "Nothing is held back there: the stage is normal.")
    step = list(Stage)[(current or Stage.HALTED).severity - 1]
    values = {"from": (current or Stage.HALTED).value, "stage": step.value}
    wish = Wish(CommandName.RESUME, body.scope_id, body.scope, values, body.reason)
    return await desk.submit(wish, before={"stage": values["from"]}, from_stage=current)


@router.put("/risk/stage", status_code=202)
async def set_stage(body: StageBody, desk: DeskDep) -> CommandView:
    """Set how much a scope trades: down at once; one step up by who may release, out of a halt with a second person."""
    await desk.check_scope(body)
    current = await desk.stage(body)
    seen = current or Stage.HALTED
    values = {"from": seen.value, "stage": body.stage.value}
    wish = Wish(CommandName.SET_STAGE, body.scope_id, body.scope, values, body.reason)
    if body.stage.severity >= seen.severity:
        return await desk.submit(wish, from_stage=current)
    if not may(desk.caller.user.role, Right.RELEASE):
        raise Problem(ProblemKind.NOT_ALLOWED, f"A less strict stage asks for the right `{Right.RELEASE}`.")
    if seen.severity - body.stage.severity > 1:
        step = list(Stage)[seen.severity - 1]
        raise Problem(ProblemKind.CONFLICT, f"It is {seen}, and goes up one step at a time: to {step}.")
    return await desk.submit(wish, right=Right.RELEASE, before={"stage": seen.value}, from_stage=current)


@router.post("/risk/flatten", status_code=202)
async def flatten(body: FlattenBody, desk: DeskDep) -> CommandView:
    """Cancel every order of a scope and close what it holds. It ends flat, or says what is left and why."""
    await desk.check_scope(body)
    values = {"everything": "true"} if body.everything else {}
    return await desk.submit(Wish(CommandName.FLATTEN, body.scope_id, body.scope, values, body.reason))


@router.put("/risk/posture", status_code=202)
async def set_posture(body: PostureBody, desk: DeskDep) -> CommandView:
    """Choose how boldly an account trades from the next decision on, or leave it to the platform again."""
    desk.caller.check_account(body.account_id)
    await desk.check_known(Scope.ACCOUNT, body.account_id)
    values = {"posture": body.posture.value} if body.posture else {}
    return await desk.submit(Wish(CommandName.SET_POSTURE, body.account_id, Scope.ACCOUNT, values, body.reason))


@router.put("/risk/limits", status_code=202)
async def set_limits(body: LimitsBody, desk: DeskDep) -> CommandView:
    """Change limits of an account, with a second person. They hold from the next decision on, as a new version."""
    known = next((row for row in await desk.gateway.risk.limits() if row.account_id == body.account_id), None)
    if known is None:
        raise not_found("account with limits")
    wrong = wrong_limits(body.values, known.values)
    if wrong:
        errors = [(f"body.values.{name}", what) for name, what in wrong]
        raise Problem(ProblemKind.INVALID, "Some limits cannot be set so.", errors=errors)
    values = {name: json.dumps(value, sort_keys=True) for name, value in body.values.items()}
    before = {"version": known.version} | {name: known.values.get(name) for name in values}
    wish = Wish(CommandName.SET_LIMITS, body.account_id, Scope.ACCOUNT, values, body.reason)
    return await desk.submit(wish, before=before)


@router.post("/risk/release", status_code=202)
async def release(body: ReleaseBody, desk: DeskDep) -> CommandView:
    """Take all latches off a scope and count its orders and losses anew, with a second person."""
    await desk.check_scope(body)
    latches = await desk.gateway.guards.latched(body.scope, body.scope_id)
    before = {"latches": [latch.reason for latch in latches]}
    return await desk.submit(Wish(CommandName.RELEASE, body.scope_id, body.scope, reason=body.reason), before=before)


@router.post("/ledger/transfers", status_code=202)
async def book_transfer(body: TransferBody, desk: DeskDep) -> CommandView:
    """Book a deposit or, below zero, a withdrawal made beside the platform; it takes two people."""
    desk.caller.check_account(body.account_id)
    await desk.check_known(Scope.ACCOUNT, body.account_id)
    if body.amount == 0:
        raise Problem(ProblemKind.INVALID, "Nothing came or went.", errors=[("body.amount", "above or below zero")])
    values = {"asset": body.asset, "amount": format(body.amount, "f")}
    wish = Wish(CommandName.BOOK_TRANSFER, body.account_id, Scope.ACCOUNT, values, body.reason)
    return await desk.submit(wish, account_id=body.account_id)
