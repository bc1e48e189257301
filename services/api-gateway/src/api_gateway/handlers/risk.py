"""How much is traded, how boldly, within which limits, and what guards what is held."""

from dataclasses import replace

from fastapi import APIRouter

from api_gateway.domain.views.base import Page
from api_gateway.domain.views.risk import (
    EquityMarkView,
    FlatteningView,
    LadderEventView,
    LatchView,
    LimitsView,
    PostureView,
    ProtectionView,
    StageChangeView,
    StageView,
    TransferView,
    VenueHealthView,
)
from api_gateway.handlers.context import CallerDep, GatewayDep
from api_gateway.handlers.parameters import CommonFilters, LedgerFilters, PageDep, Since, Until, Word
from api_gateway.ports.books import Filters

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


@router.get("/risk/postures")
async def list_postures(_caller: CallerDep, gateway: GatewayDep) -> list[PostureView]:
    """List how boldly each account trades, and who or what chose it."""
    return await gateway.risk.postures()


@router.get("/risk/postures/history")
async def list_posture_changes(
    _caller: CallerDep, gateway: GatewayDep, page: PageDep, account_id: Word = None
) -> Page[PostureView]:
    """List every change of a posture, newest first."""
    return await gateway.risk.posture_changes(Filters(account_id=account_id), page)


@router.get("/risk/ladder")
async def list_ladder_events(_caller: CallerDep, gateway: GatewayDep, page: PageDep) -> Page[LadderEventView]:
    """List the steps of the failure ladder: what failed, and what was done about it, newest first."""
    return await gateway.risk.ladder_events(page)


@router.get("/ledger/transfers")
async def list_transfers(
    _caller: CallerDep, gateway: GatewayDep, filters: LedgerFilters, page: PageDep
) -> Page[TransferView]:
    """List deposits and withdrawals that two people had booked, newest first."""
    return await gateway.risk.transfers(filters, page)


@router.get("/risk/protections")
async def list_protections(
    _caller: CallerDep, gateway: GatewayDep, filters: CommonFilters, page: PageDep, is_open: bool | None = None
) -> Page[ProtectionView]:
    """List what guards positions: stop, target, trailing and time stop, and what rests at the venue; newest first."""
    return await gateway.guards.protections(replace(filters, is_open=is_open), page)


@router.get("/risk/flattenings")
async def list_flattenings(_caller: CallerDep, gateway: GatewayDep, page: PageDep) -> Page[FlatteningView]:
    """List the orders to hold nothing, with what is left and why, newest first."""
    return await gateway.guards.flattenings(page)


@router.get("/risk/latches")
async def list_latches(
    _caller: CallerDep, gateway: GatewayDep, page: PageDep, is_on: bool | None = None
) -> Page[LatchView]:
    """List what a control locked, newest first."""
    return await gateway.guards.latches(page, is_on=is_on)


@router.get("/risk/venues")
async def list_venue_health(_caller: CallerDep, gateway: GatewayDep) -> list[VenueHealthView]:
    """List whether each account's venue answers, as order-worker told last."""
    return await gateway.guards.venues()


@router.get("/risk/equity")
async def list_equity_marks(
    *,
    _caller: CallerDep,
    gateway: GatewayDep,
    page: PageDep,
    account_id: Word = None,
    since: Since = None,
    until: Until = None,
) -> Page[EquityMarkView]:
    """List equity by the minute, as the loss controls see it, newest first."""
    return await gateway.guards.equity_marks(Filters(account_id=account_id, since=since, until=until), page)
