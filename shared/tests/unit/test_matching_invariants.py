"""Whatever is asked of the exchange, in whatever order, these hold."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from sigmax.domain.depth import DepthModel
from sigmax.domain.fees import FeeSchedule
from sigmax.domain.matching import Exchange
from sigmax.domain.trading_rules import TradingRules, is_multiple
from sigmax.domain.venue_orders import (
    BalanceChanged,
    Event,
    Executed,
    OrderKind,
    OrderRequest,
    Refused,
    Triggered,
    VenueOrder,
)
from sigmax.schemas.types import OrderStatus, Side, TimeInForce

BTC = "BTC/USDT@binance"
RULES = TradingRules(
    instrument_id=BTC,
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.5"),
    lot_size=Decimal("0.01"),
    quantity_min=Decimal("0.01"),
    notional_min=Decimal(1),
)
START = {"USDT": Decimal(5000), "BTC": Decimal(20)}

sides = st.sampled_from(Side)
prices = st.integers(150, 260).map(lambda ticks: Decimal(ticks) / 2)
quantities = st.integers(1, 2000).map(lambda lots: Decimal(lots) / 100)
trades = st.tuples(
    st.just("trade"), prices, st.integers(1, 50_000).map(lambda n: Decimal(n) / 10_000), st.none() | sides
)
orders = st.tuples(
    st.just("order"),
    st.sampled_from(("ann", "bob")),
    sides,
    st.sampled_from(OrderKind),
    st.sampled_from((TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)),
    prices,
    quantities,
    st.booleans(),
    prices,
)
cancels = st.tuples(st.just("cancel"), st.sampled_from(("ann", "bob")), st.integers(1, 20))
steps = st.lists(st.one_of(trades, orders, cancels), min_size=1, max_size=40)


def a_market() -> Exchange:
    exchange = Exchange(fees=FeeSchedule(Decimal(7), Decimal("12.5")), depth=DepthModel(levels=5, sizes=3))
    exchange.list_instrument(RULES)
    for account in ("ann", "bob"):
        for asset, amount in START.items():
            exchange.deposit(account, asset, amount)
    exchange.on_trade(BTC, Decimal(100), Decimal(2), None, 0)
    return exchange


def run(exchange: Exchange, step: tuple, now: int) -> list[Event]:
    if step[0] == "trade":
        return exchange.on_trade(BTC, *step[1:], now)
    if step[0] == "cancel":
        outcome = exchange.cancel(step[1], step[2], now)
    else:
        _, account, side, kind, tif, price, quantity, by_notional, stop_price = step
        is_market = kind is OrderKind.MARKET
        outcome = exchange.place(
            OrderRequest(
                account_id=account,
                instrument_id=BTC,
                client_order_id=f"c{now}",
                side=side,
                kind=kind,
                time_in_force=_time_in_force(kind, tif),
                quantity=None if is_market and by_notional else quantity,
                notional=quantity * 100 if is_market and by_notional else None,
                price=price if kind.has_limit else None,
                stop_price=stop_price if kind.is_stop else None,
            ),
            now,
        )
    return [] if isinstance(outcome, Refused) else outcome


def _time_in_force(kind: OrderKind, wanted: TimeInForce) -> TimeInForce:
    if not kind.has_limit:
        return TimeInForce.IOC
    return TimeInForce.GTC if kind is OrderKind.LIMIT_MAKER else wanted


def held_price(order: VenueOrder) -> Decimal:
    """Give what a buyer's order locks per unit."""
    return order.price or order.stop_price or Decimal(0)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_no_balance_is_negative_and_no_money_is_made(script: list[tuple]) -> None:
    exchange = a_market()
    expected = defaultdict(
        Decimal, {(account, asset): amount for account in ("ann", "bob") for asset, amount in START.items()}
    )
    for now, step in enumerate(script, 1):
        for event in run(exchange, step, now):
            if isinstance(event, BalanceChanged):
                assert min(event.balance) >= 0
            if isinstance(event, Executed):
                order, trade = event.order, event.trade
                expected[order.account_id, "BTC"] += order.side.sign * trade.quantity
                expected[order.account_id, "USDT"] -= order.side.sign * trade.price * trade.quantity
                expected[order.account_id, trade.commission_asset] -= trade.commission
        for account, wallet in exchange.wallets.items():
            for asset, balance in wallet:
                assert balance.total == expected[account, asset]


