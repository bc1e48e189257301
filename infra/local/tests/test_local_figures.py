"""What the gateway tells, as people see it."""

from decimal import Decimal
from typing import Any

import pytest

from sigmax_local.figures import Account, Figures, Holding, TickCount, figures_of
from sigmax_local.runs import Part
from sigmax_local.view import line, worth


def an_answer(**changes: Any) -> dict[str, Any]:
    """Build what `GET /system/figures` gives."""
    account = {"account_id": "paper", "currency": "USDT", "equity": "250", "cash": {"USDT": "50"}}
    position = {
        "instrument_id": "BTC/USDT@x", "quantity": "2", "average_price": "90", "realized_pnl": "0", "last_price": "100",
    }  # fmt: skip
    answer = {
        "signals": 3, "decisions": 0, "approved": 2, "denied": 1, "fills": 2, "alerts": 0,
        "orders": {"filled": 2}, "denials": {"price_stale": 1}, "ticks_per_s": "12.5",
        "tick_to_order_p50_ms": "8.25", "tick_to_order_p99_ms": None,
        "accounts": [{**account, "holdings": {"BTC": "2", "ETH": "0"}}], "positions": [position],
    }  # fmt: skip
    return {**answer, **changes}


def test_figures_are_read_from_what_the_gateway_tells() -> None:
    figures = figures_of(an_answer(), ticks=7)
    assert (figures.filled_orders, figures.ticks, figures.ticks_per_s) == (2, 7, Decimal("12.5"))
    assert (figures.p50_ms, figures.p99_ms) == (Decimal("8.25"), None)
    assert figures.accounts == (Account("paper", "USDT", Decimal(250)),)
    assert figures.holdings == (Holding("BTC/USDT@x", Decimal(2), Decimal(90), Decimal(0), Decimal(100)),)
    assert figures.balances == {"BTC": Decimal(2), "USDT": Decimal(50)}


def test_balances_of_several_accounts_add_up() -> None:
    (account,) = an_answer()["accounts"]
    figures = figures_of(an_answer(accounts=[account, {**account, "account_id": "live"}]), ticks=0)
    assert figures.balances == {"BTC": Decimal(4), "USDT": Decimal(100)}


class TestTickCount:
    def test_collectors_add_up(self) -> None:
        count = TickCount()
        assert [count.look({"a": 5}), count.look({"a": 7, "b": 10})] == [5, 17]

    def test_a_collector_that_was_restarted_counts_on(self) -> None:
        count = TickCount()
        assert [count.look({"a": 100}), count.look({"a": 3})] == [100, 103]

    def test_one_that_is_not_heard_of_any_more_keeps_what_it_brought(self) -> None:
        count = TickCount()
        assert [count.look({"a": 100}), count.look({"b": 1}), count.look({})] == [100, 101, 101]


@pytest.mark.parametrize(
    ("accounts", "shown"),
    [
        ((), "-"),
        ((Account("paper", "USDT", Decimal("1234.5")),), "1,234.50 USDT"),
        ((Account("paper", "USDT", None),), "- USDT"),
        ((Account("a", "USDT", Decimal(1)), Account("b", "KRW", Decimal(2))), "a 1.00 USDT, b 2.00 KRW"),
    ],
)
def test_worth_is_shown_with_its_currency(accounts: tuple[Account, ...], shown: str) -> None:
    assert worth(accounts) == shown


def test_a_line_names_who_is_not_well() -> None:
    parts = [Part("risk-gate", "ready"), Part("collector", "down")]
    assert line(Figures(), parts, 5.0).endswith("[collector down]")
