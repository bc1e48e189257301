from decimal import Decimal

from sigmax.domain.depth import DepthModel
from sigmax.domain.fees import FeeSchedule
from sigmax.domain.matching import Exchange
from sigmax.domain.trading_rules import Refusal, TradingRules
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
)
from sigmax.schemas.types import OrderStatus, Side, TimeInForce

BTC = "BTC/USDT@binance"
RULES = TradingRules(
    instrument_id=BTC,
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.001"),
    quantity_min=Decimal("0.001"),
    notional_min=Decimal(5),
)


def an_exchange(usdt: str = "10000", btc: str = "10", price: str = "100", size: str = "1", **rules: object) -> Exchange:
    """A market that traded `size` at `price` once: 20 levels of a cent, the first holding `size`."""
    exchange = Exchange(fees=FeeSchedule(), depth=DepthModel())
    exchange.list_instrument(TradingRules(**{name: getattr(RULES, name) for name in RULES.__slots__} | rules))  # type: ignore[arg-type]
    exchange.deposit("me", "USDT", Decimal(usdt))
    exchange.deposit("me", "BTC", Decimal(btc))
    exchange.on_trade(BTC, Decimal(price), Decimal(size), None, 1)
    return exchange


def a_request(
    side: Side = Side.BUY, price: str | None = "90", quantity: str | None = "1", **fields: object
) -> OrderRequest:
    values: dict[str, object] = {
        "account_id": "me",
        "instrument_id": BTC,
        "client_order_id": f"c{side}{price}{quantity}",
        "side": side,
        "kind": OrderKind.LIMIT if price else OrderKind.MARKET,
        "time_in_force": TimeInForce.GTC if price else TimeInForce.IOC,
        "quantity": None if quantity is None else Decimal(quantity),
        "price": None if price is None else Decimal(price),
    }
    return OrderRequest(**(values | fields))  # type: ignore[arg-type]


def placed(exchange: Exchange, request: OrderRequest) -> list[Event]:
    outcome = exchange.place(request, 2)
    assert not isinstance(outcome, Refused), outcome
    return outcome


def refusal(exchange: Exchange, request: OrderRequest) -> Refusal:
    outcome = exchange.place(request, 2)
    assert isinstance(outcome, Refused)
    return outcome.reason


def fills(events: list[Event]) -> list[tuple[str, str]]:
    return [(str(e.trade.price), str(e.trade.quantity)) for e in events if isinstance(e, Executed)]


def test_a_limit_order_below_the_book_rests_and_locks_its_quote() -> None:
    exchange = an_exchange()

    events = placed(exchange, a_request(price="90", quantity="2"))

    assert [type(event) for event in events] == [Accepted, BalanceChanged]
    assert exchange.wallets["me"]["USDT"] == (Decimal(9820), Decimal(180))


def test_a_market_order_walks_the_book_and_pays_the_fee_in_what_it_receives() -> None:
    exchange = an_exchange()

    events = placed(exchange, a_request(price=None, quantity="2"))

    assert fills(events) == [("100.01", "1"), ("100.02", "1")]
    assert exchange.wallets["me"]["BTC"].free == Decimal("11.998")
    assert exchange.wallets["me"]["USDT"] == (Decimal("9799.97"), Decimal(0))


def test_a_market_order_beyond_the_book_is_filled_in_part_and_expires() -> None:
    exchange = an_exchange(btc="1000")

    events = placed(exchange, a_request(Side.SELL, price=None, quantity="300"))

    (ended,) = [event for event in events if isinstance(event, Ended)]
    assert ended.order.status is OrderStatus.EXPIRED
    assert ended.order.filled == Decimal(210)
    assert exchange.wallets["me"]["BTC"] == (Decimal(790), Decimal(0))


def test_a_taker_depletes_the_book_until_the_market_trades_again() -> None:
    exchange = an_exchange()
    placed(exchange, a_request(price=None, quantity="3", client_order_id="a"))

    assert fills(placed(exchange, a_request(price=None, quantity="1", client_order_id="b"))) == [("100.03", "1")]
    exchange.on_trade(BTC, Decimal(100), Decimal(4), None, 3)
    after = placed(exchange, a_request(price=None, quantity="1", client_order_id="c"))
    assert fills(after) == [("100.01", "1")]


