"""Joins settings, adapters, and handlers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial

from risk_gate.adapters.exit_metrics import PrometheusExitMeter
from risk_gate.adapters.feed import RedisFeed
from risk_gate.adapters.metrics import PrometheusMeter
from risk_gate.adapters.postgres import ledgers
from risk_gate.adapters.redis import RedisMarket
from risk_gate.adapters.sources import RedisFleet, RedisSources
from risk_gate.adapters.start import not_ready, open_account
from risk_gate.adapters.ticks import RedisTicks
from risk_gate.domain.ladder import LadderRule
from risk_gate.handlers.booking import on_fill, on_order_event, on_position_changed, on_reconciled, on_venue_health
from risk_gate.handlers.commands import on_command
from risk_gate.handlers.deciding import deny_unjudged, on_judgement_requested, on_signal
from risk_gate.handlers.exit_sweep import sweep
from risk_gate.handlers.exit_votes import on_decision
from risk_gate.handlers.flattening import follow_flattenings
from risk_gate.handlers.keeping import end_waiting_entries, mark_equity, settle_unasked
from risk_gate.handlers.postures import mind_postures
from risk_gate.handlers.stages import show_stages, tell_stages
from risk_gate.handlers.tick_watch import watch_ticks
from risk_gate.handlers.watching import watch
from risk_gate.ports import World
from risk_gate.ports.exits import ExitDesk
from risk_gate.settings import Settings
from sigmax.runtime.audit import watched_audit
from sigmax.runtime.service import Service, build_service
from sigmax.schemas.control import Command
from sigmax.schemas.orders import Fill, OrderEvent, PositionChanged, Reconciled, VenueHealth
from sigmax.schemas.signals import Decision, JudgementRequested, Signal

_STAGES_INTERVAL_S = 15.0
"""order-worker sends nothing and takes entries back when it has not heard of a stage for 60 s."""
_SWEEP_INTERVAL_S = 0.5
_SHOW_INTERVAL_S = 2.0
_WATCH_INTERVAL_S = 1.0
_POSTURES_INTERVAL_S = 2.0
_FLEET_INTERVAL_S = 2.0
_RIVALS_INTERVAL_S = 30.0
_MARK_INTERVAL_S = 5.0
"""The first mark of a minute stands, so it is never later than this."""


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Open the account, and register what is consumed and what is done on time."""
    settings = Settings.model_validate(service.settings)
    await open_account(service.database, settings.account, settings.limits_at_start())
    fleet, sources = RedisFleet(service.redis), RedisSources(service.redis, settings.market_timeout_s)
    world = World(
        clock=service.clock,
        open_ledger=ledgers(service.database),
        market=RedisMarket(service.redis, settings.market_timeout_s),
        meter=PrometheusMeter(),
        approval_key=settings.approval_key.get_secret_value().encode(),
        approval_lifetime=settings.approval_lifetime,
        judgement_grace=settings.judgement_grace,
        fleet=fleet,
        sources=sources,
        feed=RedisFeed(service.redis, settings.market_timeout_s, service.clock),
        ladder=LadderRule(liquidates=settings.ladder_liquidates, gap_floor_s=Decimal(settings.ladder_gap_floor_s)),
        exits=ExitDesk(rules=settings.exit_rules, meter=PrometheusExitMeter()),
    )
    # Decisions on one account wait for one another: more at a time would only take the connections a halt needs.
    service.on(Command, partial(on_command, world=world), prefetch=1)
    service.on(Signal, partial(on_signal, world=world), prefetch=3)
    service.on(JudgementRequested, partial(on_judgement_requested, world=world), prefetch=1)
    service.on(Decision, partial(on_decision, world=world), prefetch=1)
    service.on(Fill, partial(on_fill, world=world), prefetch=2)
    service.on(OrderEvent, partial(on_order_event, world=world), prefetch=2)
    service.on(PositionChanged, partial(on_position_changed, world=world), prefetch=2)
    service.on(Reconciled, partial(on_reconciled, world=world), prefetch=1)
    service.on(VenueHealth, partial(on_venue_health, world=world), prefetch=1)
    service.every(_STAGES_INTERVAL_S, partial(tell_stages, world), name="stages", singleton=True)
    # No leader is needed: the row locks let one replica have each proposal.
    service.every(_SWEEP_INTERVAL_S, partial(deny_unjudged, world), name="unjudged")
    service.every(_SHOW_INTERVAL_S, partial(show_stages, world), name="shown_stages")
    service.every(_WATCH_INTERVAL_S, partial(watch, world), name="watch")
    service.every(_POSTURES_INTERVAL_S, partial(mind_postures, world), name="postures")
    service.background(partial(watch_ticks, world, RedisTicks(service.redis)), name="exits")
    service.every(_SWEEP_INTERVAL_S, partial(sweep, world), name="exit_sweep")
    service.every(_SWEEP_INTERVAL_S, partial(follow_flattenings, world), name="flattenings")
    service.every(_FLEET_INTERVAL_S, fleet.listen, name="fleet")
    service.every(_SWEEP_INTERVAL_S, sources.read_bars, name="bars")
    service.every(_RIVALS_INTERVAL_S, sources.list_rivals, name="rivals")
    service.every(_MARK_INTERVAL_S, partial(mark_equity, world), name="equity_marks", singleton=True)
    # The row locks let one replica have each entry, and each judgement.
    service.every(_SHOW_INTERVAL_S, partial(end_waiting_entries, world), name="waiting_entries")
    service.every(_MARK_INTERVAL_S, partial(settle_unasked, world), name="unasked")
    service.ready_when("account", partial(not_ready, service.database, settings.account_id))
    await tell_stages(world)
    async with watched_audit(service):
        yield


app = build_service(Settings, wire)
