"""Joins settings, adapters, and handlers; decides nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from order_worker.adapters.books import Books
from order_worker.adapters.budget import RedisBudget
from order_worker.adapters.endpoints import hosts_of
from order_worker.adapters.instruments import RedisInstruments
from order_worker.adapters.stream import UserStream
from order_worker.adapters.venue import CcxtVenue, exchange_settings
from order_worker.adapters.watching import Watch
from order_worker.domain.budget import Told
from order_worker.domain.terms import Terms
from order_worker.handlers.approvals import on_cancel_requested, on_order_approved, on_stage_changed
from order_worker.handlers.commands import on_command
from order_worker.handlers.desk import Desk
from order_worker.handlers.guarding import guard
from order_worker.handlers.health import ask_clock, tell_health
from order_worker.handlers.reconciling import reconcile
from order_worker.handlers.resolving import resolve_due
from order_worker.handlers.sending import sweep
from order_worker.handlers.working import on_sightings, on_trades, poll
from order_worker.settings import Settings
from sigmax.domain.settlement import Calendar
from sigmax.runtime.audit import watched_audit
from sigmax.runtime.service import Service, build_service
from sigmax.schemas.control import Command, StageChanged
from sigmax.schemas.orders import CancelRequested, OrderApproved

log = structlog.get_logger()

_SWEEP_S = 1.0
_RESOLVE_S = 1.0
_POLL_S = 5.0
_CHECKPOINT_S = 10.0
_WATCH_S = 5.0
_VENUE_AWAY_S = 1.0
_GUARD_S = 1.0
_CLOCK_S = 2.0
_HEALTH_S = 1.0
_DISAGREE_S = 15.0
"""Between first comparisons that did not pass: each one tells people."""


def terms_of(settings: Settings) -> Terms:
    """Give the terms that the settings ask for."""
    return Terms(
        account_id=settings.account_id,
        venue=settings.venue,
        mode=settings.account_mode,
        currency=settings.account_currency,
        approval_key=settings.approval_key.get_secret_value().encode(),
        worker=f"{settings.service}-{settings.replica}",
        market=settings.rules,
        calendar=Calendar(settings.holidays),
        send=timedelta(seconds=settings.send_s),
        submit_timeout=settings.submit_timeout,
        recv_window=timedelta(milliseconds=settings.recv_window_ms),
        lease=timedelta(seconds=settings.lease_s),
        first_look=timedelta(seconds=settings.first_look_s),
        absence_window=settings.absence_window,
        absence_looks_min=settings.absence_looks,
    )


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Build one worker."""
    settings = service.settings
    assert isinstance(settings, Settings)
    terms = terms_of(settings)
    venue_settings = exchange_settings(settings.venue_url, *settings.key_pair, terms)
    hosts = hosts_of(settings.venue_class, venue_settings, settings.venue_spare_url)
    terms = replace(terms, hosts=hosts, key_fingerprint=settings.key_fingerprint)
    log.info("trades_as", mode=terms.mode, hosts=hosts, key_fingerprint=terms.key_fingerprint)
    budget = RedisBudget(service.redis, settings.venue, service.clock, settings.limits(Told()))
    venue = CcxtVenue(
        settings.venue_class,
        venue_settings,
        service.clock,
        terms,
        budget,
        spare_url=settings.venue_spare_url,
        capabilities=settings.capabilities,
    )
    books = Books(service.database, terms)
    watch = Watch(service.database, settings.account_id)
    desk = Desk(books, venue, RedisInstruments(service.redis), service.clock, terms, budget)
    stream = UserStream(
        settings.venue_class,
        venue_settings,
        on_sightings=lambda sightings: on_sightings(desk, sightings, "stream"),
        on_trades=lambda trades: on_trades(desk, trades, "stream"),
        on_connected=partial(_reconcile_again, desk),
        capabilities=settings.capabilities,
    )

    async def learn_limits() -> None:
        budget.limits = settings.limits(await venue.limits())

    await books.prepare()
    await venue.start()
    try:
        _consume(service, desk, settings)
        service.background(partial(_reconcile_first, desk, learn_limits), name="first_reconciliation")
        service.background(partial(_end_when_lost, desk), name="answers")
        service.background(stream.run, name="user_stream", singleton=True)
        _repeat(service, desk)
        service.every(settings.reconcile_s, partial(_reconcile_again, desk), name="reconciliation", singleton=True)
        service.every(_CHECKPOINT_S, lambda: books.checkpoint(service.clock.now()), name="checkpoint", singleton=True)
        service.every(_WATCH_S, lambda: watch.look(service.clock.now()), name="watch")
        service.ready_when("reconciliation", partial(_is_reconciled, desk))
        service.ready_when("budget", budget.look)
        service.ready_when("clock", partial(_is_clock_right, desk))
        async with watched_audit(service) as audit:
            desk.is_audited = lambda: audit.is_whole
            yield
    finally:
        await venue.close()


def _consume(service: Service, desk: Desk, settings: Settings) -> None:
    service.on(OrderApproved, partial(on_order_approved, desk=desk), prefetch=settings.prefetch)
    service.on(CancelRequested, partial(on_cancel_requested, desk=desk))
    service.on(StageChanged, partial(on_stage_changed, desk=desk), prefetch=1)
    service.on(Command, partial(on_command, desk=desk), prefetch=1)


def _repeat(service: Service, desk: Desk) -> None:
    service.every(_SWEEP_S, partial(sweep, desk), name="sweep")
    service.every(_RESOLVE_S, partial(resolve_due, desk), name="resolver")
    service.every(_POLL_S, partial(poll, desk), name="poll", singleton=True)
    service.every(_GUARD_S, partial(guard, desk), name="guard", singleton=True)
    service.every(_CLOCK_S, partial(ask_clock, desk), name="clock")
    service.every(_HEALTH_S, partial(tell_health, desk), name="health", singleton=True)


async def _reconcile_again(desk: Desk) -> None:
    if desk.is_reconciled:  # the first time has its own loop
        await reconcile(desk)


async def _reconcile_first(desk: Desk, learn_limits: Callable[[], Awaitable[None]]) -> None:
    """Learn what the venue allows, and try until the books agree with its own: nothing is sent before."""
    while not desk.is_reconciled:
        pause_s = _VENUE_AWAY_S
        try:
            await learn_limits()
            if not await reconcile(desk):
                pause_s = _DISAGREE_S
        except Exception as error:
            log.warning("first_reconciliation_failed", error=repr(error))
        if not desk.is_reconciled:
            await asyncio.sleep(pause_s)
    await asyncio.Event().wait()


class AnswerLostError(Exception):
    """An answer of the venue could not be recorded while its lease ran: the next process asks for it."""


async def _end_when_lost(desk: Desk) -> None:
    await desk.lost.wait()
    raise AnswerLostError


async def _is_clock_right(desk: Desk) -> str | None:
    gap = desk.clock_gap
    return f"the venue's clock is {gap.milliseconds} ms from ours: nothing is sent" if gap and gap.is_off else None


async def _is_reconciled(desk: Desk) -> str | None:
    return None if desk.is_reconciled else "the books have not been held against the venue's yet"


app = build_service(Settings, wire)
