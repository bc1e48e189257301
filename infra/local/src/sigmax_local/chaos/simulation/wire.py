"""One replica's way to the venue: it follows `adapters/venue.py` and `adapters/wire.py` step by step."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TypeVar

from order_worker.domain.budget import Kind, Told
from order_worker.domain.health import Health
from order_worker.domain.matching import Listed
from order_worker.domain.order import Order
from order_worker.domain.sightings import DUPLICATE, Answer, Capabilities, Outcome, Sighting, Trade, classify
from order_worker.domain.terms import Terms
from order_worker.ports import VenueError
from sigmax_local.chaos.simulation.process import Process
from sigmax_local.chaos.simulation.venue import Arrival, RefusedError, SimVenue, VenueOrder

T = TypeVar("T")

_WAY_S = (0.002, 0.08)
_WRITE_S = 0.0005
_PAUSES_S = (0.2, 0.5)
_PAGE = 2
"""Rows of a page of the venue's list of orders: few, so that most lists have several."""
_QUESTION_S = 0.6
"""Until a question that nobody answers is given up."""


class _FailedError(Exception):
    """A request that failed: `kinds` are the names of ccxt's classes for it."""

    def __init__(self, text: str, *kinds: str) -> None:
        super().__init__(text)
        self.kinds = kinds


