"""The one place where the venue's state changes: one operation at a time, stored before it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import structlog

from paper_venue.domain import errors
from paper_venue.domain.floor import Changes, Floor, entry_id_of
from paper_venue.domain.intervals import Interval
from paper_venue.domain.limits import RateCounters
from paper_venue.domain.manner import Manner
from paper_venue.domain.tape import Kline, PublicTrade
from paper_venue.domain.user_events import account_events
from paper_venue.handlers.hub import Hub, user_topic
from paper_venue.ports import Page, StorePort
from sigmax.domain.depth import DepthModel
from sigmax.domain.fees import FeeSchedule
from sigmax.domain.matching import Exchange
from sigmax.domain.trading_rules import TradingRules
from sigmax.domain.venue_orders import BalanceChanged, Event, Executed, OrderRequest, Refused, VenueOrder, VenueTrade
from sigmax.domain.wallet import Balance
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.market import TickBatch
from sigmax.schemas.types import Side

log = structlog.get_logger()


class Desk:
    """Serialises requests and trades over the floor, commits each, and tells the listeners afterwards.

    Whatever goes wrong between the first change in memory and the end of the commit closes the floor: the state in
    memory is thrown away and read anew, because nobody knows what was stored.
    """

    def __init__(
        self,
        *,
        store: StorePort,
        clock: ClockPort,
        hub: Hub,
        counters: RateCounters,
        fees: FeeSchedule,
        depth: DepthModel,
        manner: Manner | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self.hub = hub
        self.counters = counters
        self.fees = fees
        self.manner = manner or Manner()
        self._depth = depth
        self._floor: Floor | None = None
        self._positions: dict[str, str] = {}
        self._stored: dict[str, str] = {}
        """The positions that are in the store: a market ahead of them skips what it has."""
        self._symbol_taken: set[str] = set()
        """Instruments that share another one's symbol: told once."""
        self._lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Say whether requests are taken."""
        return self._floor is not None

    @property
    def floor(self) -> Floor:
        """Give the state for reading. Raises `DialectError` while the venue is closed."""
        if self._floor is None:
            raise errors.OPENING.error()
        return self._floor

    async def open(self, account_id: str, opening: dict[str, Decimal]) -> dict[str, str]:
        """Read the state and take requests; give the last entry taken of each stream that was ever read."""
        async with self._lock:
            await self.store.open_account(account_id, opening)
            snapshot = await self.store.load()
            floor = Floor(
                Exchange(
                    fees=self.fees,
                    depth=self._depth,
                    next_order_id=snapshot.next_order_id,
                    next_trade_id=snapshot.next_trade_id,
                )
            )
            for name, balances in snapshot.balances.items():
                wallet = floor.exchange.open_account(name)
                for asset, balance in balances.items():
                    wallet.put(asset, balance)
            for record in snapshot.markets:
                floor.restore(record)
            for order in snapshot.open_orders:
                floor.exchange.restore_order(order)
            self._positions = dict(snapshot.positions)
            self._stored = dict(snapshot.positions)
            self._floor = floor
            log.info("venue_open", markets=len(snapshot.markets), open_orders=len(snapshot.open_orders))
            return dict(self._positions)

    def close(self) -> None:
        """Take no more requests: another process may be about to."""
        self._floor = None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Floor]:
        async with self._lock:
            floor = self.floor
            try:
                yield floor
            except errors.DialectError:
                raise
            except BaseException:
                self._floor = None
                raise

    async def _commit(self, floor: Floor, events: list[Event], cancel_id: str | None = None) -> None:
        await self._record(floor.changes_of(events))
        self._tell(floor, events, cancel_id)

    async def _record(self, changes: Changes) -> None:
        try:
            await self.store.record(changes)
        except Exception as error:
            self._floor = None
            log.exception("commit_failed")
            raise errors.UNKNOWN_OUTCOME.error() from error

    def _tell(self, floor: Floor, events: list[Event], cancel_id: str | None) -> None:
        now_ms = self.clock.now_ns() // 1_000_000
        for account_id, reports in account_events(events, floor.names, now_ms, cancel_id).items():
            for report in reports:
                self.hub.publish(user_topic(account_id), self.manner.event_told(report))

    async def place(self, request: OrderRequest) -> tuple[VenueOrder, list[VenueTrade]]:
        """Accept an order and give it with its fills. Raises `DialectError` when it is refused."""
        async with self._turn() as floor:
            outcome = floor.exchange.place(request, self.clock.now_ns())
            if isinstance(outcome, Refused):
                raise errors.of_refusal(outcome.reason).error()
            await self._commit(floor, outcome)
        order = [event.order for event in outcome if not isinstance(event, BalanceChanged)][-1]
        return order, [event.trade for event in outcome if isinstance(event, Executed)]

    async def try_placing(self, request: OrderRequest) -> None:
        """Raise what `place` would raise, and place nothing."""
        async with self._turn() as floor:
            reason = floor.exchange.refusal_of(request)
            if reason is not None:
                raise errors.of_refusal(reason).error()

    async def cancel(
        self, account_id: str, instrument_id: str, order_id: int | None, client_order_id: str | None, cancel_id: str
    ) -> VenueOrder:
        """Cancel the open order that both names name. Raises `DialectError` where there is none."""
        async with self._turn() as floor:
            exchange = floor.exchange
            order = None if order_id is None else exchange.order(order_id)
            if order_id is None and client_order_id is not None:
                order = exchange.order_by_client_id(account_id, client_order_id)
            if (
                order is None
                or order.instrument_id != instrument_id
                or client_order_id not in {None, order.client_order_id}
            ):
                raise errors.UNKNOWN_ORDER.error()
            return await self._cancel(floor, account_id, order.order_id, cancel_id)

    async def cancel_all(self, account_id: str, instrument_id: str, cancel_id: str) -> list[VenueOrder]:
        """Cancel every open order of an instrument. Raises `DialectError` where there is none."""
        async with self._turn() as floor:
            orders = list(floor.exchange.open_orders(account_id, instrument_id))
            if not orders:
                raise errors.UNKNOWN_ORDER.error()
            return [await self._cancel(floor, account_id, order.order_id, cancel_id) for order in orders]

    async def _cancel(self, floor: Floor, account_id: str, order_id: int, cancel_id: str) -> VenueOrder:
        outcome = floor.exchange.cancel(account_id, order_id, self.clock.now_ns())
        if isinstance(outcome, Refused):
            raise errors.of_refusal(outcome.reason).error()
        await self._commit(floor, outcome, cancel_id)
        return next(event.order for event in outcome if not isinstance(event, BalanceChanged))

    async def open_orders(self, account_id: str, instrument_id: str | None) -> list[VenueOrder]:
        """Give an account's open orders, oldest first."""
        async with self._turn() as floor:
            return list(floor.exchange.open_orders(account_id, instrument_id))

    async def balances(self, account_id: str) -> list[tuple[str, Balance]]:
        """Give an account's balances by asset."""
        async with self._turn() as floor:
            return list(floor.exchange.open_account(account_id))

    async def deposit(self, account_id: str, asset: str, amount: Decimal, reason: str) -> None:
        """Add money from outside. Raises `InsufficientBalanceError` when a withdrawal asks for too much."""
        async with self._lock:
            floor = self.floor
            events = floor.exchange.deposit(account_id, asset, amount)
            changes = floor.changes_of(events)
            changes.deposits.append((account_id, asset, amount, reason))
            await self._record(changes)
            now_ms = self.clock.now_ns() // 1_000_000
            update = {"e": "balanceUpdate", "E": now_ms, "a": asset, "d": format(amount, "f"), "T": now_ms}
            self.hub.publish(user_topic(account_id), update)
            self._tell(floor, events, None)

    async def list_instruments(self, rules: list[TradingRules]) -> None:
        """List instruments or change their rules."""
        async with self._turn() as floor:
            for each in rules:
                if not floor.list_instrument(each) and each.instrument_id not in self._symbol_taken:
                    self._symbol_taken.add(each.instrument_id)
                    log.warning("symbol_taken", instrument_id=each.instrument_id, symbol=each.symbol)

    async def on_entry(
        self, stream: str, entry_id: str, body: bytes, watched: set[str]
    ) -> list[tuple[str, PublicTrade]]:
        """Apply one entry of a stream of trades; give the trades of watched markets.

        Raises `msgspec.DecodeError` for an entry that is no batch.
        """
        batch = TickBatch.decode(body)
        async with self._turn() as floor:
            events, public = floor.on_batch(entry_id_of(entry_id), batch, watched, self.clock.now_ns())
            self._positions[stream] = entry_id
            if events:
                await self._commit(floor, events)
        return public

    async def on_trade(
        self, symbol: str, price: Decimal, quantity: Decimal, side: Side | None
    ) -> tuple[str, PublicTrade]:
        """Apply one trade that a test brings; it is stored at once."""
        async with self._turn() as floor:
            instrument_id = floor.instrument_of(symbol)
            events, trade = floor.on_trade(instrument_id, price, quantity, side, self.clock.now_ns())
            changes = floor.changes_of(events)
            changes.markets.extend(floor.unsaved_markets(instrument_id))
            await self._record(changes)
            self._tell(floor, events, None)
        return instrument_id, trade

    async def flush(self) -> None:
        """Store how far the streams were read, with every market that moved since the last time."""
        if self._floor is None:
            return
        async with self._turn() as floor:
            moved = {stream: at for stream, at in self._positions.items() if at != self._stored.get(stream)}
            changes = Changes(markets=floor.unsaved_markets(), positions=moved)
            if changes.markets or moved:
                await self._record(changes)
                self._stored |= moved

    async def start_from(self, positions: dict[str, str]) -> None:
        """Store where streams that were never read are read from: a crash must not skip what comes after."""
        async with self._turn():
            await self._record(Changes(positions=positions))
            self._positions |= positions
            self._stored |= positions

    async def klines(self, instrument_id: str, interval: Interval, page: Page) -> list[Kline]:
        """Give bars, the running one last."""
        if interval.name == "1s":
            return self.floor.tape(instrument_id).seconds(page.limit)
        async with self._turn() as floor:
            markets = floor.unsaved_markets(instrument_id)
            if markets:
                await self._record(Changes(markets=markets))
        return await self.store.klines(instrument_id, interval, page)
