"""Joins settings, adapters, and handlers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from sigmax.runtime.service import Service, build_service
from sigmax.schemas.control import Command
from sigmax.schemas.orders import Fill, OrderDenied, OrderEvent
from strategy_engine.adapters.feed import RedisFeed
from strategy_engine.adapters.leases import RedisLeases
from strategy_engine.adapters.metrics import Meter, cpu_ns
from strategy_engine.adapters.postgres import postgres_ledgers
from strategy_engine.handlers.market import Engine, Rules
from strategy_engine.handlers.messages import on_command, on_fill, on_order_denied, on_order_event
from strategy_engine.settings import Settings

_REFRESH_S = 1.0
_RENEW_S = 1.0


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Run the market loop, and hear of orders and commands."""
    settings = cast("Settings", service.settings)
    clock = service.clock
    open_ledger = postgres_ledgers(service.database)
    feed = RedisFeed(service.redis)
    leases = RedisLeases(service.redis, settings.replica, settings.lease_ttl_s, clock)
    meter = Meter()
    rules = Rules(
        signal_valid_s=settings.signal_valid_s,
        judgement_s=settings.judgement_s,
        working_margin_s=settings.working_margin_s,
        evaluation_ms=settings.evaluation_ms,
        warm_ticks_s=settings.warm_ticks_s,
    )
    engine = Engine(
        feed=feed, leases=leases, open_ledger=open_ledger, clock=clock, cpu_ns=cpu_ns, meter=meter, rules=rules
    )
    async with open_ledger() as ledger:
        await ledger.seed(settings.seeds())
    book, margin_s = engine.book, settings.working_margin_s
    service.on(Command, partial(on_command, clock=clock, open_ledger=open_ledger, refresh=engine.refresh))
    service.on(Fill, partial(on_fill, open_ledger=open_ledger, book=book))
    service.on(OrderEvent, partial(on_order_event, clock=clock, open_ledger=open_ledger, book=book, margin_s=margin_s))
    service.on(OrderDenied, partial(on_order_denied, clock=clock, open_ledger=open_ledger, book=book, meter=meter))
    service.every(_RENEW_S, leases.renew, name="leases")
    service.every(_REFRESH_S, engine.refresh, name="refresh")
    service.background(engine.run, name="market")
    service.ready_when("shards", engine.problem)
    service.lag("md", lambda: feed.waiting)
    yield
    await engine.close()
    await leases.depart()


app = build_service(Settings, wire)