class Wire:
    """The venue, as one process reaches it."""

    def __init__(self, venue: SimVenue, process: Process, terms: Terms) -> None:
        self._venue = venue
        self._process = process
        self._terms = terms
        self._health = Health()
        self._has_list_failed = False

    @property
    def capabilities(self) -> Capabilities:
        """Say what the venue keeps and tells of our orders."""
        return self._venue.capabilities

    @property
    def health(self) -> Health:
        """Say which kinds of requests are answered."""
        return self._health

    async def submit(self, order: Order) -> Answer:
        """Send one order, once, before its deadline."""
        answer = await self._submit(order)
        if answer.sent_at is not None and answer.outcome is Outcome.UNKNOWN and not answer.is_duplicate:
            self._health = self._health.failed(Kind.ORDERS, answer.sent_at, self._process.now())
        elif answer.sent_at is not None:
            self._health = self._health.answered(Kind.ORDERS, self._process.now())
        return answer

    async def _submit(self, order: Order) -> Answer:
        process, sent = self._process, Arrival(order.client_order_id, order.fence)
        sent_at: datetime | None = None
        try:
            async with asyncio.timeout(self._terms.submit_timeout.total_seconds()):
                signed_at = process.now()
                await process.hop("signed, connecting", self._way())
                if not process.reaches("venue"):
                    raise _FailedError("connection refused", "NetworkError", "OperationFailed")
                now = process.now()
                if order.send_deadline is not None and now > order.send_deadline:
                    raise _FailedError("the send deadline had passed", "DeadlinePassedError")
                sent_at, sent.written_at, sent.skew = now, self._venue.loop.time(), process.skew
                await process.hop("deadline checked, writing", _WRITE_S)
                sighting = await self._written(order, signed_at, sent)
            return Answer(Outcome.ACCEPTED, sighting=sighting, sent_at=sent_at)
        except TimeoutError:
            return self._explained("RequestTimeout", ("NetworkError", "OperationFailed", "TimeoutError"), sent_at)
        except (_FailedError, RefusedError) as error:
            kinds = error.kinds if isinstance(error, _FailedError) else (error.kind,)
            text = str(error) if isinstance(error, _FailedError) else error.text
            return self._explained(text, kinds, sent_at)

    async def _written(self, order: Order, signed_at: datetime, sent: Arrival) -> Sighting:
        """Wait for the answer to a request whose bytes have left: from now on they arrive, whatever becomes of us."""
        loop, process = self._venue.loop, self._process
        answer = loop.create_future()

        def arrive() -> None:
            manner = self._manner(order)
            if self._venue.is_down or manner in ("dropped", "5xx dropped"):
                if manner == "5xx dropped":
                    _fail(answer, _FailedError("503 Service Unavailable", "ExchangeNotAvailable", "NetworkError"))
                return
            try:
                if manner == "limited":
                    raise RefusedError("RateLimitExceeded", "-1015 Too many new orders.")
                if manner == "refused":
                    raise RefusedError("InvalidOrder", "Filter failure: LOT_SIZE")
                sighting = self._venue.receive(order, signed_at, self._terms.recv_window, sent)
            except RefusedError as refusal:
                _fail(answer, refusal)
                return
            if "hidden" in manner:
                self._venue.hide(sighting.venue_order_id, is_long="long" in manner)
            if manner in ("5xx", "garbage"):
                kind = "ExchangeNotAvailable" if manner == "5xx" else "ExchangeError"
                _fail(answer, _FailedError(f"the venue's answer was {manner}", kind))
            elif not manner.startswith("lost") and not answer.done():
                answer.set_result(sighting)

        loop.call_later(self._way(), arrive)
        process.doing = "written, not answered"
        sighting: Sighting = await answer
        if not process.reaches("venue"):
            await process.hop("the answer does not get through", 60.0)  # the timeout comes first
        await process.hop("answered", self._way())
        return sighting

    def _explained(self, text: str, kinds: Collection[str], sent_at: datetime | None) -> Answer:
        outcome = classify(kinds, text, has_left=sent_at is not None)
        return Answer(outcome, text, is_duplicate=DUPLICATE in text, sent_at=sent_at)

    async def cancel(self, order: Order) -> Sighting | None:
        """Cancel an order; None when the venue says that nothing of it is open. Raises `VenueError`."""
        return await self._ask("cancel", lambda: self._cancel(order), Kind.CANCELS)

    def _cancel(self, order: Order) -> Sighting | None:
        known = self._known(order)
        is_named = known is not None and known.reference == order.venue_reference
        return self._venue.cancel(known) if known is not None and is_named else None

    async def find(self, order: Order) -> Sighting | None:
        """Ask for an order by its id; None when the venue does not know it. Raises `VenueError`."""
        return await self._ask("find", lambda: _shown(self._known(order)))

    async def order(self, symbol: str, venue_order_id: str) -> Sighting | None:
        """Ask for an order by the venue's id. Raises `VenueError`."""
        shown = self._venue.shown
        return await self._ask(
            "ask for order",
            lambda: next(
                (o.sighting() for o in shown() if (o.venue_order_id, o.symbol) == (venue_order_id, symbol)), None
            ),
        )

    async def open_orders(self, symbols: Collection[str]) -> list[Sighting]:
        """Give the orders that rest. Raises `VenueError`."""
        shown = self._venue.shown
        return await self._ask(
            "open orders", lambda: [each.sighting() for each in shown() if each.is_open and each.symbol in symbols]
        )

    async def orders(self, symbol: str, since: datetime) -> list[Listed]:
        """Give every order placed since a time, every page. Raises `VenueError` for a list that proves nothing."""
        rows: list[Listed] = []
        self._venue.readers += 1
        try:
            after: str | None = None
            while page := await self._ask("page of orders", partial(self._page, symbol, since, after), pauses_s=()):
                rows += page
                after = page[-1].venue_order_id
        except VenueError:
            self._has_list_failed = True
            raise
        finally:
            self._venue.readers -= 1
        has_failed, self._has_list_failed = self._has_list_failed, False
        if has_failed and not rows:
            raise VenueError("an empty list right after an error says nothing")
        return rows

    def _page(self, symbol: str, since: datetime, after: str | None) -> list[Listed]:
        return self._venue.page(symbol, since, after, _PAGE)

    async def trades_of(self, order: Order) -> list[Trade]:
        """Give the trades of one order that the venue has. Raises `VenueError`."""
        if not self.capabilities.execution_ids:
            return []
        return await self._ask("trades of order", lambda: list(_trades(self._known(order))))

    async def trades(self, symbol: str, since: datetime) -> list[Trade]:
        """Give our trades from a time on. Raises `VenueError`."""
        if not self.capabilities.execution_ids:
            return []
        shown = self._venue.shown
        return await self._ask(
            "trades",
            lambda: [t for o in shown() if o.symbol == symbol for t in o.trades if t.executed_at >= since],
        )

    async def balances(self) -> dict[str, Decimal]:
        """Give free and locked together, by asset. Raises `VenueError`."""
        return await self._ask("balances", lambda: {a: amount for a, amount in self._venue.money.items() if amount})

    async def now(self) -> datetime:
        """Give the venue's time. Raises `VenueError`."""
        return await self._ask("time", self._venue.now)

    async def symbols(self) -> frozenset[str]:
        """Give what is traded there."""
        return frozenset({"BTC/USDT", "ETH/USDT"})

    async def limits(self) -> Told:
        """Give how many requests the venue says it takes: it does not say."""
        return Told()

    async def _ask(
        self,
        doing: str,
        answer: Callable[[], T],
        kind: Kind = Kind.QUERIES,
        pauses_s: tuple[float, ...] = _PAUSES_S,
    ) -> T:
        """Ask, and ask again after a passing fault."""
        asked_at = self._process.now()
        if self._health.must_rest(kind, asked_at):
            raise VenueError("the venue does not answer; it is asked again in a moment")
        for pause_s in (*pauses_s, None):
            await self._process.hop(doing, self._way())
            if self._process.reaches("venue") and not self._venue.is_down:
                found = answer()
                await self._process.hop(f"{doing} answered", self._way())
                if self._process.reaches("venue"):
                    self._health = self._health.answered(kind, self._process.now())
                    return found
            await self._process.hop(f"{doing}: no answer", _QUESTION_S)
            if pause_s is not None:
                await self._process.hop(f"{doing}: pause", pause_s)
        self._health = self._health.failed(kind, asked_at, self._process.now())
        raise VenueError("not answered")

    def _known(self, order: Order) -> VenueOrder | None:
        shown = self._venue.shown()
        if order.venue_order_id is not None:
            return next((each for each in shown if each.venue_order_id == order.venue_order_id), None)
        if not self.capabilities.client_ids:
            raise VenueError("the venue keeps no client ids, and its own is not known yet")
        mine = [each for each in shown if each.approved.client_order_id == order.client_order_id]
        return mine[-1] if mine else None

    def _manner(self, order: Order) -> str:
        if not self._venue.script:
            return ""
        manner = self._venue.script.pop(0)
        manner.client_order_id = order.client_order_id
        return manner.name

    def _way(self) -> float:
        return self._venue.chance.uniform(*_WAY_S)


def _fail(future: "asyncio.Future[Sighting]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _shown(order: VenueOrder | None) -> Sighting | None:
    return None if order is None else order.sighting()


def _trades(order: VenueOrder | None) -> list[Trade]:
    return [] if order is None else order.trades
