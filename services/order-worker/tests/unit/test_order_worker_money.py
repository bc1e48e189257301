"""What a trade does to money: what is kept of it, and when the rest is there."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from order_worker_builders import NOW, a_trade, an_order

from order_worker.domain.booking import cash_after, charged, execution_of, fill_of, transaction_of
from sigmax.domain.settlement import CRYPTO, KRX, Calendar, Market
from sigmax.schemas.orders import CashBalance
from sigmax.schemas.types import Side

HAD = {"USDT": CashBalance(total=Decimal(100_000), settled=Decimal(100_000))}


def after(side: Side, market: Market) -> CashBalance:
    order = an_order(quantity="3", side=side)
    told = replace(a_trade(1), side=side, price=Decimal(10_000), quantity=Decimal(1), fee_currency="USDT")
    trade = charged(replace(told, fee=Decimal(1)), market)
    fill = fill_of(order, trade, NOW)
    transaction = transaction_of(execution_of(order.approved, trade), fill, market, Calendar())
    return cash_after(HAD, [transaction])["USDT"]


@pytest.mark.parametrize("side", list(Side))
def test_crypto_settles_at_once_and_the_venues_fee_is_taken_as_told(side: Side) -> None:
    money = after(side, CRYPTO)
    assert money.total == 100_000 - side.sign * 10_000 - 1
    assert money.settled == money.total


def test_what_stocks_bought_cost_is_gone_at_once() -> None:
    money = after(Side.BUY, KRX)
    assert money.total == 100_000 - 10_000 - 1
    assert money.settled == money.total


def test_what_stocks_sold_brought_is_not_settled_and_its_charges_are_gone() -> None:
    money = after(Side.SELL, KRX)
    assert money.total == 100_000 + 10_000 - 1 - 20
    assert money.settled == 100_000 - 1 - 20


def test_the_others_are_told_fee_and_tax_together() -> None:
    order = an_order(quantity="3", side=Side.SELL)
    trade = charged(replace(a_trade(1), side=Side.SELL, price=Decimal(10_000), quantity=Decimal(1)), KRX)
    assert (trade.fee, trade.tax) == (1, 20)
    assert fill_of(order, trade, NOW).fee == 21


def test_a_trade_settles_by_its_own_time_not_by_when_it_came() -> None:
    order = an_order(quantity="3")
    early = replace(a_trade(1), executed_at=NOW - timedelta(days=10))
    transaction = transaction_of(execution_of(order.approved, early), fill_of(order, early, NOW), KRX, Calendar())
    assert NOW - timedelta(days=9) < transaction.settles_at < NOW
    assert transaction.moved_at == early.executed_at
