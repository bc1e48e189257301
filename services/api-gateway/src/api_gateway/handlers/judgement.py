"""Strategies, signals, decisions, verdicts."""

from fastapi import APIRouter

from api_gateway.domain.problems import not_found
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.judgement import DecisionView, SignalView, StrategyView, VerdictView
from api_gateway.handlers.context import CallerDep, GatewayDep
from api_gateway.handlers.parameters import CommonFilters, DecisionFilters, Id, PageDep, VerdictFilters

router = APIRouter(tags=["judgement"])


@router.get("/strategies")
async def list_strategies(_caller: CallerDep, gateway: GatewayDep) -> list[StrategyView]:
    """List the strategies with their parameters."""
    return await gateway.judgement.strategies()


@router.get("/strategies/{strategy_id}")
async def get_strategy(strategy_id: Id, _caller: CallerDep, gateway: GatewayDep) -> StrategyView:
    """Give one strategy."""
    strategy = await gateway.judgement.strategy(strategy_id)
    if strategy is None:
        raise not_found("strategy")
    return strategy


@router.get("/signals")
async def list_signals(
    _caller: CallerDep, gateway: GatewayDep, filters: CommonFilters, page: PageDep
) -> Page[SignalView]:
    """List strategies' wishes to trade, newest first."""
    return await gateway.judgement.signals(filters, page)


@router.get("/decisions")
async def list_decisions(
    _caller: CallerDep, gateway: GatewayDep, filters: DecisionFilters, page: PageDep
) -> Page[DecisionView]:
    """List judgements, newest first."""
    return await gateway.judgement.decisions(filters, page)


@router.get("/verdicts")
async def list_verdicts(
    _caller: CallerDep, gateway: GatewayDep, filters: VerdictFilters, page: PageDep
) -> Page[VerdictView]:
    """List what the risk gate approved or denied, with every number it saw, newest first."""
    return await gateway.judgement.verdicts(filters, page)
