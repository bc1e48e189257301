"""Accounts, positions, orders, fills, and the ledger."""

from fastapi import APIRouter

from api_gateway.domain.problems import not_found
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.judgement import WhyView
from api_gateway.domain.views.trading import (
    AccountView,
    FillView,
    LedgerEntryView,
    OrderView,
    PositionView,
    ReconciliationView,
)
from api_gateway.handlers.context import CallerDep, GatewayDep
from api_gateway.handlers.parameters import FillFilters, Id, LedgerFilters, OrderFilters, PageDep, Word
from api_gateway.ports.books import Filters

router = APIRouter(tags=["trading"])


@router.get("/accounts")
async def list_accounts(_caller: CallerDep, gateway: GatewayDep) -> list[AccountView]:
    """List the trading accounts with cash, holdings, and equity at the newest prices."""
    return await gateway.trading.accounts(await gateway.market.latest())


@router.get("/positions")
async def list_positions(
    _caller: CallerDep,
    gateway: GatewayDep,
    account_id: Word = None,
    instrument_id: Word = None,
    is_open: bool | None = None,
) -> list[PositionView]:
    """List positions with the newest price and what closing there would bring."""
    filters = Filters(account_id=account_id, instrument_id=instrument_id, is_open=is_open)
    return await gateway.trading.positions(filters, await gateway.market.latest())


@router.get("/orders")
async def list_orders(_caller: CallerDep, gateway: GatewayDep, filters: OrderFilters, page: PageDep) -> Page[OrderView]:
    """List orders, newest first."""
    return await gateway.trading.orders(filters, page)


@router.get("/orders/{client_order_id}")
async def get_order(client_order_id: Id, _caller: CallerDep, gateway: GatewayDep) -> OrderView:
    """Give one order."""
    order = await gateway.trading.order(client_order_id)
    if order is None:
        raise not_found("order")
    return order


@router.get("/fills")
async def list_fills(_caller: CallerDep, gateway: GatewayDep, filters: FillFilters, page: PageDep) -> Page[FillView]:
    """List fills, newest first."""
    return await gateway.trading.fills(filters, page)


@router.get("/ledger")
async def list_ledger(
    _caller: CallerDep, gateway: GatewayDep, filters: LedgerFilters, page: PageDep
) -> Page[LedgerEntryView]:
    """List ledger entries, newest first."""
    return await gateway.trading.ledger(filters, page)


@router.get("/reconciliations")
async def list_reconciliations(
    _caller: CallerDep, gateway: GatewayDep, page: PageDep, account_id: Word = None
) -> Page[ReconciliationView]:
    """List comparisons of our books with the venue's, newest first."""
    return await gateway.trading.reconciliations(Filters(account_id=account_id), page)


@router.get("/why/{execution_id}")
async def get_why(execution_id: Id, _caller: CallerDep, gateway: GatewayDep, account_id: Word = None) -> WhyView:
    """Explain one fill: tick, features, judgement with prompts, checks with numbers, order, ledger, position."""
    why = await gateway.why.why(execution_id, account_id)
    if why is None:
        raise not_found("fill")
    return why