@settings(max_examples=150, deadline=None)
@given(steps)
def test_what_is_locked_is_what_open_orders_hold(script: list[tuple]) -> None:
    exchange = a_market()
    for now, step in enumerate(script, 1):
        run(exchange, step, now)
        for account, wallet in exchange.wallets.items():
            open_orders = list(exchange.open_orders(account))
            held = sum(held_price(o) * o.leaves for o in open_orders if o.side is Side.BUY)
            assert wallet["USDT"].locked == held
            assert wallet["BTC"].locked == sum(o.leaves for o in open_orders if o.side is Side.SELL)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_fills_keep_to_quantity_limit_and_trade(script: list[tuple]) -> None:
    exchange = a_market()
    seen: set[int] = set()
    for now, step in enumerate(script, 1):
        events = [event for event in run(exchange, step, now) if isinstance(event, Executed)]
        for event in events:
            order, trade = event.order, event.trade
            assert trade.trade_id not in seen
            seen.add(trade.trade_id)
            assert 0 < order.filled <= order.quantity
            assert is_multiple(trade.quantity, RULES.lot_size)
            assert (order.status is OrderStatus.FILLED) == (order.filled == order.quantity)
            if order.price is not None:
                assert (trade.price - order.price) * order.side.sign <= 0
        if step[0] == "trade":
            # What a stop takes when it wakes up comes out of the book, not out of the trade that woke it.
            assert sum((event.trade.quantity for event in events if event.trade.is_maker), Decimal(0)) <= step[2]


@settings(max_examples=150, deadline=None)
@given(steps)
def test_nobody_is_filled_before_a_better_or_older_order(script: list[tuple]) -> None:
    exchange = a_market()
    for now, step in enumerate(script, 1):
        resting = (*exchange.open_orders("ann"), *exchange.open_orders("bob"))
        before: list[VenueOrder] = [order for order in resting if not order.is_waiting]
        filled = {event.order.order_id for event in run(exchange, step, now) if isinstance(event, Executed)}
        if step[0] != "trade":
            continue
        still_open = {o.order_id for account in ("ann", "bob") for o in exchange.open_orders(account)}
        for order in before:
            if order.order_id not in filled:
                continue
            for other in before:
                is_better = (other.price - order.price) * order.side.sign > 0
                is_older = other.price == order.price and other.order_id < order.order_id
                if other.side is order.side and (is_better or is_older):
                    assert other.order_id in filled
                    assert other.order_id not in still_open


@settings(max_examples=50, deadline=None)
@given(steps)
def test_the_same_script_gives_the_same_events(script: list[tuple]) -> None:
    one, two = a_market(), a_market()
    for now, step in enumerate(script, 1):
        assert run(one, step, now) == run(two, step, now)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_a_stop_wakes_up_once_by_a_trade_through_its_price_and_fills_only_afterwards(script: list[tuple]) -> None:
    exchange = a_market()
    woken: set[int] = set()
    for now, step in enumerate(script, 1):
        waiting = {o.order_id: o for account in ("ann", "bob") for o in exchange.open_orders(account) if o.is_waiting}
        for event in run(exchange, step, now):
            if isinstance(event, Triggered):
                order = waiting[event.order.order_id]
                assert step[0] == "trade"
                assert order.order_id not in woken
                assert order.stop_price is not None
                is_rising = (order.side is Side.BUY) is order.kind.is_stop_loss
                assert step[1] >= order.stop_price if is_rising else step[1] <= order.stop_price
                woken.add(order.order_id)
            if isinstance(event, Executed) and event.order.kind.is_stop:
                assert event.order.order_id in woken
        if step[0] == "trade":
            for order in waiting.values():
                assert order.stop_price is not None
                is_rising = (order.side is Side.BUY) is order.kind.is_stop_loss
                is_reached = step[1] >= order.stop_price if is_rising else step[1] <= order.stop_price
                assert is_reached is (order.order_id in woken)
