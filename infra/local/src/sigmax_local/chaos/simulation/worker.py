"""One replica of order-worker: the real handlers, wired as its `app.py` wires them, in a process that can fail."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from order_worker.domain.budget import Bucket, Kind
from order_worker.domain.sightings import ALL_IDS, Capabilities, Sighting, Trade
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
from sigmax.domain.settlement import CRYPTO
from sigmax.runtime.faults import is_passing
from sigmax.schemas.base import Message
from sigmax.schemas.control import Command, StageChanged
from sigmax.schemas.market import Instrument
from sigmax.schemas.orders import CancelRequested, OrderApproved
from sigmax.schemas.types import Mode
from sigmax_local.chaos.simulation.books import MemoryBooks
from sigmax_local.chaos.simulation.broker import Broker, Delivery
from sigmax_local.chaos.simulation.budget import MemoryBudget
from sigmax_local.chaos.simulation.process import Process
from sigmax_local.chaos.simulation.relay import Relay
from sigmax_local.chaos.simulation.server import Server
from sigmax_local.chaos.simulation.venue import FEE, SimVenue
from sigmax_local.chaos.simulation.wire import Wire

KEY = b"a key that only risk-gate and order-worker know"
_SWEEP_S = 1.0
_RESOLVE_S = 1.0
_POLL_S = 2.0
_RECONCILE_S = 12.0
_LEAD_S = 1.0
_GUARD_S = 1.0
_CLOCK_S = 2.0
_HEALTH_S = 1.0
_STREAM_BATCH_S = 0.2
_WAIT_S = (0.1, 0.2, 0.5, 1.0)
_PREFETCH = 10


def terms_for(name: str, venue: Capabilities = ALL_IDS) -> Terms:
    """Give terms in production's proportions, and a fifth of its times: a seed then lasts a virtual minute.

    A venue that names no trades tells no fees: the terms do.
    """
    market = CRYPTO if venue.execution_ids else replace(CRYPTO, fee_bps=FEE * 10_000)
    return Terms(
        account_id="paper",
        venue="paper",
        mode=Mode.PAPER,
        currency="USDT",
        approval_key=KEY,
        worker=name,
        send=timedelta(seconds=0.4),
        submit_timeout=timedelta(seconds=0.6),
        recv_window=timedelta(seconds=0.6),
        lease=timedelta(seconds=2),
        retry_after=timedelta(seconds=0.2),
        first_look=timedelta(seconds=0.4),
        look_backoff_max=timedelta(seconds=2),
        look_lease=timedelta(seconds=4),
        absence_window=timedelta(seconds=3),
        market=market,
    )


_LISTED = {
    f"{base}/USDT@binance": Instrument(
        instrument_id=f"{base}/USDT@binance",
        base=base,
        quote="USDT",
        market="binance",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.00000001"),
        quantity_min=Decimal("0.00000001"),
        notional_min=Decimal(1),
        asset_class="crypto",
    )
    for base in ("BTC", "ETH")
}


class Listed:
    """The collector's list."""

    async def all(self) -> dict[str, Instrument]:
        """Give the instruments that the collector knows, by id."""
        return _LISTED


