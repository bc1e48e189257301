"""What every handler works with, and the few things they all do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog

from order_worker.domain.breaker import Breaker
from order_worker.domain.budget import Kind
from order_worker.domain.health import Trouble
from order_worker.domain.order import Order, is_news, renumbered
from order_worker.domain.reconciling import ClockGap
from order_worker.domain.terms import Terms
from order_worker.ports import BooksPort, BudgetPort, InstrumentsPort, PagePort, VenuePort
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.faults import is_passing
from sigmax.schemas.control import Alert
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()
T = TypeVar("T")

_PRODUCER = "order_worker"
_PAUSE_S = 0.2


@dataclass(frozen=True)
class HealthTold:
    """What was told of the venue's health, and when."""

    at: datetime
    trouble: Trouble | None
    open: frozenset[Kind]
    """Kinds of requests whose breaker people have been told of."""


@dataclass
class Desk:
    """One worker: its books, its venue, its terms, and what it alone remembers."""

    books: BooksPort
    venue: VenuePort
    instruments: InstrumentsPort
    clock: ClockPort
    terms: Terms
    budget: BudgetPort
    breaker: Breaker = field(default_factory=Breaker)
    is_reconciled: bool = False
    """This process has held the books against the venue once: nothing is sent before."""
    is_audited: Callable[[], bool] = lambda: True
    """Whether the audit chain holds: what cannot be shown to have been recorded is not sent."""
    clock_gap: ClockGap | None = None
    """As the last question for the venue's time showed it."""
    told: HealthTold | None = None
    """What this worker last told of the venue's health."""
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an answer could not be recorded while its lease ran: the process is to end, and the resolver asks."""

    @property
    def is_clock_off(self) -> bool:
        """Say whether the clocks differ by too much to send."""
        return self.clock_gap is not None and self.clock_gap.is_off

    def may_send(self, now: datetime) -> bool:
        """Say whether this worker may claim orders at all."""
        is_sound = self.is_reconciled and self.is_audited() and not self.is_clock_off
        return is_sound and not self.breaker.is_open(now)


@dataclass(frozen=True)
class Changed:
    """An order after a change."""

    order: Order
    is_key_waiting: bool
    """Another order of its account and instrument waits to be sent."""


async def change(page: PagePort, before: Order, after: Order, now: datetime) -> Changed:
    """Write an order's new state, and tell the others when there is something to tell."""
    numbered = renumbered(before, after)
    is_key_waiting = await page.save(numbered, now) if numbered != before else True
    if is_news(before, after):
        page.publish(numbered.event(now))
    return Changed(numbered, is_key_waiting)


def alert(approved: OrderApproved, level: AlertLevel, code: str, text: str, now: datetime, **values: str) -> Alert:
    """Tell people of something about one order; the same thing told twice is one alert."""
    return Alert(
        **Alert.after(approved, now, part=code),
        producer=_PRODUCER,
        level=level,
        code=code,
        subject=approved.client_order_id,
        text=text,
        values={"instrument": approved.instrument_id, "account": approved.account_id, **values},
        dedupe_key=f"{code}:{approved.client_order_id}",
    )


def notice(terms: Terms, level: AlertLevel, code: str, text: str, now: datetime, **values: str) -> Alert:
    """Tell people of something about the whole account."""
    return Alert(
        **Alert.first(f"{code}:{terms.account_id}:{now.isoformat()}:{terms.worker}", now),
        producer=_PRODUCER,
        level=level,
        code=code,
        subject=terms.account_id,
        text=text[:2000],
        values={"venue": terms.venue, "worker": terms.worker, **values},
        dedupe_key=":".join((code, terms.account_id, *values.values())),
    )


async def insist(desk: Desk, record: Callable[[], Awaitable[T]], until: datetime) -> T:
    """Record what cannot be learned again, trying until a time; then the process ends, and the fault is raised.

    Each try reads the row before it writes, so a commit that got lost on its way back is not repeated.
    """
    while True:
        try:
            return await record()
        except Exception as error:
            if not is_passing(error):
                raise
            if desk.clock.now() >= until:
                desk.lost.set()
                raise
            log.warning("recording_again", error=str(error))
        await asyncio.sleep(_PAUSE_S)
