"""All that the venue knows, in memory: the exchange, each market's recent history, and how far it has read.

It is built from what is stored, changed by one request or trade at a time, and tells what has to be stored. Whoever
fails to store that throws the floor away and builds it anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from paper_venue.domain import errors
from paper_venue.domain.tape import Kline, PublicTrade, Tape
from sigmax.domain.matching import Exchange, Market
from sigmax.domain.trading_rules import TradingRules
from sigmax.domain.venue_orders import Accepted, BalanceChanged, Event, Executed, VenueOrder, VenueTrade
from sigmax.schemas.market import TickBatch
from sigmax.schemas.types import Side

EntryId = tuple[int, int]
"""A Redis stream id: milliseconds and a counter."""


def entry_id_of(text: str) -> EntryId:
    """Read `1700000000000-3`."""
    milliseconds, _, counter = text.partition("-")
    return int(milliseconds), int(counter or 0)


@dataclass(frozen=True, slots=True)
class MarketRecord:
    """One market as it is stored."""

    rules: TradingRules
    last: Decimal | None
    sizes: tuple[Decimal, ...]
    eaten: dict[Side, Decimal]
    update_id: int
    next_trade_id: int
    entry_id: EntryId
    sequence: int
    received_ns: int
    market_ns: int
    bars: tuple[Kline, ...] = ()
    """When storing: minutes that changed. When restoring: the running one."""
    slots: tuple[Kline, ...] = ()
    """When restoring: the day before the running minute in steps of 15 minutes."""


@dataclass(slots=True)
class Changes:
    """What is to be stored in one transaction."""

    new_orders: list[VenueOrder] = field(default_factory=list)
    changed_orders: list[VenueOrder] = field(default_factory=list)
    trades: list[tuple[VenueOrder, VenueTrade]] = field(default_factory=list)
    balances: list[BalanceChanged] = field(default_factory=list)
    markets: list[MarketRecord] = field(default_factory=list)
    positions: dict[str, str] = field(default_factory=dict)
    deposits: list[tuple[str, str, Decimal, str]] = field(default_factory=list)
    """Account, asset, amount, reason."""


@dataclass(slots=True)
class _Listing:
    """A market with its history and its place in the stream of trades."""

    market: Market
    tape: Tape = field(default_factory=Tape)
    entry_id: EntryId = (0, 0)
    sequence: int = -1
    received_ns: int = 0
    market_ns: int = 0


class Floor:
    """The venue's state in memory. Not for use by two tasks at once."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.names: dict[str, str] = {}
        """The venue's symbol of each instrument."""
        self.unlisted: set[str] = set()
        """Instruments that traded and are not known yet."""
        self._listings: dict[str, _Listing] = {}
        self._by_symbol: dict[str, str] = {}
        self._unsaved: set[str] = set()

    def list_instrument(self, rules: TradingRules) -> bool:
        """List an instrument or change its rules; False when another one already has its symbol."""
        instrument_id = rules.instrument_id
        if self._by_symbol.setdefault(rules.symbol, instrument_id) != instrument_id:
            return False
        known = self.exchange.markets.get(instrument_id)
        if known is None or known.rules != rules:
            market = self.exchange.list_instrument(rules)
            if instrument_id not in self._listings:
                self._listings[instrument_id] = _Listing(market)
            self.names[instrument_id] = rules.symbol
            self.unlisted.discard(instrument_id)
            self._unsaved.add(instrument_id)
        return True

    def restore(self, record: MarketRecord) -> None:
        """Put back a stored market."""
        self.list_instrument(record.rules)
        listing = self._listings[record.rules.instrument_id]
        listing.market.depth.restore(
            last=record.last, sizes=record.sizes, eaten=record.eaten, update_id=record.update_id
        )
        listing.tape.restore(record.next_trade_id, next(iter(record.bars), None), list(record.slots))
        listing.entry_id = record.entry_id
        listing.sequence = record.sequence
        listing.received_ns = record.received_ns
        listing.market_ns = record.market_ns
        self._unsaved.discard(record.rules.instrument_id)

    def instrument_of(self, symbol: str) -> str:
        """Give the instrument of a symbol. Raises `DialectError` for an unknown one."""
        try:
            return self._by_symbol[symbol]
        except KeyError:
            raise errors.INVALID_SYMBOL.error() from None

    def find(self, symbol: str) -> str | None:
        """Give the instrument of a symbol, or None for an unknown one."""
        return self._by_symbol.get(symbol)

    def market(self, instrument_id: str) -> Market:
        """Give the exchange's side of a listed market."""
        return self._listings[instrument_id].market

    def tape(self, instrument_id: str) -> Tape:
        """Give the recent history of a listed market."""
        return self._listings[instrument_id].tape

    def on_batch(
        self, entry_id: EntryId, batch: TickBatch, watched: set[str], now_ns: int
    ) -> tuple[list[Event], list[tuple[str, PublicTrade]]]:
        """Apply the trades of one stream entry; give what became of our orders, and the trades of watched markets.

        What was applied before is skipped: a market remembers its last entry, and an entry that the sender doubled
        carries sequences and times that were seen.
        """
        listings = [self._listing(instrument_id, entry_id) for instrument_id in batch.instruments]
        events: list[Event] = []
        public: list[tuple[str, PublicTrade]] = []
        for i, which in enumerate(batch.instrument_index):
            listing = listings[which]
            if listing is None:
                continue
            sequence, received_ns = batch.sequences[i], batch.received_ns[i]
            if sequence <= listing.sequence and received_ns <= listing.received_ns:
                continue
            listing.sequence, listing.received_ns = sequence, received_ns
            price, quantity, side = batch.price(i), batch.quantity(i), batch.side(i)
            instrument_id = batch.instruments[which]
            trade = self._apply(listing, price, quantity, side, batch.ts_ns[i])
            if instrument_id in watched:
                public.append((instrument_id, trade))
            filled = self.exchange.on_trade(instrument_id, price, quantity, side, now_ns)
            if filled:
                events.extend(filled)
        for instrument_id, listing in zip(batch.instruments, listings, strict=True):
            if listing is not None:
                listing.entry_id = entry_id
                self._unsaved.add(instrument_id)
        return events, public

    def on_trade(
        self, instrument_id: str, price: Decimal, quantity: Decimal, side: Side | None, now_ns: int
    ) -> tuple[list[Event], PublicTrade]:
        """Apply one trade that came from nowhere but a test, now."""
        trade = self._apply(self._listings[instrument_id], price, quantity, side, now_ns)
        self._unsaved.add(instrument_id)
        return self.exchange.on_trade(instrument_id, price, quantity, side, now_ns), trade

    def changes_of(self, events: Iterable[Event]) -> Changes:
        """Give what these events ask to be stored, with the markets they happened on."""
        orders: dict[int, VenueOrder] = {}
        accepted: set[int] = set()
        balances: dict[tuple[str, str], BalanceChanged] = {}
        changes = Changes()
        touched: dict[str, None] = {}
        for event in events:
            if isinstance(event, BalanceChanged):
                balances[event.account_id, event.asset] = event
                continue
            orders[event.order.order_id] = event.order
            touched[event.order.instrument_id] = None
            if isinstance(event, Accepted):
                accepted.add(event.order.order_id)
            elif isinstance(event, Executed):
                changes.trades.append((event.order, event.trade))
        for order_id, order in orders.items():
            (changes.new_orders if order_id in accepted else changes.changed_orders).append(order)
        changes.balances = list(balances.values())
        changes.markets = [self._take_record(instrument_id) for instrument_id in touched]
        return changes

    def unsaved_markets(self, only: str | None = None) -> list[MarketRecord]:
        """Give the markets that changed since they were last given, or one of them."""
        wanted = sorted(self._unsaved) if only is None else [only] if only in self._unsaved else []
        return [self._take_record(instrument_id) for instrument_id in wanted]

    def _listing(self, instrument_id: str, entry_id: EntryId) -> _Listing | None:
        listing = self._listings.get(instrument_id)
        if listing is None:
            self.unlisted.add(instrument_id)
            return None
        return listing if entry_id > listing.entry_id else None

    @staticmethod
    def _apply(listing: _Listing, price: Decimal, quantity: Decimal, side: Side | None, ts_ns: int) -> PublicTrade:
        listing.market_ns = ts_ns
        return listing.tape.on_trade(price, quantity, ts_ns, side)

    def _take_record(self, instrument_id: str) -> MarketRecord:
        self._unsaved.discard(instrument_id)
        listing = self._listings[instrument_id]
        depth = listing.market.depth
        return MarketRecord(
            rules=listing.market.rules,
            last=depth.last,
            sizes=depth.sizes,
            eaten=dict(depth.eaten),
            update_id=depth.update_id,
            next_trade_id=listing.tape.next_trade_id,
            entry_id=listing.entry_id,
            sequence=listing.sequence,
            received_ns=listing.received_ns,
            market_ns=listing.market_ns,
            bars=tuple(listing.tape.take_unsaved()),
        )
