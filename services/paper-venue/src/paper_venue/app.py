"""Joins settings, adapters, and handlers; decides nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from paper_venue.adapters import metrics
from paper_venue.adapters.feed import RedisFeed
from paper_venue.adapters.postgres import PostgresStore
from paper_venue.domain.faults import Faults
from paper_venue.domain.limits import RateCounters, RateLimits
from paper_venue.domain.signing import Credentials
from paper_venue.handlers import admin
from paper_venue.handlers.calls import Venue
from paper_venue.handlers.desk import Desk
from paper_venue.handlers.hub import Hub
from paper_venue.handlers.market_streams import PULSE_S, MarketPublisher, market_socket
from paper_venue.handlers.rest import rest_routes
from paper_venue.handlers.ticks import TickFollower
from paper_venue.handlers.user_streams import user_socket
from paper_venue.settings import Settings
from sigmax.domain.depth import DepthModel
from sigmax.domain.fees import FeeSchedule
from sigmax.runtime.service import Service, build_service

_HOUR_S = 3600.0


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Open the venue on this process, if it leads."""
    settings = cast("Settings", service.settings)
    limits = RateLimits(settings.weight_1m_max, settings.orders_10s_max, settings.orders_1d_max)
    hub, counters = Hub(), RateCounters(limits)
    store, feed = PostgresStore(service.database), RedisFeed(service.redis)
    desk = Desk(
        store=store,
        clock=service.clock,
        hub=hub,
        counters=counters,
        fees=FeeSchedule(settings.maker_bps, settings.taker_bps),
        depth=DepthModel(
            levels=settings.depth_levels,
            thickness=settings.depth_thickness,
            half_spread_bps=settings.half_spread_bps,
            step_bps=settings.step_bps,
        ),
    )
    publisher = MarketPublisher(desk, hub)
    follower = TickFollower(
        desk,
        feed,
        publisher,
        account_id=settings.account_id,
        opening=settings.opening_balances,
        count=lambda outcome: metrics.ENTRIES.labels(outcome).inc(),
    )
    credentials = Credentials(
        settings.venue_api_key.get_secret_value(), settings.venue_api_secret.get_secret_value(), settings.account_id
    )
    app.state.publisher = publisher
    app.state.venue = Venue(desk, hub, credentials, counters, Faults(), settings.admin_enabled)

    async def check_open() -> str | None:
        return None if desk.is_open else "the state is not loaded"

    service.ready_when("venue", check_open)
    service.background(follower.run, name="ticks", singleton=True)
    service.every(settings.instruments_s, follower.refresh_instruments, name="instruments")
    service.every(settings.flush_s, desk.flush, name="flush")
    service.every(PULSE_S, publisher.pulse, name="pulse")
    service.every(_HOUR_S, partial(store.forget_klines, settings.kline_days), name="kline_retention", singleton=True)
    yield


def _observe(endpoint: str, status: int, seconds: float) -> None:
    metrics.REQUESTS.labels(endpoint, str(status)).inc()
    if endpoint == "POST order":
        metrics.ORDER_SECONDS.observe(seconds)


http = Starlette(
    routes=[
        *rest_routes(_observe),
        *admin.ROUTES,
        WebSocketRoute("/ws-api/v3", user_socket),
        WebSocketRoute("/stream", market_socket),
        WebSocketRoute("/stream/{rest:path}", market_socket),
        WebSocketRoute("/ws", market_socket),
        WebSocketRoute("/ws/{rest:path}", market_socket),
    ]
)
app = build_service(Settings, wire, http=http)