def test_an_ioc_order_takes_what_its_limit_allows_and_the_rest_expires() -> None:
    exchange = an_exchange()

    events = placed(exchange, a_request(price="100.01", quantity="5", time_in_force=TimeInForce.IOC))

    assert fills(events) == [("100.01", "1")]
    assert isinstance(events[2], Ended)
    assert exchange.wallets["me"]["USDT"].locked == 0


def test_a_fok_order_that_cannot_fill_whole_fills_nothing() -> None:
    exchange = an_exchange()

    events = placed(exchange, a_request(price="100.01", quantity="5", time_in_force=TimeInForce.FOK))

    assert fills(events) == []
    assert exchange.wallets["me"]["USDT"] == (Decimal(10000), Decimal(0))


def test_a_crossing_limit_order_takes_then_rests_with_the_remainder() -> None:
    exchange = an_exchange()

    events = placed(exchange, a_request(price="100.01", quantity="3"))

    assert fills(events) == [("100.01", "1")]
    (order,) = exchange.open_orders("me")
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert exchange.wallets["me"]["USDT"].locked == Decimal("200.02")


def test_a_limit_maker_order_that_would_take_is_refused() -> None:
    assert refusal(an_exchange(), a_request(price="100.01", kind=OrderKind.LIMIT_MAKER)) is Refusal.WOULD_TAKE


def test_a_resting_order_is_filled_by_no_more_than_was_traded() -> None:
    exchange = an_exchange()
    placed(exchange, a_request(price="90", quantity="2"))

    events = exchange.on_trade(BTC, Decimal(89), Decimal("0.5"), Side.BUY, 3)

    assert fills(events) == [("90", "0.5")]
    assert isinstance(events[0], Executed)
    assert events[0].trade.is_maker


def test_a_trade_at_the_limit_fills_only_when_its_aggressor_stood_on_the_other_side() -> None:
    exchange = an_exchange()
    placed(exchange, a_request(price="90", quantity="2"))

    assert exchange.on_trade(BTC, Decimal(90), Decimal(1), Side.BUY, 3) == []
    assert fills(exchange.on_trade(BTC, Decimal(90), Decimal(1), Side.SELL, 4)) == [("90", "1")]
    assert fills(exchange.on_trade(BTC, Decimal(90), Decimal(1), None, 5)) == [("90", "1")]


def test_resting_orders_fill_by_price_then_by_age() -> None:
    exchange = an_exchange()
    for name, price in (("late", "90"), ("later", "90"), ("best", "91")):
        placed(exchange, a_request(price=price, quantity="1", client_order_id=name))

    events = exchange.on_trade(BTC, Decimal(80), Decimal("2.5"), Side.SELL, 3)

    assert [event.order.client_order_id for event in events if isinstance(event, Executed)] == ["best", "late", "later"]


def test_a_canceled_order_frees_what_it_held_and_ends_only_once() -> None:
    exchange = an_exchange()
    placed(exchange, a_request(Side.SELL, price="110", quantity="4"))
    (order,) = exchange.open_orders("me")

    exchange.cancel("me", order.order_id, 3)

    assert exchange.wallets["me"]["BTC"] == (Decimal(10), Decimal(0))
    assert exchange.cancel("me", order.order_id, 4) == Refused(Refusal.UNKNOWN_ORDER)


def test_another_accounts_order_is_unknown() -> None:
    exchange = an_exchange()
    placed(exchange, a_request())

    assert exchange.cancel("you", 1, 3) == Refused(Refusal.UNKNOWN_ORDER)


def test_a_client_id_is_taken_while_its_order_is_open_and_free_afterwards() -> None:
    exchange = an_exchange()
    placed(exchange, a_request(client_order_id="x"))

    assert refusal(exchange, a_request(client_order_id="x")) is Refusal.DUPLICATE_CLIENT_ORDER_ID
    exchange.cancel("me", 1, 3)
    placed(exchange, a_request(client_order_id="x"))


def test_a_notional_buys_as_many_lots_as_fit() -> None:
    exchange = an_exchange()

    events = placed(exchange, a_request(price=None, quantity=None, notional=Decimal(250)))

    (accepted,) = [event for event in events if isinstance(event, Accepted)]
    assert accepted.order.quantity == Decimal("2.499")
    assert exchange.wallets["me"]["USDT"].locked == 0
    assert Decimal(9750) <= exchange.wallets["me"]["USDT"].free < Decimal("9750.11")


def test_a_notional_that_buys_no_lot_expires_unfilled() -> None:
    exchange = an_exchange(price="100000", notional_min=Decimal(1), usdt="100000")

    events = placed(exchange, a_request(price=None, quantity=None, notional=Decimal(50)))

    assert fills(events) == []
    assert isinstance(events[1], Ended)
    assert exchange.wallets["me"]["USDT"] == (Decimal(100000), Decimal(0))


