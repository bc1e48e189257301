"""`python -m sigmax_local.chaos.matrix.worker`: an order-worker whose ports say where it is, so that a run can strike.

The service is the real one, built by its own `wire`; only what it is handed (the books, the venue, the clock) is
wrapped, and the functions it registers are announced. The product knows nothing of this.
"""
# ruff: noqa: D102 - the methods are those of the ports they wrap

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp

import order_worker.app as product
from order_worker.adapters import venue as venue_adapter
from order_worker.domain.order import Order
from order_worker.settings import Settings
from sigmax.runtime.__main__ import main
from sigmax.runtime.clock import SystemClock
from sigmax.runtime.service import Service, build_service
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Submission
from sigmax_local.chaos.matrix.points import BOOKS, Bug, Flag, Point, Points

_LATER_S = 0.1
_sending: ContextVar[str] = ContextVar("sending", default="")
"""The client order id whose submit this task is in."""
_answered: ContextVar[str] = ContextVar("answered", default="")
"""The client order id whose answer this task is about to record."""


class _Wrapped:
    """Passes on whatever a wrapper does not look at."""

    def __init__(self, inner: Any, points: Points) -> None:
        self._inner = inner
        self._points = points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class AnnouncedPage(_Wrapped):
    """Remembers what a transaction wrote."""

    def __init__(self, inner: Any, points: Points) -> None:
        super().__init__(inner, points)
        self.added: str | None = None
        self.sent: str | None = None

    async def add(self, order: Order, now: datetime) -> Any:
        self.added = order.client_order_id
        return await self._inner.add(order, now)

    async def save(self, order: Order, now: datetime) -> Any:
        if order.client_order_id == _answered.get() and order.submission is not Submission.SENDING:
            self.sent = order.client_order_id
        return await self._inner.save(order, now)


class AnnouncedBooks(_Wrapped):
    """Says what is about to be committed, and what was."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AnnouncedPage]:
        async with self._inner.open() as inner:
            page = AnnouncedPage(inner, self._points)
            yield page
            if page.added:
                await self._points.passing(Point.RECORDING, page.added)
            if page.sent:
                await self._points.passing(Point.BOOKING, page.sent)
        if page.added:
            await self._points.passing(Point.RECORDED, page.added)
        if page.sent:
            await self._points.passing(Point.BOOKED, page.sent)

    async def claim(self, *values: Any, **named: Any) -> Any:
        claim = await self._inner.claim(*values, **named)
        if claim is not None:
            await self._points.passing(Point.CLAIMED, claim.order.client_order_id)
        return claim


class AnnouncedVenue(_Wrapped):
    """Says what is asked of the venue; hides from the worker what is to be hidden."""

    async def submit(self, order: Order) -> Any:
        await self._points.passing(Point.SUBMITTING, order.client_order_id)
        token = _sending.set(order.client_order_id)
        try:
            answer = await self._inner.submit(order)
        finally:
            _sending.reset(token)
        await self._points.passing(Point.ANSWERED, order.client_order_id)
        _answered.set(order.client_order_id)
        return answer

    async def cancel(self, order: Order) -> Any:
        await self._points.passing(Point.CANCELING, order.client_order_id)
        sighting = await self._inner.cancel(order)
        await self._points.passing(Point.CANCELED, order.client_order_id)
        return sighting

    async def find(self, order: Order) -> Any:
        is_looking = order.submission is Submission.UNKNOWN
        if is_looking:
            await self._points.passing(Point.LOOKING, order.client_order_id)
        sighting = None if self._hides(order.symbol) else await self._inner.find(order)
        if is_looking:
            await self._points.passing(Point.LOOKED, order.client_order_id)
        return sighting

    async def order(self, symbol: str, venue_order_id: str) -> Any:
        return None if self._hides(symbol) else await self._inner.order(symbol, venue_order_id)

    async def open_orders(self, symbols: Any) -> Any:
        return [each for each in await self._inner.open_orders(symbols) if not self._hides(each.symbol)]

    async def trades(self, symbol: str, since: datetime) -> Any:
        return [] if self._hides(symbol) else await self._inner.trades(symbol, since)

    async def balances(self) -> Any:
        balances = await self._inner.balances()
        await self._points.passing(Point.RECONCILING, BOOKS)
        return balances

    def _hides(self, symbol: str | None) -> bool:
        return symbol is not None and self._points.control.flag(Flag.HIDE, symbol) is not None


class SkewedClock:
    """The machine's clock, off by what the run says."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._clock = SystemClock()

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._skew_s())

    def now_ns(self) -> int:
        return self._clock.now_ns() + int(self._skew_s() * 1e9)

    def _skew_s(self) -> float:
        flag = self._points.control.flag
        return float(flag(Flag.CLOCK, self._points.replica) or flag(Flag.CLOCK, "all") or 0)


