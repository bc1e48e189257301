"""The exchange, as a pure machine: requests and trades in, events out.

One simulator: the backtest and the paper venue both run this, so the same trades give the same fills. Orders here trade
with the outside market alone, never with each other. A taker eats the made-up book of `sigmax.domain.depth`. What rests
is filled by the market's own trades, the best price first, then the oldest, at its own limit price, and by no more than
was traded: a trade through the limit always reaches the order, a trade at the limit only if its aggressor stood on the
other side, or is not recorded. A stop waits for a trade at or beyond its stop price, then works like the market or
limit order that it becomes: after that trade, which fills no order that it woke up.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from sigmax.domain.admission import broken_filter, funds_of, held_by, walk_of
from sigmax.domain.depth import Depth, DepthModel, Walk
from sigmax.domain.fees import EXACT, FeeSchedule
from sigmax.domain.stops import WaitingStops, is_reached
from sigmax.domain.trading_rules import Refusal, TradingRules, floor_to
from sigmax.domain.venue_orders import (
    Accepted,
    BalanceChanged,
    Ended,
    Event,
    Executed,
    OrderKind,
    OrderRequest,
    Refused,
    Triggered,
    VenueOrder,
    VenueTrade,
)
from sigmax.domain.wallet import Wallet
from sigmax.schemas.types import OrderStatus, Side, TimeInForce

_ZERO = Decimal(0)
_RESTS = (TimeInForce.GTC, TimeInForce.DAY)


@dataclass(slots=True)
class Market:
    """One instrument: its rules, the outside book, and our orders that rest."""

    rules: TradingRules
    depth: Depth
    resting: dict[Side, list[tuple[Decimal, int]]] = field(default_factory=lambda: {Side.BUY: [], Side.SELL: []})
    """Price-time priority: (price, negated for buys, and order id), sorted."""
    stops: WaitingStops = field(default_factory=WaitingStops)


@dataclass(slots=True)
class _Turn:
    """One operation on one market: when it happens, and what came of it so far."""

    market: Market
    now_ns: int
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Plan:
    """An order that may be accepted: what it will take from the book, and what it locks."""

    market: Market
    order: VenueOrder
    walk: Walk
    asset: str
    amount: Decimal


class Exchange:
    """Accounts, balances, open orders, and markets. Deterministic: ids count up, the caller brings the time.

    An operation that is refused changes nothing; one that raises may have changed anything, and the exchange has to be
    built anew.
    """

    def __init__(self, *, fees: FeeSchedule, depth: DepthModel, next_order_id: int = 1, next_trade_id: int = 1) -> None:
        self.fees = fees
        self._depth_model = depth
        self._next_order_id = next_order_id
        self._next_trade_id = next_trade_id
        self.markets: dict[str, Market] = {}
        self.wallets: dict[str, Wallet] = {}
        self._orders: dict[int, VenueOrder] = {}
        self._by_client_id: dict[tuple[str, str], int] = {}

    def list_instrument(self, rules: TradingRules) -> Market:
        """Start trading an instrument, or change its rules; orders that rest keep resting."""
        market = self.markets.get(rules.instrument_id)
        if market is None:
            market = self.markets[rules.instrument_id] = Market(rules, Depth(rules, self._depth_model))
        else:
            market.rules = market.depth.rules = rules
        return market

    def open_account(self, account_id: str) -> Wallet:
        """Give the account's wallet; an empty one at first."""
        return self.wallets.setdefault(account_id, Wallet())

    def deposit(self, account_id: str, asset: str, amount: Decimal) -> list[Event]:
        """Add money from outside; a negative amount withdraws.

        Raises `InsufficientBalanceError` if less than a withdrawal is free.
        """
        self.open_account(account_id).add(asset, amount)
        return self._with_balances([], account_id)

    def restore_order(self, order: VenueOrder) -> None:
        """Put back an open order whose funds the stored balances already hold."""
        self._keep(order)
        self._rest(order)

    def order(self, order_id: int) -> VenueOrder | None:
        """Give an open order."""
        return self._orders.get(order_id)

    def order_by_client_id(self, account_id: str, client_order_id: str) -> VenueOrder | None:
        """Give an open order by its client's name for it."""
        order_id = self._by_client_id.get((account_id, client_order_id))
        return None if order_id is None else self._orders[order_id]

    def open_orders(self, account_id: str, instrument_id: str | None = None) -> Iterator[VenueOrder]:
        """Give an account's open orders, oldest first."""
        for order in sorted(self._orders.values(), key=lambda each: each.order_id):
            if order.account_id == account_id and instrument_id in (None, order.instrument_id):
                yield order

    def refusal_of(self, request: OrderRequest) -> Refusal | None:
        """Say why an order would be refused, or None; changes nothing."""
        plan = self._plan(request, 0)
        return plan.reason if isinstance(plan, Refused) else None

    def place(self, request: OrderRequest, now_ns: int) -> list[Event] | Refused:
        """Accept an order and fill what can be filled at once, or refuse it."""
        plan = self._plan(request, now_ns)
        if isinstance(plan, Refused):
            return plan
        order, walk, asset, amount = plan.order, plan.walk, plan.asset, plan.amount
        wallet = self.wallets[request.account_id]
        self._next_order_id += 1
        wallet.lock(asset, amount)
        self._keep(order)
        turn = _Turn(plan.market, now_ns, [Accepted(order)])
        if order.is_waiting:
            self._rest(order)
        else:
            self._work(order, walk, (asset, amount), turn)
        return self._with_balances(turn.events, order.account_id)

    def cancel(self, account_id: str, order_id: int, now_ns: int) -> list[Event] | Refused:
        """Take an open order off the book and free its funds."""
        order = self._orders.get(order_id)
        if order is None or order.account_id != account_id:
            return Refused(Refusal.UNKNOWN_ORDER)
        market = self.markets[order.instrument_id]
        turn = _Turn(market, now_ns)
        self._end(order, OrderStatus.CANCELED, turn)
        if order.is_waiting:
            market.stops.remove(order)
        else:
            market.resting[order.side].remove(_priority(order))
        asset, amount = held_by(order, market.rules)
        self.wallets[account_id].unlock(asset, amount)
        return self._with_balances(turn.events, account_id)

    def on_trade(
        self, instrument_id: str, price: Decimal, quantity: Decimal, aggressor: Side | None, now_ns: int
    ) -> list[Event]:
        """Move a listed market to a trade of the outside world and fill our resting orders that it reaches."""
        market = self.markets[instrument_id]
        market.depth.on_trade(price, quantity)
        resting = market.resting
        if not resting[Side.BUY] and not resting[Side.SELL] and not market.stops:
            return []
        turn = _Turn(market, now_ns)
        left = floor_to(quantity, market.rules.lot_size)
        reached = (Side.SELL, Side.BUY) if aggressor is Side.BUY else (Side.BUY, Side.SELL)
        for side in reached:
            while left > _ZERO and resting[side]:
                order = self._orders[resting[side][0][1]]
                if not _reaches(order, price, aggressor):
                    break
                part = min(left, order.leaves)
                left -= part
                order = self._fill(order, order.price or price, part, turn, is_maker=True)
                if not order.is_open:
                    resting[side].pop(0)
        for order_id in market.stops.take_reached(price):
            self._trigger(self._orders[order_id], turn)
        return self._with_balances(turn.events)

    def _plan(self, request: OrderRequest, now_ns: int) -> "_Plan | Refused":
        """Check everything that may refuse an order; what is left can be carried out."""
        market = self.markets.get(request.instrument_id)
        if market is None:
            return Refused(Refusal.UNKNOWN_INSTRUMENT)
        last = market.depth.last
        if not market.rules.is_tradable or last is None:
            return Refused(Refusal.MARKET_CLOSED)
        reason = broken_filter(request, market.rules, last) or self._broken_count(request, market)
        if reason is None and request.stop_price is not None:
            would_trigger = is_reached(request.kind, request.side, request.stop_price, last)
            reason = Refusal.WOULD_TRIGGER if would_trigger else None
        if reason is not None:
            return Refused(reason)
        walk = walk_of(request, market.depth)
        if request.kind is OrderKind.LIMIT_MAKER and walk.levels:
            return Refused(Refusal.WOULD_TAKE)
        order = self._new_order(request, walk, now_ns)
        asset, amount = funds_of(order, walk, market.rules)
        wallet = self.wallets.get(request.account_id)
        if wallet is None or amount > wallet[asset].free:
            return Refused(Refusal.INSUFFICIENT_BALANCE)
        return _Plan(market, order, walk, asset, amount)

    def _broken_count(self, request: OrderRequest, market: Market) -> Refusal | None:
        def mine(order_ids: list[int]) -> int:
            return sum(1 for order_id in order_ids if self._orders[order_id].account_id == request.account_id)

        resting = mine([order_id for side in market.resting.values() for _, order_id in side])
        stops = mine(market.stops.order_ids)
        if resting + stops >= market.rules.orders_open_max:
            return Refusal.MAX_NUM_ORDERS
        if request.kind.is_stop and stops >= market.rules.stops_open_max:
            return Refusal.MAX_NUM_ALGO_ORDERS
        if (request.account_id, request.client_order_id) in self._by_client_id:
            return Refusal.DUPLICATE_CLIENT_ORDER_ID
        return None

    def _new_order(self, request: OrderRequest, walk: Walk, now_ns: int) -> VenueOrder:
        return VenueOrder(
            order_id=self._next_order_id,
            account_id=request.account_id,
            instrument_id=request.instrument_id,
            client_order_id=request.client_order_id,
            side=request.side,
            kind=request.kind,
            time_in_force=request.time_in_force,
            quantity=walk.quantity if request.quantity is None else request.quantity,
            price=request.price,
            notional=request.notional,
            status=OrderStatus.NEW,
            created_ns=now_ns,
            updated_ns=now_ns,
            stop_price=request.stop_price,
        )

    def _trigger(self, order: VenueOrder, turn: _Turn) -> None:
        """Let a stop that was reached do what it became."""
        market, wallet = turn.market, self.wallets[order.account_id]
        held = held_by(order, market.rules)
        order = replace(order, triggered_ns=turn.now_ns, updated_ns=turn.now_ns)
        self._keep(order)
        turn.events.append(Triggered(order))
        if order.price is None and order.side is Side.BUY:
            # What it will cost was not known when it was accepted: it buys what its owner can still pay for.
            wallet.unlock(*held)
            walk = market.depth.walk(order.side, order.quantity)
            free = wallet[market.rules.quote].free
            if walk.notional > free:
                walk = market.depth.walk_notional(order.side, free)
            held = (market.rules.quote, walk.notional)
            wallet.lock(*held)
        else:
            walk = market.depth.walk(order.side, order.leaves, order.price)
        self._work(order, walk, held, turn)

    def _work(self, order: VenueOrder, walk: Walk, held: tuple[str, Decimal], turn: _Turn) -> None:
        """Fill what fills at once; what is left rests where it may, and expires where not."""
        asset, amount = held
        if order.time_in_force is not TimeInForce.FOK or not walk.is_exhausted:
            order, amount = self._take(order, walk, amount, turn)
        if order.is_open:
            if order.kind.has_limit and order.time_in_force in _RESTS:
                self._rest(order)
            else:
                order = self._end(order, OrderStatus.EXPIRED, turn)
        if not order.is_open:
            self.wallets[order.account_id].unlock(asset, amount)

    def _take(self, order: VenueOrder, walk: Walk, locked: Decimal, turn: _Turn) -> tuple[VenueOrder, Decimal]:
        """Fill a taker from the book. Gives the order and how much of `locked` it still holds."""
        for price, quantity in walk.levels:
            order = self._fill(order, price, quantity, turn, is_maker=False)
            used = quantity
            if order.side is Side.BUY:
                used = EXACT.multiply(price if order.price is None else order.price, quantity)
            locked = EXACT.subtract(locked, used)
        if walk.levels:
            turn.market.depth.eat(order.side, walk.quantity)
        if order.is_open and order.notional is not None and order.leaves == _ZERO:
            order = self._end(order, OrderStatus.EXPIRED, turn)
        return order, locked

    def _fill(self, order: VenueOrder, price: Decimal, quantity: Decimal, turn: _Turn, *, is_maker: bool) -> VenueOrder:
        rules, wallet = turn.market.rules, self.wallets[order.account_id]
        notional = EXACT.multiply(price, quantity)
        is_buy = order.side is Side.BUY
        received, received_asset = (quantity, rules.base) if is_buy else (notional, rules.quote)
        commission = self.fees.commission(received, is_maker=is_maker)
        if is_buy:
            held = notional if order.price is None else EXACT.multiply(order.price, quantity)
            wallet.add(rules.quote, EXACT.subtract(held, notional), -held)
        else:
            wallet.add(rules.base, _ZERO, -quantity)
        wallet.add(received_asset, EXACT.subtract(received, commission))

        filled = EXACT.add(order.filled, quantity)
        order = replace(
            order,
            filled=filled,
            filled_notional=EXACT.add(order.filled_notional, notional),
            status=OrderStatus.FILLED if filled == order.quantity else OrderStatus.PARTIALLY_FILLED,
            updated_ns=turn.now_ns,
        )
        trade = VenueTrade(
            trade_id=self._next_trade_id,
            price=price,
            quantity=quantity,
            notional=notional,
            commission=commission,
            commission_asset=received_asset,
            is_maker=is_maker,
            executed_ns=turn.now_ns,
        )
        self._next_trade_id += 1
        self._keep(order)
        turn.events.append(Executed(order, trade))
        return order

    def _end(self, order: VenueOrder, status: OrderStatus, turn: _Turn) -> VenueOrder:
        order = replace(order, status=status, updated_ns=turn.now_ns)
        self._keep(order)
        turn.events.append(Ended(order))
        return order

    def _keep(self, order: VenueOrder) -> None:
        key = (order.account_id, order.client_order_id)
        if order.is_open:
            self._orders[order.order_id] = order
            self._by_client_id[key] = order.order_id
        else:
            self._orders.pop(order.order_id, None)
            self._by_client_id.pop(key, None)

    def _rest(self, order: VenueOrder) -> None:
        if order.is_waiting:
            self.markets[order.instrument_id].stops.add(order)
            return
        insort(self.markets[order.instrument_id].resting[order.side], _priority(order))

    def _with_balances(self, events: list[Event], *account_ids: str) -> list[Event]:
        """Add what became of the balances of the accounts that the events touch."""
        touched = dict.fromkeys(account_ids)
        touched.update((event.order.account_id, None) for event in events if not isinstance(event, BalanceChanged))
        for account_id in touched:
            changed = self.wallets[account_id].take_changed()
            events.extend(BalanceChanged(account_id, asset, balance) for asset, balance in changed)
        return events


def _priority(order: VenueOrder) -> tuple[Decimal, int]:
    price = order.price or _ZERO
    return (-price if order.side is Side.BUY else price, order.order_id)


def _reaches(order: VenueOrder, price: Decimal, aggressor: Side | None) -> bool:
    """Say whether a trade at `price` fills an order that rests."""
    limit = order.price or _ZERO
    if price == limit:
        return aggressor is not order.side
    return price < limit if order.side is Side.BUY else price > limit
