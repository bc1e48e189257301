"""Sizing never rounds up, and nothing approved is above any limit, whatever the numbers."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk_gate_builders import BTC, ETH, NOW, a_quote, a_signal, a_situation, an_instrument, some_limits

from risk_gate.domain.assess import assess
from risk_gate.domain.book import cash_needed
from risk_gate.domain.limits import POSTURES
from risk_gate.domain.situation import Book, Holding, Reserved
from risk_gate.domain.sizing import affordable_quantity, floor_quantity, marketable_price
from sigmax.domain.fees import EXACT
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Side


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


STEPS = st.sampled_from(
    [Decimal(text) for text in ("0.00000001", "0.00001", "0.001", "0.1", "0.3", "1", "100", "0.25")]
)


@given(notional=decimals("-10", "1e9", 8), price=decimals("0.00000001", "1e7", 8), lot=STEPS)
def test_what_is_bought_never_costs_more_than_wanted(notional: Decimal, price: Decimal, lot: Decimal) -> None:
    quantity = affordable_quantity(notional, price, lot)
    assert quantity >= 0
    assert EXACT.remainder(quantity, lot) == 0
    assert EXACT.multiply(quantity, price) <= max(notional, Decimal(0))
    assert EXACT.multiply(EXACT.add(quantity, lot), price) > notional


@given(quantity=decimals("-10", "1e12", 12), lot=STEPS)
def test_a_quantity_is_rounded_down_to_whole_lots(quantity: Decimal, lot: Decimal) -> None:
    rounded = floor_quantity(quantity, lot)
    assert 0 <= rounded <= max(quantity, Decimal(0))
    assert EXACT.remainder(rounded, lot) == 0
    assert quantity - rounded < lot


@given(side=st.sampled_from(Side), reference=decimals("1", "1e6", 6), offset=decimals("0", "1000", 2), tick=STEPS)
def test_a_limit_gives_away_no_more_than_the_offset(
    side: Side, reference: Decimal, offset: Decimal, tick: Decimal
) -> None:
    price = marketable_price(side, reference, offset, tick)
    edge = EXACT.multiply(reference, 1 + side.sign * offset / 10_000)
    assert EXACT.remainder(price, tick) == 0
    assert price <= edge if side is Side.BUY else price >= edge
    assert abs(price - edge) < tick


@given(
    cash=decimals("0", "1000000", 2),
    last=decimals("0.01", "100000", 2),
    lot=STEPS,
    held=decimals("0", "1000", 3),
    own_part=decimals("0", "1", 2),
    strength=decimals("0", "1", 2),
    volume=decimals("0", "1000000", 3),
    leaves=decimals("0", "100", 3),
    order_notional_max=decimals("1", "50000", 2),
    position_notional_max=decimals("1", "50000", 2),
    concentration=decimals("0.01", "100", 2),
    leverage=decimals("0.01", "2", 2),
    action=st.sampled_from(["buy", "dca", "sell", "close"]),
)
def test_nothing_approved_is_above_any_limit(**drawn: Any) -> None:
    last, held = drawn["last"], drawn["held"]
    limits = some_limits(
        order_notional_max=drawn["order_notional_max"],
        position_notional_max=drawn["position_notional_max"],
        concentration_max_pct=drawn["concentration"],
        leverage_max=drawn["leverage"],
    )
    reserved = (Reserved("other", BTC, Side.BUY, drawn["leaves"], drawn["leaves"] * last),)
    book = Book(
        cash=drawn["cash"],
        holdings={BTC: Holding(held), ETH: Holding(Decimal(1))},
        own={BTC: held * drawn["own_part"]},
        reserved=reserved,
    )
    situation = a_situation(
        book=book,
        limits=limits,
        instrument=an_instrument(lot_size=drawn["lot"]),
        quotes={BTC: a_quote(last=str(last), minute_volume=drawn["volume"]), ETH: a_quote(ETH, "10")},
    )
    signal = a_signal(action=drawn["action"], strength=drawn["strength"], reference_price=last)
    verdict = assess(signal, situation, NOW, approval_lifetime=timedelta(seconds=15))
    if not isinstance(verdict, OrderApproved):
        return
    assert verdict.limit_price is not None
    worst = verdict.quantity * max(verdict.limit_price, verdict.reference_price)
    equity = drawn["cash"] + held * last + 10
    assert EXACT.remainder(verdict.quantity, drawn["lot"]) == 0
    assert worst <= drawn["order_notional_max"]
    if verdict.side is Side.SELL:
        assert verdict.quantity <= held * drawn["own_part"]
        return
    position = (held + drawn["leaves"]) * verdict.limit_price + worst
    assert verdict.quantity * verdict.limit_price <= equity * POSTURES[limits.posture].entry_pct / 100
    assert verdict.quantity <= drawn["volume"] * 5 / 100
    assert position <= drawn["position_notional_max"]
    assert position <= equity * drawn["concentration"] / 100
    assert position + 10 <= equity * drawn["leverage"]
    needed = cash_needed(Side.BUY, verdict.quantity, verdict.limit_price, limits.fee_bps)
    assert needed + equity / 100 + drawn["leaves"] * last <= drawn["cash"]


@pytest.mark.parametrize("side", Side)
def test_a_sale_needs_no_cash(side: Side) -> None:
    needed = cash_needed(side, Decimal(2), Decimal(100), Decimal(20))
    assert needed == (Decimal("200.4") if side is Side.BUY else 0)