def test_each_filter_names_itself() -> None:
    exchange = an_exchange(orders_open_max=1)

    assert refusal(exchange, a_request(price="90.001")) is Refusal.PRICE_FILTER
    assert refusal(exchange, a_request(price="501")) is Refusal.PERCENT_PRICE_BY_SIDE
    assert refusal(exchange, a_request(price="19.99")) is Refusal.PERCENT_PRICE_BY_SIDE
    assert refusal(exchange, a_request(quantity="0.0005")) is Refusal.LOT_SIZE
    assert refusal(exchange, a_request(quantity="1.0005")) is Refusal.LOT_SIZE
    assert refusal(exchange, a_request(quantity="0.01")) is Refusal.NOTIONAL
    assert refusal(exchange, a_request(price=None, quantity="0.01")) is Refusal.NOTIONAL
    assert refusal(exchange, a_request(instrument_id="X/Y@z")) is Refusal.UNKNOWN_INSTRUMENT
    placed(exchange, a_request())
    assert refusal(exchange, a_request(quantity="2")) is Refusal.MAX_NUM_ORDERS


def test_more_than_is_free_is_refused_and_changes_nothing() -> None:
    exchange = an_exchange(usdt="100", btc="1")

    assert refusal(exchange, a_request(price="90", quantity="2")) is Refusal.INSUFFICIENT_BALANCE
    assert refusal(exchange, a_request(price=None, quantity="1")) is Refusal.INSUFFICIENT_BALANCE
    assert refusal(exchange, a_request(Side.SELL, price="110", quantity="2")) is Refusal.INSUFFICIENT_BALANCE
    assert refusal(exchange, a_request(account_id="nobody")) is Refusal.INSUFFICIENT_BALANCE
    assert exchange.wallets["me"]["USDT"] == (Decimal(100), Decimal(0))


def test_a_market_is_closed_before_its_first_trade_and_when_not_tradable() -> None:
    exchange = Exchange(fees=FeeSchedule(), depth=DepthModel())
    exchange.list_instrument(RULES)

    assert refusal(exchange, a_request()) is Refusal.MARKET_CLOSED
    assert refusal(an_exchange(is_tradable=False), a_request()) is Refusal.MARKET_CLOSED


def a_stop(
    kind: OrderKind, side: Side, stop_price: str, price: str | None = None, quantity: str = "1", **fields: object
) -> OrderRequest:
    values = {"kind": kind, "stop_price": Decimal(stop_price), "client_order_id": f"{kind}{side}{stop_price}"}
    return a_request(side, price, quantity, **(values | fields))


def test_a_stop_waits_with_its_funds_locked_and_is_filled_by_no_trade_before_its_price() -> None:
    exchange = an_exchange()
    placed(exchange, a_stop(OrderKind.STOP_LOSS_LIMIT, Side.SELL, "95", "90", "2"))
    assert exchange.wallets["me"]["BTC"] == (Decimal(8), Decimal(2))

    assert exchange.on_trade(BTC, Decimal("95.01"), Decimal(100), Side.SELL, 3) == []
    (order,) = exchange.open_orders("me")
    assert (order.is_waiting, order.working_ns) == (True, None)


def test_a_stop_limit_takes_the_book_after_the_trade_that_woke_it_and_rests_with_what_is_left() -> None:
    exchange = an_exchange()
    placed(exchange, a_stop(OrderKind.STOP_LOSS_LIMIT, Side.SELL, "95", "94.99", "5"))

    events = exchange.on_trade(BTC, Decimal(95), Decimal(1), Side.SELL, 3)

    assert isinstance(events[0], Triggered)
    assert fills(events) == [("94.99", "1")]
    (order,) = exchange.open_orders("me")
    assert (order.leaves, order.working_ns, order.kind) == (Decimal(4), 3, OrderKind.STOP_LOSS_LIMIT)
    assert fills(exchange.on_trade(BTC, Decimal(96), Decimal(9), Side.BUY, 4)) == [("94.99", "4")]
    assert exchange.wallets["me"]["BTC"].locked == 0


