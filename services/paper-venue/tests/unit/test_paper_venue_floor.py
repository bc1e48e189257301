from decimal import Decimal

from paper_venue.domain.faults import Fault, FaultKind, Faults
from paper_venue.domain.floor import Floor, entry_id_of
from paper_venue.domain.limits import RateCounters, RateLimits
from paper_venue.domain.tape import MINUTE_NS, Tape
from sigmax.domain.depth import DepthModel
from sigmax.domain.fees import FeeSchedule
from sigmax.domain.matching import Exchange
from sigmax.domain.trading_rules import TradingRules
from sigmax.domain.venue_orders import Executed, OrderKind, OrderRequest, Refused
from sigmax.schemas.market import TickBatch, base_of, quote_of
from sigmax.schemas.types import Side

BTC = "BTC/USDT@binance"


def rules(instrument_id: str = BTC) -> TradingRules:
    base, quote = base_of(instrument_id), quote_of(instrument_id)
    return TradingRules(
        instrument_id=instrument_id,
        base=base,
        quote=quote,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.01"),
        quantity_min=Decimal("0.01"),
        notional_min=Decimal(0),
    )


def a_floor() -> Floor:
    floor = Floor(Exchange(fees=FeeSchedule(), depth=DepthModel()))
    floor.list_instrument(rules())
    floor.exchange.deposit("me", "USDT", Decimal(1000))
    return floor


def a_batch(*prices: int, first: int = 1, received_ns: int = 100, instrument_id: str = BTC) -> TickBatch:
    count = len(prices)
    return TickBatch(
        [instrument_id],
        [0],
        [0],
        [0] * count,
        list(range(first, first + count)),
        [MINUTE_NS * (first + i) for i in range(count)],
        [received_ns + i for i in range(count)],
        list(prices),
        [1] * count,
        [0] * count,
    )


def bid(floor: Floor, price: int) -> None:
    outcome = floor.exchange.place(
        OrderRequest(
            account_id="me",
            instrument_id=BTC,
            client_order_id=f"bid{price}",
            side=Side.BUY,
            kind=OrderKind.LIMIT,
            quantity=Decimal(2),
            price=Decimal(price),
        ),
        0,
    )
    assert not isinstance(outcome, Refused)


def test_an_entry_that_was_applied_is_skipped() -> None:
    floor = a_floor()
    floor.on_batch((5, 0), a_batch(100), set(), 0)
    bid(floor, 90)

    first, _ = floor.on_batch((6, 0), a_batch(90, first=2, received_ns=200), set(), 0)
    again, _ = floor.on_batch((6, 0), a_batch(90, first=2, received_ns=200), set(), 0)

    assert len([event for event in first if isinstance(event, Executed)]) == 1
    assert again == []


def test_a_doubled_entry_under_a_new_id_is_skipped_and_a_new_count_is_not() -> None:
    floor = a_floor()
    floor.on_batch((5, 0), a_batch(100, 101, 102), set(), 0)

    _, doubled = floor.on_batch((6, 0), a_batch(100, 101, 102), {BTC}, 0)
    _, begun_anew = floor.on_batch((7, 0), a_batch(50, received_ns=500), {BTC}, 0)

    assert doubled == []
    assert [trade.price for _, trade in begun_anew] == [50]


def test_an_instrument_that_is_not_listed_is_remembered_and_its_trade_left() -> None:
    floor = a_floor()

    floor.on_batch((1, 0), a_batch(100, instrument_id="ETH/USDT@binance"), set(), 0)

    assert floor.unlisted == {"ETH/USDT@binance"}
    floor.list_instrument(rules("ETH/USDT@binance"))
    assert floor.unlisted == set()


def test_a_symbol_belongs_to_the_instrument_that_had_it_first() -> None:
    floor = a_floor()

    assert not floor.list_instrument(rules("BTC/USDT@upbit"))
    assert floor.instrument_of("BTCUSDT") == BTC


