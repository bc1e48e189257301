"""The venue: it takes orders, fills them in its own way, and is the truth that the books are held against."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from order_worker.domain.matching import Listed
from order_worker.domain.order import Order
from order_worker.domain.sightings import ALL_IDS, Capabilities, Sighting, Trade
from sigmax.domain.orders import VenueWord
from sigmax.schemas.market import base_of, quote_of
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Liquidity, OrderStatus, Side, TimeInForce
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.process import EPOCH

PRICE = Decimal(100)
FEE = Decimal("0.001")
"""Of what is received; of the money, where trades have no ids."""
_FUTURE_MAX = timedelta(seconds=1)
_FINAL = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED)
_WORD_S = 0.002
_HIDDEN_S = (0.5, 2.5)
"""How long a venue's lists may miss an order that it has: shorter than the proof of absence takes."""
_HIDDEN_LONG_S = (6.0, 12.0)
"""Longer than that: the order is seen late, and the account stops."""


@dataclass
class RefusedError(Exception):
    """The venue says no, in the words of ccxt's class."""

    kind: str
    text: str


@dataclass
class VenueOrder:
    """One order as the venue has it."""

    venue_order_id: str
    approved: OrderApproved
    symbol: str
    number: int
    """By which the venue's list is sorted."""
    status: OrderStatus = OrderStatus.NEW
    filled: Decimal = Decimal(0)
    visible_from: float = 0.0
    is_hidden_long: bool = False
    """No list shows it before its absence can be proven."""
    trades: list[Trade] = field(default_factory=list)
    placed_at: datetime = EPOCH
    changed_at: datetime = EPOCH
    reference: str | None = None
    """What a cancel has to name beside the id."""
    capabilities: Capabilities = ALL_IDS

    @property
    def is_open(self) -> bool:
        """Say whether it rests."""
        return self.status not in _FINAL

    @property
    def cannot_be_seen(self) -> bool:
        """Say whether it left no trace: ended without a trade before any list showed it. It moved nothing."""
        return self.is_hidden_long and not self.is_open and not self.filled

    def sighting(self, *, with_trades: bool = False) -> Sighting:
        """Show it."""
        has_trades = with_trades and self.capabilities.execution_ids
        return Sighting(
            venue_order_id=self.venue_order_id,
            word=VenueWord(self.status, self.filled),
            client_order_id=self.approved.client_order_id if self.capabilities.client_ids else None,
            symbol=self.symbol,
            trades=tuple(self.trades) if has_trades else (),
            reference=self.reference,
            filled_notional=None if self.capabilities.execution_ids else self.filled * PRICE,
            changed_at=self.changed_at,
        )

    def listed(self) -> Listed:
        """Show it as a row of the list of orders."""
        approved = self.approved
        return Listed(
            sighting=self.sighting(),
            symbol=self.symbol,
            side=approved.side,
            quantity=approved.quantity,
            order_type=approved.order_type,
            limit_price=approved.limit_price,
            trigger_price=approved.trigger_price,
            placed_at=self.placed_at,
        )


@dataclass
class Manner:
    """How one of the next submits goes, beside the rules."""

    name: str
    """`lost`, `dropped`, `5xx`, `5xx dropped`, `garbage`, `refused`, `limited`; `hidden`, alone or after `lost`, may be
    followed by `long`."""
    client_order_id: str | None = None
    """Whom it befell, once it did."""


@dataclass
class Arrival:
    """One request that reached the venue: what it should never see is found in these."""

    client_order_id: str
    fence: int
    """Of the claim under which it was sent."""
    written_at: float = 0.0
    skew: timedelta = timedelta()
    """How far the sender's clock was ahead."""
    was_accepted: bool = False


