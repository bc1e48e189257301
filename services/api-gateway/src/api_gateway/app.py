"""Joins settings, adapters, and handlers; decides nothing."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import cast

from api_gateway.adapters.approvals import PostgresApprovals
from api_gateway.adapters.audit import PostgresAudit
from api_gateway.adapters.commands import PostgresCommands
from api_gateway.adapters.feed import Feed
from api_gateway.adapters.guard_books import GuardBooks
from api_gateway.adapters.judgement_books import JudgementBooks
from api_gateway.adapters.market import RedisMarket
from api_gateway.adapters.metrics import PrometheusCounters
from api_gateway.adapters.passwords import Argon2Passwords, new_password
from api_gateway.adapters.platform_books import PlatformBooks
from api_gateway.adapters.rates import RedisRates
from api_gateway.adapters.risk_books import RiskBooks
from api_gateway.adapters.sessions import PostgresSessions
from api_gateway.adapters.system_books import SystemBooks
from api_gateway.adapters.tickets import RedisTickets
from api_gateway.adapters.tokens import JwtTokens
from api_gateway.adapters.trading_books import TradingBooks
from api_gateway.adapters.users import FIRST_ADMIN, PostgresUsers
from api_gateway.adapters.why import WhyBooks
from api_gateway.domain.logins import LoginLimits
from api_gateway.handlers.context import Gateway
from api_gateway.handlers.http import create_http
from api_gateway.handlers.messages import TOPIC_OF, on_message
from api_gateway.ports.live import Limits
from api_gateway.settings import Settings
from sigmax.runtime.audit import watched_audit
from sigmax.runtime.service import Service, build_service

_SETTLE_S = 1.0
_HOUR_S = 3600.0
_DAY_S = 86_400.0

http = create_http()


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Give the routes their ports, and the queues their handlers."""
    settings = cast("Settings", service.settings)
    database, clock = service.database, service.clock
    feed = _feed(service, settings)
    passwords, users = Argon2Passwords(), PostgresUsers(database, clock)
    sessions = PostgresSessions(database, clock, LoginLimits(delay_s=settings.login_delay_s))
    audit, commands = PostgresAudit(database, clock), PostgresCommands(database, clock)
    approvals = PostgresApprovals(database, clock, timedelta(seconds=settings.approval_cooldown_s))
    http.state.gateway = Gateway(
        clock=clock,
        limits=_limits(settings),
        passwords=passwords,
        tokens=JwtTokens(settings.jwt_key.get_secret_value(), clock),
        sessions=sessions,
        users=users,
        audit=audit,
        commands=commands,
        approvals=approvals,
        trading=TradingBooks(database),
        judgement=JudgementBooks(database),
        why=WhyBooks(database),
        platform=PlatformBooks(database, clock),
        risk=RiskBooks(database),
        guards=GuardBooks(database),
        system=SystemBooks(database),
        market=RedisMarket(service.redis),
        tickets=RedisTickets(service.redis),
        rates=RedisRates(service.redis, clock),
        feed=feed,
        counters=PrometheusCounters(),
    )
    await _ensure_first_admin(settings, users, passwords)
    for message in TOPIC_OF:
        service.on(message, partial(on_message, feed=feed))
    service.background(feed.run, name="feed")
    service.every(_SETTLE_S, commands.settle, name="commands_settled", singleton=True)
    service.every(_SETTLE_S, approvals.expire, name="approvals_expired", singleton=True)
    service.every(_HOUR_S, sessions.prune, name="sessions_pruned", singleton=True)
    service.every(_DAY_S, audit.watch, name="audit_verified")
    async with watched_audit(service):
        yield


async def _ensure_first_admin(settings: Settings, users: PostgresUsers, passwords: Argon2Passwords) -> None:
    if not await users.is_empty():
        return
    given = settings.first_admin_password
    password = given.get_secret_value() if given else new_password()
    if await users.ensure_first_admin(await passwords.hash(password)) and given is None:
        # Not a log line: logs are kept and shipped, and this is to be read once, by who starts the platform.
        sys.stdout.write(f"\n  First start. Sign in as `{FIRST_ADMIN}` with the password: {password}\n\n")
        sys.stdout.flush()


def _feed(service: Service, settings: Settings) -> Feed:
    return Feed(
        service.redis,
        service.clock,
        clients_max=settings.ws_clients_max,
        clients_per_user_max=settings.ws_clients_per_user_max,
        pending_max=settings.ws_pending_max,
        ticks_interval_s=settings.ticks_interval_s,
        events_kept=settings.events_kept,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        body_bytes_max=settings.body_bytes_max,
        requests_per_minute=settings.requests_per_minute,
        changes_per_minute=settings.changes_per_minute,
        ws_recheck_s=settings.ws_recheck_s,
        origins=settings.origins,
    )


app = build_service(Settings, wire, http=http)