def test_a_stop_that_the_market_jumps_over_rests_at_its_limit_and_sells_nothing_below_it() -> None:
    exchange = an_exchange()
    placed(exchange, a_stop(OrderKind.STOP_LOSS_LIMIT, Side.SELL, "95", "94"))

    assert fills(exchange.on_trade(BTC, Decimal(80), Decimal(100), None, 3)) == []
    assert fills(exchange.on_trade(BTC, Decimal(80), Decimal(100), None, 4)) == []
    (order,) = exchange.open_orders("me")
    assert not order.is_waiting


def test_a_stop_loss_becomes_a_market_order() -> None:
    exchange = an_exchange()
    placed(exchange, a_stop(OrderKind.STOP_LOSS, Side.SELL, "95", quantity="2"))

    events = exchange.on_trade(BTC, Decimal(80), Decimal(1), None, 3)

    assert fills(events) == [("79.99", "1"), ("79.98", "1")]
    assert list(exchange.open_orders("me")) == []


def test_a_market_stop_of_a_buyer_spends_no_more_than_there_is_and_expires_with_the_rest() -> None:
    exchange = an_exchange(usdt="220")
    placed(exchange, a_stop(OrderKind.STOP_LOSS, Side.BUY, "105", quantity="2"))
    assert exchange.wallets["me"]["USDT"] == (Decimal(10), Decimal(210))

    events = exchange.on_trade(BTC, Decimal(200), Decimal(1), None, 3)

    assert fills(events) == [("200.01", "1"), ("200.02", "0.099")]
    assert isinstance(events[3], Ended)
    assert exchange.wallets["me"]["USDT"] == (Decimal("0.18802"), Decimal(0))


def test_each_stop_waits_for_its_own_direction() -> None:
    for kind, side, quiet, loud in (
        (OrderKind.STOP_LOSS, Side.SELL, "95.01", "95"),
        (OrderKind.TAKE_PROFIT, Side.BUY, "95.01", "95"),
        (OrderKind.STOP_LOSS, Side.BUY, "104.99", "105"),
        (OrderKind.TAKE_PROFIT, Side.SELL, "104.99", "105"),
    ):
        exchange = an_exchange()
        placed(exchange, a_stop(kind, side, loud))
        assert exchange.on_trade(BTC, Decimal(quiet), Decimal(1), None, 3) == []
        assert any(isinstance(event, Triggered) for event in exchange.on_trade(BTC, Decimal(loud), Decimal(1), None, 4))


def test_a_stop_that_the_last_price_has_reached_already_is_refused() -> None:
    for kind, side, stop_price in (
        (OrderKind.STOP_LOSS, Side.SELL, "100"),
        (OrderKind.STOP_LOSS, Side.BUY, "100"),
        (OrderKind.TAKE_PROFIT, Side.SELL, "99"),
        (OrderKind.TAKE_PROFIT, Side.BUY, "101"),
    ):
        assert refusal(an_exchange(), a_stop(kind, side, stop_price)) is Refusal.WOULD_TRIGGER


def test_a_stop_that_was_canceled_wakes_up_no_more_and_its_funds_are_free() -> None:
    exchange = an_exchange()
    placed(exchange, a_stop(OrderKind.STOP_LOSS, Side.SELL, "95"))
    exchange.cancel("me", 1, 3)

    assert exchange.wallets["me"]["BTC"] == (Decimal(10), Decimal(0))
    assert exchange.on_trade(BTC, Decimal(90), Decimal(1), None, 4) == []


def test_a_stop_that_was_stored_and_restored_wakes_up_as_if_nothing_had_been() -> None:
    exchange, again = an_exchange(), an_exchange()
    placed(exchange, a_stop(OrderKind.STOP_LOSS, Side.SELL, "95"))
    again.wallets["me"].lock("BTC", Decimal(1))
    for order in exchange.open_orders("me"):
        again.restore_order(order)

    trade = (BTC, Decimal(95), Decimal(1), None, 5)
    assert fills(again.on_trade(*trade)) == fills(exchange.on_trade(*trade)) == [("94.99", "1")]


def test_the_sixth_stop_of_an_account_is_refused_and_so_is_one_off_the_tick() -> None:
    exchange = an_exchange()
    for number in range(5):
        placed(exchange, a_stop(OrderKind.STOP_LOSS, Side.SELL, f"9{number}"))

    assert refusal(exchange, a_stop(OrderKind.STOP_LOSS, Side.SELL, "89")) is Refusal.MAX_NUM_ALGO_ORDERS
    assert refusal(an_exchange(), a_stop(OrderKind.STOP_LOSS, Side.SELL, "90.001")) is Refusal.PRICE_FILTER
