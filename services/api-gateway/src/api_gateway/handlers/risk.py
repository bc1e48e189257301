"""How much is traded, how boldly, within which limits, and what guards what is held."""

from fastapi import APIRouter

from api_gateway.domain.views.base import Page
from api_gateway.domain.views.risk import LimitsView, StageChangeView, StageView, TransferView
from api_gateway.handlers.context import CallerDep, GatewayDep
from api_gateway.handlers.parameters import LedgerFilters, PageDep, Word
from api_gateway.ports import Filters

router = APIRouter(tags=["risk"])


@router.get("/risk/stages")
async def list_stages(_caller: CallerDep, gateway: GatewayDep) -> list[StageView]:
    """List how much trading is allowed, by scope; the strictest that applies wins."""
    return await gateway.risk.stages()


@router.get("/risk/stages/history")
async def list_stage_changes(_caller: CallerDep, gateway: GatewayDep, page: PageDep) -> Page[StageChangeView]:
    """List every change of a stage with its cause, newest first."""
    return await gateway.risk.stage_changes(page)


@router.get("/risk/limits")
async def list_limits(_caller: CallerDep, gateway: GatewayDep) -> list[LimitsView]:
    """List the newest limits of each account, with who changed them."""
    return await gateway.risk.limits()


@router.get("/risk/limits/history")
async def list_limit_versions(
    _caller: CallerDep, gateway: GatewayDep, page: PageDep, account_id: Word = None
) -> Page[LimitsView]:
    """List every version of limits, newest first."""
    return await gateway.risk.limit_versions(Filters(account_id=account_id), page)


@router.get("/ledger/transfers")
async def list_transfers(
    _caller: CallerDep, gateway: GatewayDep, filters: LedgerFilters, page: PageDep
) -> Page[TransferView]:
    """List deposits and withdrawals that two people had booked, newest first."""
    return await gateway.risk.transfers(filters, page)
