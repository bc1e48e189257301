"""Positions and money are sums over fills, whatever the order in which these arrived."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from sigmax.domain.ledger import (
    Entry,
    Execution,
    LedgerAccount,
    Position,
    average_price,
    entries_of,
    fold,
    imbalance,
    transfer,
)
from sigmax.schemas.types import Side

START = datetime(2026, 1, 5, tzinfo=UTC)


def an_execution(
    side: Side = Side.BUY,
    quantity: str = "1",
    price: str = "100",
    fee: str = "0",
    fee_currency: str = "USD",
    number: int = 0,
) -> Execution:
    return Execution(
        f"e{number}",
        START + timedelta(seconds=number),
        "BTC",
        "USD",
        side,
        Decimal(price),
        Decimal(quantity),
        Decimal(fee),
        fee_currency,
    )


QUANTITIES = st.decimals("0.001", 100, places=3)
PRICES = st.decimals("0.01", 10_000, places=2)
FEES = st.decimals("-0.5", 1, places=4)
EXECUTIONS = st.builds(
    Execution,
    st.integers(0, 10_000).map(str),
    st.integers(0, 50).map(lambda seconds: START + timedelta(seconds=seconds)),
    st.just("BTC"),
    st.just("USD"),
    st.sampled_from(Side),
    PRICES,
    QUANTITIES,
    FEES,
    st.sampled_from(["BTC", "USD", "BNB"]),
)
MANY = st.lists(EXECUTIONS, max_size=12, unique_by=lambda execution: execution.execution_id)


@given(MANY, st.randoms(use_true_random=False))
def test_any_order_of_arrival_with_any_doubles_gives_the_same_position(
    executions: list[Execution], random: object
) -> None:
    shuffled = [*executions, *executions[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert fold(shuffled) == fold(executions)


@given(MANY)
def test_the_position_is_the_sum_of_the_fills_less_base_fees(executions: list[Execution]) -> None:
    assert fold(executions).quantity == sum((execution.base_change for execution in executions), Decimal(0))


@given(MANY)
def test_the_holding_in_the_ledger_is_the_position(executions: list[Execution]) -> None:
    held = sum(
        (
            entry.amount
            for execution in executions
            for entry in entries_of(execution)
            if entry.account is LedgerAccount.HOLDING and entry.asset == "BTC"
        ),
        Decimal(0),
    )

    assert held == fold(executions).quantity


@given(EXECUTIONS)
def test_a_transaction_sums_to_zero_per_asset(execution: Execution) -> None:
    assert imbalance(entries_of(execution)) == {}


@given(MANY)
def test_profit_taken_and_profit_open_are_what_the_money_says(executions: list[Execution]) -> None:
    free = [an_execution(e.side, str(e.quantity), str(e.price), number=i) for i, e in enumerate(executions)]
    mark = Decimal("123.45")
    position = fold(free)

    open_pnl = position.quantity * (mark - position.average_price)
    money = sum((-e.side.sign * e.quantity * e.price for e in free), Decimal(0))
    assert abs(position.realized_pnl + open_pnl - (money + position.quantity * mark)) < Decimal("1e-12")


def test_adding_averages_the_price_and_closing_keeps_it() -> None:
    bought = fold(
        [an_execution(quantity="1", price="100", number=1), an_execution(quantity="3", price="200", number=2)]
    )
    assert bought == Position(Decimal(4), Decimal(175), Decimal(0))

    closed = bought.after(an_execution(Side.SELL, quantity="1", price="275", number=3))
    assert closed == Position(Decimal(3), Decimal(175), Decimal(100))


def test_turning_a_position_enters_the_rest_at_the_new_price() -> None:
    turned = fold([an_execution(quantity="1", price="100", number=1), an_execution(Side.SELL, "3", "90", number=2)])

    assert turned == Position(Decimal(-2), Decimal(90), Decimal(-10))


def test_a_flat_position_has_no_price() -> None:
    flat = fold([an_execution(quantity="1", price="100", number=1), an_execution(Side.SELL, "1", "110", number=2)])

    assert flat == Position(Decimal(0), Decimal(0), Decimal(10))


def test_a_fee_in_base_units_lowers_what_is_held() -> None:
    bought = an_execution(fee="0.001", fee_currency="BTC")

    assert fold([bought]) == Position(Decimal("0.999"), Decimal(100), Decimal(0))
    assert Entry(LedgerAccount.HOLDING, "BTC", Decimal("-0.001")) in entries_of(bought)


def test_a_fee_in_the_quote_leaves_the_cash_and_one_in_a_third_asset_its_holding() -> None:
    in_quote = entries_of(an_execution(Side.SELL, fee="0.2", fee_currency="USD"))
    in_third = entries_of(an_execution(Side.SELL, fee="0.2", fee_currency="BNB"))

    assert Entry(LedgerAccount.CASH, "USD", Decimal("-0.2")) in in_quote
    assert Entry(LedgerAccount.HOLDING, "BNB", Decimal("-0.2")) in in_third


def test_an_unbalanced_transaction_names_its_asset() -> None:
    entries = transfer(LedgerAccount.CASH, LedgerAccount.OPENING, "USD", Decimal(5))

    assert imbalance(entries) == {}
    assert imbalance(entries[:1]) == {"USD": Decimal(5)}


def test_the_average_price_weighs_by_quantity() -> None:
    assert average_price([]) is None
    assert average_price([(Decimal(100), Decimal(1)), (Decimal(200), Decimal(3))]) == Decimal(175)


def test_a_position_is_the_same_whatever_a_library_did_to_how_the_process_rounds() -> None:
    # ccxt does, in the process that keeps the positions; who verifies them does without.
    trades = [
        an_execution(
            Side.BUY if number % 3 else Side.SELL, f"{number % 4 + 1}", f"{1640 + number * 7 % 13}.25", number=number
        )
        for number in range(60)
    ]
    known = fold(trades)
    with localcontext() as context:
        context.rounding = ROUND_UP
        assert fold(trades) == known
