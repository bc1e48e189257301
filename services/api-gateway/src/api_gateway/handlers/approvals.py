"""The second person: looks at what another one asked for, and approves or refuses exactly that."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api_gateway.domain.problems import Problem, ProblemKind, not_found
from api_gateway.domain.second_person import Decision, Refusal, Refused
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import ApprovalView
from api_gateway.handlers.context import AddressDep, Caller, CallerDep, Gateway, GatewayDep
from api_gateway.handlers.parameters import PageDep

router = APIRouter(tags=["second person"])

_KINDS = {
    Refusal.NO_RIGHT: ProblemKind.NOT_ALLOWED,
    Refusal.SAME_PERSON: ProblemKind.NOT_ALLOWED,
    Refusal.NOT_TWO_PEOPLE: ProblemKind.NOT_TWO_PEOPLE,
}


class DecisionBody(BaseModel):
    """Which values were seen: the `fingerprint` of the request as it was read."""

    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$", examples=["0" * 64])


@router.get("/approvals")
async def list_approvals(
    _caller: CallerDep,
    gateway: GatewayDep,
    page: PageDep,
    is_awaiting: Annotated[bool | None, Query(description="Those that still wait, or those that do not.")] = None,
) -> Page[ApprovalView]:
    """List what was asked for and needs, or needed, a second person, newest first."""
    return await gateway.approvals.approvals(page, is_awaiting=is_awaiting)


@router.get("/approvals/{approval_id}")
async def get_approval(approval_id: UUID, _caller: CallerDep, gateway: GatewayDep) -> ApprovalView:
    """Show exactly what is asked for, and what holds now."""
    approval = await gateway.approvals.approval(approval_id)
    if approval is None:
        raise not_found("request")
    return approval


@router.post("/approvals/{approval_id}/approve")
async def approve(
    approval_id: UUID, body: DecisionBody, caller: CallerDep, gateway: GatewayDep, address: AddressDep
) -> ApprovalView:
    """Approve what another person asked for in the last ten minutes; then it is carried out, with both names."""
    return await _decide(approval_id, Decision.APPROVE, body, caller, gateway, address=address)


@router.post("/approvals/{approval_id}/refuse")
async def refuse(
    approval_id: UUID, body: DecisionBody, caller: CallerDep, gateway: GatewayDep, address: AddressDep
) -> ApprovalView:
    """Refuse what another person asked for, or take back what you asked for yourself."""
    return await _decide(approval_id, Decision.REFUSE, body, caller, gateway, address=address)


async def _decide(
    approval_id: UUID, decision: Decision, body: DecisionBody, caller: Caller, gateway: Gateway, *, address: str
) -> ApprovalView:
    decided = await gateway.approvals.decide(approval_id, decision, caller.user, body.fingerprint, address)
    if decided is None:
        raise not_found("request")
    if isinstance(decided, Refused):
        raise Problem(_KINDS.get(decided.why, ProblemKind.CONFLICT), decided.detail, what_to_do=decided.what_to_do)
    return decided
