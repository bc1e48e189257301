"""Alerts, jobs, and market data."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api_gateway.domain.problems import not_found
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.platform import AlertView, BarView, JobView, QuoteView
from api_gateway.handlers.context import AddressDep, CallerDep, GatewayDep
from api_gateway.handlers.parameters import AlertFilters, PageDep, Since, Until
from api_gateway.ports.books import Filters
from sigmax.schemas.market import Quote, moment

router = APIRouter(tags=["platform"])

_DAY_S = 86_400


@router.get("/alerts")
async def list_alerts(_caller: CallerDep, gateway: GatewayDep, filters: AlertFilters, page: PageDep) -> Page[AlertView]:
    """List alerts, newest first."""
    return await gateway.platform.alerts(filters, page)


@router.post("/alerts/{alert_id}/acknowledge")
async def acknowledge_alert(alert_id: UUID, caller: CallerDep, gateway: GatewayDep, address: AddressDep) -> AlertView:
    """Say that a person has seen an alert. The first one stays; repeating does no harm."""
    alert = await gateway.platform.acknowledge(alert_id, caller.user, address)
    if alert is None:
        raise not_found("alert")
    return alert


@router.get("/jobs")
async def list_jobs(_caller: CallerDep, gateway: GatewayDep) -> list[JobView]:
    """List the scheduler's jobs with their last run."""
    return await gateway.platform.jobs()


@router.get("/market/latest")
async def list_market_latest(
    _caller: CallerDep,
    gateway: GatewayDep,
    instrument_id: Annotated[
        list[Annotated[str, Query(pattern=r"^[!-~]{1,64}$")]] | None, Query(max_length=100)
    ] = None,
) -> list[QuoteView]:
    """List the newest price of each instrument, or of those named."""
    latest = await gateway.market.latest()
    now_ns = gateway.clock.now_ns()
    names = sorted(latest) if not instrument_id else [name for name in instrument_id if name in latest]
    return [_quote(latest[name], now_ns) for name in names]


@router.get("/market/bars")
async def list_bars(
    *,
    _caller: CallerDep,
    gateway: GatewayDep,
    page: PageDep,
    instrument_id: Annotated[
        str, Query(pattern=r"^[^@\s]+/[^@\s]+@[^@\s]+$", max_length=64, examples=["BTC/USDT@binance"])
    ],
    timeframe_s: Annotated[int, Query(ge=1, le=_DAY_S)] = 60,
    since: Since = None,
    until: Until = None,
) -> Page[BarView]:
    """List closed bars of one instrument, newest first."""
    return await gateway.platform.bars(instrument_id, timeframe_s, Filters(since=since, until=until), page)


def _quote(quote: Quote, now_ns: int) -> QuoteView:
    return QuoteView(
        instrument_id=quote.instrument_id,
        last=quote.last,
        bid=quote.bid,
        ask=quote.ask,
        market_time=moment(quote.ts_ns),
        received_at=moment(quote.received_ns),
        age_s=max(0, now_ns - quote.received_ns) / 1e9,
        minute_volume=quote.minute_volume,
    )