def _watched_session(points: Points, original: Callable[..., aiohttp.ClientSession]) -> Any:
    """Announce the two moments around the product's own look at the send deadline."""

    def make(*values: Any) -> aiohttp.ClientSession:
        session = original(*values)

        def announcing(point: Point) -> aiohttp.TraceConfig:
            async def announce(*_: object) -> None:
                if client_order_id := _sending.get():
                    await points.passing(point, client_order_id)

            traces = aiohttp.TraceConfig()
            traces.on_request_headers_sent.append(announce)
            traces.freeze()
            return traces

        session.trace_configs.insert(0, announcing(Point.SIGNED))
        session.trace_configs.append(announcing(Point.WRITING))
        return session

    return make


def _from_stream(points: Points, original: Callable[..., Awaitable[None]]) -> Any:
    """Lose, double, and reverse what the user stream tells, where the run wants it so."""

    async def hand_on(desk: Any, told: list[Any], source: str) -> None:
        flag = points.control.flag
        if source == "stream":
            told = [each for each in told if all(flag(one, each.symbol) is None for one in (Flag.HIDE, Flag.DEAF))]
            twice = [each for each in told if flag(Flag.SHUFFLE, each.symbol) is not None]
            if twice:
                await original(desk, twice[::-1], source)
        await original(desk, told, source)

    return hand_on


def _approvals(points: Points, original: Callable[..., Awaitable[None]]) -> Any:
    tasks: set[asyncio.Task[None]] = set()

    async def honest(approved: OrderApproved, desk: Any) -> None:
        await points.passing(Point.RECEIVED, approved.client_order_id)
        await original(approved, desk)
        await points.passing(Point.HANDLED, approved.client_order_id)

    async def later(approved: OrderApproved, desk: Any) -> None:
        await asyncio.sleep(_LATER_S)
        await honest(approved, desk)

    async def acknowledging_first(approved: OrderApproved, desk: Any) -> None:
        task = asyncio.create_task(later(approved, desk))  # the broker hears of success before there is any
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def sending_before_commit(approved: OrderApproved, desk: Any) -> None:
        order = replace(Order(approved), send_deadline=desk.clock.now() + desk.terms.send)
        await desk.venue.submit(order)
        await honest(approved, desk)

    return {Bug.ACKNOWLEDGE_FIRST: acknowledging_first, Bug.SEND_BEFORE_COMMIT: sending_before_commit, None: honest}[
        points.bug
    ]


def announce(points: Points) -> None:
    """Wrap what the service's `wire` will take."""
    parts: Any = product
    books, venue = parts.Books, parts.CcxtVenue
    parts.Books = lambda *values: AnnouncedBooks(books(*values), points)
    parts.CcxtVenue = lambda *values, **named: AnnouncedVenue(venue(*values, **named), points)
    parts.on_order_approved = _approvals(points, parts.on_order_approved)
    parts.on_sightings = _from_stream(points, parts.on_sightings)
    parts.on_trades = _from_stream(points, parts.on_trades)
    adapter: Any = venue_adapter
    adapter.watched_session = _watched_session(points, adapter.watched_session)

    wire = product.wire

    @asynccontextmanager
    async def skewed(service: Service) -> AsyncIterator[None]:
        clock: Any = SkewedClock(points)
        service.clock = clock
        async with wire(service):
            yield

    parts.app = build_service(Settings, skewed)


if __name__ == "__main__":
    announce(Points(os.environ["SIGMAX_REPLICA"]))
    status = main(["order_worker"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
