"""When money is there, and what is kept of it."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from sigmax.domain.ledger import Execution, LedgerAccount, entries_of, imbalance
from sigmax.domain.settlement import CRYPTO, KRX, Calendar, settles_at
from sigmax.schemas.types import Side

SEOLLAL = Calendar(frozenset({date(2026, 2, 16), date(2026, 2, 17), date(2026, 2, 18)}))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_crypto_settles_as_it_trades() -> None:
    moment = at("2026-02-14T23:59:59.999999+00:00")
    assert settles_at(CRYPTO, moment, SEOLLAL) == moment


@pytest.mark.parametrize(
    ("traded", "settled"),
    [
        ("2026-02-02T09:00:00+09:00", "2026-02-04T16:00:00+09:00"),  # Monday: Wednesday
        ("2026-02-05T09:00:00+09:00", "2026-02-09T16:00:00+09:00"),  # Thursday: over the weekend
        ("2026-02-12T15:30:00+09:00", "2026-02-19T16:00:00+09:00"),  # over the weekend and three holidays
        ("2026-02-13T09:00:00+09:00", "2026-02-20T16:00:00+09:00"),
        ("2026-02-02T23:59:59+09:00", "2026-02-04T16:00:00+09:00"),  # the market's day, not the one of UTC
        ("2026-02-03T00:00:00+09:00", "2026-02-05T16:00:00+09:00"),
    ],
)
def test_korean_stocks_settle_on_the_second_business_day_after_the_trade(traded: str, settled: str) -> None:
    assert settles_at(KRX, at(traded), SEOLLAL) == at(settled)


def test_a_sale_is_taxed_and_a_purchase_is_not_and_charges_are_cut_to_whole_won() -> None:
    assert KRX.tax(Side.SELL, Decimal(1_000_499)) == 2000
    assert KRX.tax(Side.SELL, Decimal(1_000_500)) == 2001
    assert KRX.tax(Side.BUY, Decimal(1_000_500)) == 0
    assert CRYPTO.tax(Side.SELL, Decimal(1_000_500)) == 0


def test_a_fee_that_the_venue_tells_is_taken_and_one_that_it_does_not_tell_is_worked_out() -> None:
    assert CRYPTO.fee(Decimal("0.7"), Decimal(1000)) == Decimal("0.7")
    assert KRX.fee(Decimal(0), Decimal(1_000_000)) == 150


@pytest.mark.parametrize("side", list(Side))
def test_every_charge_is_double_entry(side: Side) -> None:
    execution = Execution(
        execution_id="1",
        executed_at=at("2026-02-02T09:00:00+09:00"),
        base="005930",
        quote="KRW",
        side=side,
        price=Decimal(70_000),
        quantity=Decimal(10),
        fee=Decimal(105),
        fee_currency="KRW",
        tax=Decimal(1400),
    )
    entries = entries_of(execution)
    assert imbalance(entries) == {}
    cash = sum(entry.amount for entry in entries if entry.account is LedgerAccount.CASH)
    assert cash == -side.sign * 700_000 - 105 - 1400
    assert sum(entry.amount for entry in entries if entry.account is LedgerAccount.TAX) == 1400
