"""The order of a protective exit: how much, at which price at worst, and what still holds it up."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import BTC, ETH, NORMAL, NOW, a_quote, a_signal, a_situation, an_account, some_limits

from risk_gate.domain.assess import assess
from risk_gate.domain.exit_wish import ENTRY_GUARDS, ExitWish, Resting
from risk_gate.domain.situation import Book, Holding, Reserved, StageRow
from sigmax.schemas.orders import OrderApproved, OrderDenied
from sigmax.schemas.types import DenialCode, ExitKind, OrderType, Side, TimeInForce

HELD = Book(cash=Decimal(0), holdings={BTC: Holding(Decimal(10))}, own={BTC: Decimal(10)})
STOP = ExitWish(ExitKind.STOP_LOSS)


def exit_with(wish: ExitWish = STOP, **changes: Any) -> OrderApproved | OrderDenied:
    fields = {"book": HELD, "exit": wish} | changes
    signal = a_signal(action="close", reference_price="100")
    return assess(signal, a_situation(**fields), NOW, approval_lifetime=timedelta(seconds=15))


def approved(wish: ExitWish = STOP, **changes: Any) -> OrderApproved:
    verdict = exit_with(wish, **changes)
    assert isinstance(verdict, OrderApproved), verdict
    return verdict


def code(wish: ExitWish = STOP, **changes: Any) -> DenialCode:
    verdict = exit_with(wish, **changes)
    assert isinstance(verdict, OrderDenied), verdict
    return verdict.code


@pytest.mark.parametrize(
    ("escalation", "order_type", "limit_price"),
    [
        (0, OrderType.LIMIT, "99.50"),
        (1, OrderType.LIMIT, "98.75"),
        (2, OrderType.LIMIT, "98.00"),
        (3, OrderType.MARKET, None),
        (99, OrderType.MARKET, None),
    ],
)
def test_each_attempt_reaches_further_up_to_the_collar_and_then_to_the_market(
    escalation: int, order_type: OrderType, limit_price: str | None
) -> None:
    order = approved(ExitWish(ExitKind.STOP_LOSS, escalation))
    assert order.order_type is order_type
    assert order.limit_price == (None if limit_price is None else Decimal(limit_price))
    assert (order.quantity, order.time_in_force, order.reduce_only) == (10, TimeInForce.IOC, True)


@pytest.mark.parametrize(("bid", "is_allowed"), [("95.01", True), ("95", True), ("94.99", False)])
def test_a_market_order_goes_only_while_the_bid_is_within_the_slippage(bid: str, is_allowed: bool) -> None:
    quotes = {BTC: a_quote(bid=Decimal(bid), ask=Decimal(100))}
    limits = some_limits(price_gap_max_pct="50")
    verdict = exit_with(ExitWish(ExitKind.STOP_LOSS, 3, Decimal(5)), quotes=quotes, limits=limits)
    assert isinstance(verdict, OrderApproved) is is_allowed
    if isinstance(verdict, OrderDenied):
        assert verdict.code is DenialCode.PRICE_OUTSIDE_COLLAR


def test_a_resting_stop_waits_on_the_tick_that_risks_less_however_far_below_the_market() -> None:
    order = approved(ExitWish(ExitKind.STOP_LOSS, resting=Resting(Decimal("60.001"))))
    assert (order.order_type, order.time_in_force) == (OrderType.STOP_LIMIT, TimeInForce.GTC)
    assert (order.trigger_price, order.limit_price) == (Decimal("60.01"), Decimal("59.71"))


def test_an_exit_sells_no_more_than_no_other_sale_may_still_fill() -> None:
    other = Reserved("ema", BTC, Side.SELL, Decimal(4), Decimal(0))
    book = Book(cash=Decimal(0), holdings=HELD.holdings, own=HELD.own, reserved=(other,))
    assert approved(book=book).quantity == 6
    all_of_it = Reserved("ema", BTC, Side.SELL, Decimal(10), Decimal(0))
    book = Book(cash=Decimal(0), holdings=HELD.holdings, own=HELD.own, reserved=(all_of_it,))
    assert code(book=book) is DenialCode.NOTHING_TO_CLOSE


def test_an_exit_is_cut_to_the_largest_order() -> None:
    assert approved(limits=some_limits(order_notional_max="400")).quantity == 4


def test_what_was_taken_off_the_list_can_still_be_sold() -> None:
    for limits in (some_limits(instruments_allowed=(ETH,)), some_limits(instruments_restricted=(BTC,))):
        assert approved(limits=limits).quantity == 10


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stages": (*NORMAL, StageRow("instrument", BTC, "halted"))}, DenialCode.TRADING_HALTED),
        ({"limits": None}, DenialCode.LIMIT_MISSING),
        ({"quotes": {}}, DenialCode.PRICE_STALE),
        ({"quotes": {BTC: a_quote(age=timedelta(seconds=3))}}, DenialCode.PRICE_STALE),
        ({"account": an_account(reconciliation_passed=False)}, DenialCode.RECONCILIATION_MISSING),
        ({"instrument": None}, DenialCode.INSTRUMENT_NOT_TRADABLE),
    ],
)
def test_what_cannot_be_read_or_is_halted_stops_an_exit_too(changes: dict[str, Any], expected: DenialCode) -> None:
    assert code(**changes) is expected


@pytest.mark.parametrize("stage", ["caution", "reducing"])
def test_an_exit_passes_while_trading_may_reduce(stage: str) -> None:
    assert approved(stages=(*NORMAL, StageRow("strategy", "ema", stage))).quantity == 10


def test_no_guard_of_added_exposure_is_a_row_of_an_exits_verdict_but_its_own_collar() -> None:
    asked = {check.code for check in approved().checks}
    assert asked & ENTRY_GUARDS == {DenialCode.PRICE_OUTSIDE_COLLAR}
    assert {DenialCode.TRADING_HALTED, DenialCode.SHORT_NOT_ALLOWED, DenialCode.PRICE_STALE} <= asked