def test_a_market_that_is_stored_and_restored_goes_on_alike() -> None:
    floor, copy = a_floor(), Floor(Exchange(fees=FeeSchedule(), depth=DepthModel()))
    floor.on_batch((5, 0), a_batch(100, 101), set(), 0)
    (record,) = floor.unsaved_markets()
    assert floor.unsaved_markets() == []

    from dataclasses import replace

    copy.restore(replace(record, bars=record.bars[-1:]))

    assert copy.unsaved_markets() == []
    _, one = floor.on_batch((6, 0), a_batch(103, first=3, received_ns=300), {BTC}, 0)
    _, two = copy.on_batch((6, 0), a_batch(103, first=3, received_ns=300), {BTC}, 0)
    assert one == two
    assert copy.on_batch((5, 0), a_batch(1, first=9, received_ns=900), {BTC}, 0) == ([], [])
    assert list(copy.market(BTC).depth.levels(Side.BUY)) == list(floor.market(BTC).depth.levels(Side.BUY))


def test_an_order_that_was_accepted_and_filled_in_one_turn_is_stored_once() -> None:
    floor = a_floor()
    floor.on_batch((5, 0), a_batch(100), set(), 0)
    outcome = floor.exchange.place(
        OrderRequest(
            account_id="me",
            instrument_id=BTC,
            client_order_id="x",
            side=Side.BUY,
            kind=OrderKind.MARKET,
            quantity=Decimal(2),
        ),
        0,
    )
    assert not isinstance(outcome, Refused)

    changes = floor.changes_of(outcome)

    assert ([order.filled for order in changes.new_orders], changes.changed_orders) == ([2], [])
    assert len(changes.trades) == 2
    assert [market.rules.instrument_id for market in changes.markets] == [BTC]


def test_entry_ids_compare_as_numbers() -> None:
    assert entry_id_of("9-10") > entry_id_of("9-9") > entry_id_of("9")


def test_minutes_close_when_the_next_one_trades() -> None:
    tape = Tape()
    for second, price in ((0, 10), (30, 12), (59, 9), (60, 11)):
        tape.on_trade(Decimal(price), Decimal(1), second * 1_000_000_000, Side.BUY)

    closed, running = tape.take_unsaved()

    assert (closed.open, closed.high, closed.low, closed.close, closed.volume) == (10, 12, 9, 9, 3)
    assert (running.open_ns, running.close, running.trades) == (MINUTE_NS, 11, 1)
    assert tape.take_unsaved() == [running]


def test_the_day_forgets_what_is_older_than_a_day() -> None:
    tape = Tape()
    for minute, price in ((0, 1000), (1, 10), (60 * 24, 12), (60 * 24 + 20, 14)):
        tape.on_trade(Decimal(price), Decimal(1), minute * MINUTE_NS, None)

    day = tape.day()

    assert day is not None
    assert (day.high, day.close, day.trades) == (14, 14, 2)


def test_a_recording_that_begins_anew_begins_a_new_day() -> None:
    tape = Tape()
    for minute, price in ((600, 1000), (601, 1000), (0, 10), (1, 11)):
        tape.on_trade(Decimal(price), Decimal(1), minute * MINUTE_NS, None)

    day = tape.day()

    assert day is not None
    assert (day.open, day.high) == (10, 11)


def test_seconds_are_folded_from_the_trades_that_are_remembered() -> None:
    tape = Tape()
    for millisecond, price in ((0, 1), (900, 3), (1000, 2)):
        tape.on_trade(Decimal(price), Decimal(1), millisecond * 1_000_000, None)

    assert [(bar.close, bar.trades) for bar in tape.seconds(10)] == [(3, 2), (2, 1)]


def test_a_fault_ends_after_its_times() -> None:
    faults = Faults()
    faults.add(Fault(FaultKind.REFUSE, method="POST", times=2))

    met = [faults.take(method, "/x") is not None for method in ("GET", "POST", "POST", "POST")]

    assert met == [False, True, True, False]


def test_a_window_of_the_counters_begins_anew() -> None:
    counters = RateCounters(RateLimits(10, 2, 3))
    for at_ns in (0, 1):
        assert counters.may_order("me", at_ns)
        counters.add_order("me", at_ns)

    assert not counters.may_order("me", 2)
    assert counters.may_order("me", 10_000_000_000)
    counters.add_order("me", 10_000_000_000)
    assert not counters.may_order("me", 20_000_000_000)
    assert counters.may_order("you", 20_000_000_000)
