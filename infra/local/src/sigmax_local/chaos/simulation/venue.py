"""The venue: it takes orders, fills them in its own way, and is the truth that the books are held against."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from order_worker.domain.order import Order
from order_worker.domain.sightings import Sighting, Trade
from sigmax.domain.orders import VenueWord
from sigmax.schemas.market import base_of, quote_of
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Liquidity, OrderStatus, Side, TimeInForce
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.process import EPOCH

PRICE = Decimal(100)
_FEE = Decimal("0.001")
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
    status: OrderStatus = OrderStatus.NEW
    filled: Decimal = Decimal(0)
    visible_from: float = 0.0
    is_hidden_long: bool = False
    """No list shows it before its absence can be proven."""
    trades: list[Trade] = field(default_factory=list)

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
        trades = tuple(self.trades) if with_trades else ()
        word = VenueWord(self.status, self.filled)
        return Sighting(self.venue_order_id, word, self.approved.client_order_id, self.symbol, trades)


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

    def __init__(self, loop: VirtualLoop, chance: Random) -> None:
        self.loop = loop
        self.chance = chance
        self.orders: dict[str, VenueOrder] = {}
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
        taken = VenueOrder(f"v{len(self.orders) + 1}", approved, order.symbol)
        self.orders[taken.venue_order_id] = taken
        self._trade_on(taken)
        return taken.sighting(with_trades=self.chance.random() < 0.7)

    def of(self, client_order_id: str) -> list[VenueOrder]:
        """Give the orders under a client id, oldest first."""
        return [each for each in self.orders.values() if each.approved.client_order_id == client_order_id]

    def hide(self, venue_order_id: str, *, is_long: bool) -> None:
        """Leave an order out of every list for a while."""
        order = self.orders[venue_order_id]
        order.is_hidden_long = is_long
        order.visible_from = self.loop.time() + self.chance.uniform(*(_HIDDEN_LONG_S if is_long else _HIDDEN_S))

    def shown(self) -> list[VenueOrder]:
        """Give the orders that the venue's answers know of."""
        return [each for each in self.orders.values() if each.visible_from <= self.loop.time()]

    def cancel(self, venue_order: VenueOrder) -> Sighting | None:
        """Cancel an order; None when nothing of it is open. A trade may be faster."""
        if venue_order.is_open and self.chance.random() < 0.2:
            self.whims["fill during the cancel (F20)", "cancel"] = venue_order.approved.client_order_id
            self._fill(venue_order, venue_order.approved.quantity - venue_order.filled)
        if not venue_order.is_open:
            return None
        venue_order.status = OrderStatus.CANCELED
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
            order.status = OrderStatus.EXPIRED
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
        sign, fee = approved.side.sign, quantity * (Decimal(1) if approved.side is Side.BUY else PRICE) * _FEE
        fee_currency = base if approved.side is Side.BUY else quote
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
        order.status = OrderStatus.FILLED if order.filled == approved.quantity else OrderStatus.PARTIALLY_FILLED
        for asset, amount in ((base, sign * quantity), (quote, -sign * quantity * PRICE), (fee_currency, -fee)):
            self.money[asset] = self.money.get(asset, Decimal(0)) + amount
        self._tell(order, [trade])

    def _tell(self, order: VenueOrder, trades: list[Trade]) -> None:
        """Tell the stream: late, twice, in another order, or not at all."""
        named = [replace(trade, client_order_id=order.approved.client_order_id) for trade in trades]
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
