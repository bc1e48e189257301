"""Joins settings, adapters, and handlers of the collector; decides nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from collector.adapters import metrics
from collector.adapters.postgres import PostgresStore
from collector.adapters.recorder import Recorder
from collector.adapters.redis_market import RedisMarket
from collector.handlers import Collector
from collector.ports import SourcePort
from collector.settings import Settings
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.service import Service, build_service
from sigmax.schemas.market import TICKS_ACCEPTED

_TIMER_S = 0.5
_RELIST_S = 3.0
"""A Redis that was killed comes back without the list, and nothing is approved before it is there again."""
_HOUR_S = 3600.0


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Open the source, so that a bad file ends the start, and register what runs."""
    settings = cast("Settings", service.settings)
    source = _source(settings, service.clock)
    if settings.source == "replay":
        await source.open()
    store = PostgresStore(service.database, file=str(settings.replay_file or ""))
    recorder = Recorder(store, service.clock)
    market = RedisMarket(service.redis, service.clock)
    collector = Collector(source, market, store, recorder, service.clock, run=settings.replay_run)

    async def problem() -> str | None:
        return source.problem() or market.trouble

    async def storage_problem() -> str | None:
        return recorder.problem()

    service.background(collector.collect, name="collect", singleton=True)
    service.background(recorder.run, name="record", singleton=True)
    service.every(_TIMER_S, collector.on_timer, name="timer", singleton=True)
    service.every(_RELIST_S, collector.relist, name="relist", singleton=True)
    if settings.ticks_retention_days:
        drop = partial(collector.drop_old_days, settings.ticks_retention_days)
        service.every(_HOUR_S, drop, name="retention", singleton=True)
    metrics.source_connected.set_function(lambda: source.problem() is None)
    service.ready_when("source", problem)
    service.ready_when("storage", storage_problem)
    service.lag("rows_to_store", lambda: recorder.waiting)
    service.counts(TICKS_ACCEPTED, lambda: market.ticks)
    try:
        yield
    finally:
        await collector.stop()


def _source(settings: Settings, clock: ClockPort) -> SourcePort:
    # Imported when chosen: ccxt and polars weigh 100 MB and a second of start each.
    if settings.replay_file is not None and settings.source == "replay":
        from collector.adapters.replay_source import ReplaySource

        return ReplaySource(settings.replay_file, speed=settings.replay_speed, loop=settings.replay_loop, clock=clock)
    from collector.adapters.ccxt_source import CcxtSource

    return CcxtSource(
        settings.ccxt_exchange,
        settings.symbols,
        clock,
        url=settings.ccxt_url,
        silence_max_s=settings.ccxt_silence_max_s,
    )


app = build_service(Settings, wire)
