"""The platform as a whole: its health, what it has done, and whether its books are right."""

from datetime import timedelta

from fastapi import APIRouter

from api_gateway.domain.books import books_of, dead_letters
from api_gateway.domain.figures import ticks_of, ticks_per_s
from api_gateway.domain.health import health_of
from api_gateway.domain.views.platform import SystemHealthView
from api_gateway.domain.views.system import BooksView, FiguresView
from api_gateway.handlers.context import CallerDep, GatewayDep
from api_gateway.handlers.parameters import Since
from api_gateway.ports.books import Filters

router = APIRouter(prefix="/system", tags=["system"])

_FIGURES_SPAN = timedelta(days=1)
"""What is counted when no time is asked for: all of a platform's past is for reports."""


@router.get("/health")
async def get_system_health(_caller: CallerDep, gateway: GatewayDep) -> SystemHealthView:
    """Judge every service from the newest heartbeats of its replicas."""
    beats = await gateway.market.heartbeats()
    return health_of(beats, gateway.clock.now(), await gateway.approvals.cooldown())


@router.get("/figures")
async def get_system_figures(_caller: CallerDep, gateway: GatewayDep, since: Since = None) -> FiguresView:
    """Count what was done from `since` on (else in the last day), and value what is held now."""
    now = gateway.clock.now()
    start = since or now - _FIGURES_SPAN
    beats, last = await gateway.market.heartbeats(), await gateway.market.latest()
    done = await gateway.system.activity(start)
    p50_ms, p99_ms = done.tick_to_order_ms or (None, None)
    return FiguresView(
        since=start,
        as_of=now,
        ticks=ticks_of(beats),
        ticks_per_s=ticks_per_s(beats, now),
        signals=done.signals,
        decisions=done.decisions,
        approved=done.approved,
        denied=done.denied,
        denials=dict(done.denials),
        orders=dict(done.orders),
        fills=done.fills,
        alerts=done.alerts,
        tick_to_order_p50_ms=p50_ms,
        tick_to_order_p99_ms=p99_ms,
        accounts=await gateway.trading.accounts(last),
        positions=await gateway.trading.positions(Filters(is_open=True), last),
    )


@router.get("/books")
async def check_system_books(_caller: CallerDep, gateway: GatewayDep) -> BooksView:
    """Check the books: nothing lost, nothing doubled. It reads whole tables, and is meant for when all is quiet."""
    findings = await gateway.system.findings()
    now = gateway.clock.now()
    return books_of([*findings, dead_letters(await gateway.market.heartbeats(), now)], now)