class SimVenue:
    """One account's exchange."""

    def __init__(self, loop: VirtualLoop, chance: Random, capabilities: Capabilities = ALL_IDS) -> None:
        self.loop = loop
        self.chance = chance
        self.capabilities = capabilities
        self.orders: dict[str, VenueOrder] = {}
        self.by_hand: list[VenueOrder] = []
        """Orders that somebody gave beside the platform, and took back: nobody's, whatever they look like."""
        self.readers = 0
        """Who reads the list of orders just now, page by page."""
        self.before_taking: Callable[[OrderApproved], None] = lambda _: None
        """Told of each order that is about to be taken."""
        self.arrivals: list[Arrival] = []
        self.money: dict[str, Decimal] = {"USDT": Decimal(100_000), "BTC": Decimal(20), "ETH": Decimal(20)}
        self.script: list[Manner] = []
        """How the next submits go."""
        self.down_until = 0.0
        self.listeners: list[Callable[[list[Sighting], list[Trade]], None]] = []
        self.is_calm = False
        """Nothing is doubled, delayed, or reversed any more."""
        self.stream_loss = 0.1
        """The part of what the user stream should tell that it does not."""
        self.whims: dict[tuple[str, str], str] = {}
        """What the stream and the trades did beside the rules: fault and moment, with the order it befell."""
        self.pending = 0
        """Trades that are still to come."""

    def now(self) -> datetime:
        """Give the true time."""
        return EPOCH + timedelta(seconds=self.loop.time())

    @property
    def is_down(self) -> bool:
        """Say whether it answers nobody."""
        return self.loop.time() < self.down_until

    def receive(self, order: Order, signed_at: datetime, recv_window: timedelta, arrival: Arrival) -> Sighting:
        """Take an order, or raise `RefusedError`."""
        now = self.now()
        self.arrivals.append(arrival)
        approved = order.approved
        if self.capabilities.client_ids:  # without, there is no window either, and nothing is known to be a duplicate
            if now - signed_at > recv_window or signed_at - now > _FUTURE_MAX:
                raise RefusedError("InvalidNonce", "Timestamp for this request is outside of the recvWindow.")
            if any(each.is_open for each in self.of(approved.client_order_id)):
                raise RefusedError("InvalidOrder", "Duplicate order sent.")
        asset, needed = quote_of(approved.instrument_id), approved.quantity * PRICE
        if approved.side is Side.SELL:
            asset, needed = base_of(approved.instrument_id), approved.quantity
        if self.money.get(asset, Decimal(0)) < needed:
            raise RefusedError("InsufficientFunds", "Account has insufficient balance for requested action.")
        arrival.was_accepted = True
        self.before_taking(approved)
        taken = self._placed(f"v{len(self.orders) + 1}", approved, order.symbol)
        self.orders[taken.venue_order_id] = taken
        self._trade_on(taken)
        return taken.sighting(with_trades=self.chance.random() < 0.7)

    def _placed(self, venue_order_id: str, approved: OrderApproved, symbol: str) -> VenueOrder:
        now, is_plain = self.now(), self.capabilities.client_ids
        reference = None if is_plain else f"branch-{venue_order_id}"
        return VenueOrder(
            venue_order_id,
            approved,
            symbol,
            number=len(self.orders) + len(self.by_hand) + 1,
            placed_at=now,
            changed_at=now,
            reference=reference,
            capabilities=self.capabilities,
        )

    def place_by_hand(self, approved: OrderApproved, symbol: str) -> None:
        """Take an order that looks like an approval's and is not; it is taken back before it trades."""
        placed = self._placed(f"h{len(self.by_hand) + 1}", approved, symbol)
        placed.status = OrderStatus.CANCELED
        self.by_hand.append(placed)

    def of(self, client_order_id: str) -> list[VenueOrder]:
        """Give the orders under a client id, oldest first."""
        return [each for each in self.orders.values() if each.approved.client_order_id == client_order_id]

    def hide(self, venue_order_id: str, *, is_long: bool) -> None:
        """Leave an order out of every list for a while, and what was given by hand at that moment."""
        order = self.orders[venue_order_id]
        order.is_hidden_long = is_long
        order.visible_from = self.loop.time() + self.chance.uniform(*(_HIDDEN_LONG_S if is_long else _HIDDEN_S))
        for each in self.by_hand:
            if each.placed_at >= order.placed_at:
                each.visible_from = order.visible_from

    def shown(self) -> list[VenueOrder]:
        """Give the orders that the venue's answers know of."""
        return [each for each in self.orders.values() if each.visible_from <= self.loop.time()]

    def page(self, symbol: str, since: datetime, after: str | None, rows_max: int) -> list[Listed]:
        """Give the rows of the list behind one that was read; an empty page is the end.

        Behind its number, and not its place in the list: a row that is shown late moves no other.
        """
        by_hand = [each for each in self.by_hand if each.visible_from <= self.loop.time()]
        placed = sorted((*self.shown(), *by_hand), key=lambda each: each.number)
        read = next((each.number for each in placed if each.venue_order_id == after), 0)
        rows = [each for each in placed if each.symbol == symbol and each.placed_at >= since and each.number > read]
        return [each.listed() for each in rows[:rows_max]]

    def cancel(self, venue_order: VenueOrder) -> Sighting | None:
        """Cancel an order; None when nothing of it is open. A trade may be faster."""
        if venue_order.is_open and self.chance.random() < 0.2:
            self.whims["fill during the cancel (F20)", "cancel"] = venue_order.approved.client_order_id
            self._fill(venue_order, venue_order.approved.quantity - venue_order.filled)
        if not venue_order.is_open:
            return None
        venue_order.status, venue_order.changed_at = OrderStatus.CANCELED, self.now()
        self._tell(venue_order, [])
        return venue_order.sighting()

    def _trade_on(self, order: VenueOrder) -> None:
        """Decide how an order trades: at once, in parts, later, or not at all."""
        quantity, kind = order.approved.quantity, self.chance.random()
        first = quantity if kind < 0.45 else quantity / 4 if kind < 0.7 else Decimal(0)
        if first:
            self._fill(order, first)
        else:
            self._tell(order, [])
        if order.is_open and order.approved.time_in_force is TimeInForce.IOC:
            order.status, order.changed_at = OrderStatus.EXPIRED, self.now()
            self._tell(order, [])
        elif order.is_open and kind < 0.9:
            self.pending += 1
            self.loop.call_later(self.chance.uniform(0.05, 8.0), self._trade_later, order)

    def _trade_later(self, order: VenueOrder) -> None:
        self.pending -= 1
        if order.is_open:
            left = order.approved.quantity - order.filled
            self._fill(order, left if self.chance.random() < 0.6 else left / 2)
            if order.is_open and self.chance.random() < 0.5:
                self.pending += 1
                self.loop.call_later(self.chance.uniform(0.05, 4.0), self._trade_later, order)

    def _fill(self, order: VenueOrder, quantity: Decimal) -> None:
        approved = order.approved
        base, quote = base_of(approved.instrument_id), quote_of(approved.instrument_id)
        is_paid_in_base = approved.side is Side.BUY and self.capabilities.execution_ids
        sign, fee = approved.side.sign, quantity * (Decimal(1) if is_paid_in_base else PRICE) * FEE
        fee_currency = base if is_paid_in_base else quote
        number = sum(len(each.trades) for each in self.orders.values()) + 1
        trade = Trade(
            execution_id=f"{order.symbol.replace('/', '')}-{number}",
            venue_order_id=order.venue_order_id,
            symbol=order.symbol,
            side=approved.side,
            price=PRICE,
            quantity=quantity,
            fee=fee,
            fee_currency=fee_currency,
            liquidity=Liquidity.TAKER,
            executed_at=self.now(),
        )
        order.trades.append(trade)
        order.filled += quantity
        order.changed_at = self.now()
        order.status = OrderStatus.FILLED if order.filled == approved.quantity else OrderStatus.PARTIALLY_FILLED
        for asset, amount in ((base, sign * quantity), (quote, -sign * quantity * PRICE), (fee_currency, -fee)):
            self.money[asset] = self.money.get(asset, Decimal(0)) + amount
        self._tell(order, [trade])

    def _tell(self, order: VenueOrder, trades: list[Trade]) -> None:
        """Tell the stream: late, twice, in another order, or not at all."""
        named_by_us = order.approved.client_order_id if self.capabilities.client_ids else None
        named = [replace(trade, client_order_id=named_by_us) for trade in trades if self.capabilities.execution_ids]
        copies, moment = 1, f"user_stream > {order.status}"
        if not self.is_calm:
            lot = self.chance.random()
            copies = 0 if lot < self.stream_loss else 2 if lot > 0.85 else 1
        if copies != 1:
            fault = "fill or word lost (F20)" if not copies else "fill or word doubled (F20)"
            self.whims[fault, moment] = order.approved.client_order_id
        for _ in range(copies):
            delay = 0.01 if self.is_calm else self.chance.choice((0.001, 0.01, 0.05, 0.5, 2.0))
            if delay < _WORD_S:  # faster than the answer to the submit
                self.whims["fill or word before the answer (F20)", moment] = order.approved.client_order_id
            self.loop.call_later(delay, self._deliver, order, [order.sighting()], named)

    def _deliver(self, order: VenueOrder, sightings: list[Sighting], trades: list[Trade]) -> None:
        if order.visible_from <= self.loop.time():
            for listener in list(self.listeners):
                listener(sightings, trades)