class Worker:
    """The tasks of one process, from its start to its death."""

    def __init__(
        self,
        process: Process,
        server: Server,
        broker: Broker,
        venue: SimVenue,
        buckets: dict[Kind, Bucket],
        *,
        on_end: Callable[[Process], None],
    ) -> None:
        self.process = process
        self._server = server
        self._broker = broker
        self._venue = venue
        self._on_end = on_end
        self._news: tuple[list[Sighting], list[Trade]] = ([], [])
        self._heard = asyncio.Event()
        terms = terms_for(process.name, venue.capabilities)
        self._relay = Relay(server, broker, process)
        books = MemoryBooks(server, process, terms, self._relay.offer)
        budget = MemoryBudget(buckets, process)
        self.desk = Desk(books, Wire(venue, process, terms), Listed(), process, terms, budget)
        self.faults: list[Exception] = []
        """What a handler raised and no passing fault explains, beside what went to the dead letters."""

    def start(self) -> None:
        """Begin to work."""
        desk, spawn = self.desk, self.process.spawn
        self._on(OrderApproved, partial(on_order_approved, desk=desk), prefetch=_PREFETCH)
        self._on(CancelRequested, partial(on_cancel_requested, desk=desk), prefetch=_PREFETCH)
        self._on(StageChanged, partial(on_stage_changed, desk=desk), prefetch=1)
        self._on(Command, partial(on_command, desk=desk), prefetch=1)
        spawn("first_reconciliation", self._reconcile_first())
        spawn("outbox", self._relay.run())
        spawn("user_stream", self._stream())
        self._every(_SWEEP_S, partial(sweep, desk), "sweep")
        self._every(_RESOLVE_S, partial(resolve_due, desk), "resolver")
        self._every(_POLL_S, partial(poll, desk), "poll", singleton=True)
        self._every(_RECONCILE_S, self._reconcile_again, "reconciliation", singleton=True)
        self._every(_GUARD_S, partial(guard, desk), "guard", singleton=True)
        self._every(_CLOCK_S, partial(ask_clock, desk), "clock")
        self._every(_HEALTH_S, partial(tell_health, desk), "health", singleton=True)
        self._every(_SWEEP_S, self._relay.sweep, "outbox_sweep")
        spawn("answers", self._end_when_lost())

    @property
    def leads(self) -> bool:
        """Say whether this replica holds the advisory lock: it goes with the connection."""
        leader: Process | None = self._server.tables.of("leader").get("order_worker")
        if leader is None or not leader.is_alive or not leader.reaches("store"):
            if not self.process.reaches("store"):
                return False
            self._server.tables.of("leader")["order_worker"] = self.process
            return True
        return leader is self.process

    def _on(self, kind: type[Message], handler: Callable[[Any], Awaitable[None]], prefetch: int) -> None:
        entry = f"on_{kind.TOPIC.split('.')[1]}"

        def take(delivery: Delivery) -> None:
            if self.process.is_alive:
                self.process.spawn(entry, self._handle(handler, delivery))

        self._broker.consume(kind.TOPIC, self.process, take, prefetch)

    async def _handle(self, handler: Callable[[Any], Awaitable[None]], delivery: Delivery) -> None:
        """Follow `sigmax.runtime.consuming`: wait out what passes, park what does not, acknowledge last."""
        attempt = 0
        while True:
            try:
                await handler(delivery.message)
                break
            except Exception as error:
                if not is_passing(error):
                    self.faults.append(error)
                    await self._broker.acknowledge(delivery, is_dead=True)
                    return
            await asyncio.sleep(_WAIT_S[min(attempt, len(_WAIT_S) - 1)])
            attempt += 1
        await self._broker.acknowledge(delivery)

    def _every(
        self, interval_s: float, action: Callable[[], Awaitable[object]], name: str, *, singleton: bool = False
    ) -> None:
        async def loop() -> None:
            while True:
                if not singleton or self.leads:
                    try:
                        await action()
                    except Exception as error:
                        self._note(error)
                await asyncio.sleep(interval_s)

        self.process.spawn(name, loop())

    async def _reconcile_first(self) -> None:
        while not self.desk.is_reconciled:
            try:
                await reconcile(self.desk)
            except Exception as error:
                self._note(error)
            if not self.desk.is_reconciled:
                await asyncio.sleep(1.0)

    async def _end_when_lost(self) -> None:
        await self.desk.lost.wait()
        self._on_end(self.process)

    async def _reconcile_again(self) -> None:
        if self.desk.is_reconciled:
            await reconcile(self.desk)

    async def _stream(self) -> None:
        """Hear the venue while leading; after each loss, what was missed is fetched."""
        losses = 0
        while True:
            if not self.leads or not self.process.reaches("venue"):
                await asyncio.sleep(_LEAD_S)
                continue
            self._venue.listeners.append(self._hear)
            self.process.at_death.append(self._deaf)
            try:
                if losses:
                    await reconcile(self.desk)
                while self.leads and self.process.reaches("venue"):
                    await self._hand_on()
            except Exception as error:
                self._note(error)
            self.process.at_death.remove(self._deaf)
            self._deaf()
            losses += 1
            await asyncio.sleep(_LEAD_S)

    async def _hand_on(self) -> None:
        sightings, trades = self._news
        if not sightings and not trades:
            self._heard.clear()
            try:
                async with asyncio.timeout(_LEAD_S * 5):
                    await self._heard.wait()
            except TimeoutError:
                return
            await asyncio.sleep(_STREAM_BATCH_S)
            sightings, trades = self._news
        self._news = ([], [])
        if trades:
            await on_trades(self.desk, trades, "stream")
        if sightings:
            await on_sightings(self.desk, sightings, "stream")

    def _hear(self, sightings: list[Sighting], trades: list[Trade]) -> None:
        if self.process.reaches("venue"):
            self._news[0].extend(sightings)
            self._news[1].extend(trades)
            self._heard.set()

    def _deaf(self) -> None:
        if self._hear in self._venue.listeners:
            self._venue.listeners.remove(self._hear)

    def _note(self, error: Exception) -> None:
        """Keep what a loop raised, unless it is what a fault of this world explains."""
        if not is_passing(error) and type(error).__name__ != "VenueError":
            self.faults.append(error)
