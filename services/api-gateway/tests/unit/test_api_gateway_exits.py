from decimal import Decimal

import pytest

from api_gateway.domain.exits import level_of, sentence
from api_gateway.domain.money import trailing_price
from sigmax.schemas.types import ExitKind

STOP, TARGET, TRAILING = Decimal(98), Decimal(103), Decimal("99.5")


@pytest.mark.parametrize(
    ("kind", "trigger", "level"),
    [
        (ExitKind.STOP_LOSS, None, STOP),
        (ExitKind.TAKE_PROFIT, None, TARGET),
        (ExitKind.TRAILING_STOP, None, TRAILING),
        (ExitKind.TIME_STOP, None, None),
        (ExitKind.FLATTEN, None, None),
        (ExitKind.STOP_LOSS, Decimal(97), Decimal(97)),
    ],
)
def test_each_exit_names_the_level_it_waited_for(
    kind: ExitKind, trigger: Decimal | None, level: Decimal | None
) -> None:
    assert level_of(kind, STOP, TARGET, TRAILING, trigger) == level


@pytest.mark.parametrize(
    ("kind", "level", "reached", "trigger", "said"),
    [
        (ExitKind.STOP_LOSS, STOP, Decimal("97.9"), False, "The stop loss at 98 was reached: 97.9 was traded."),
        (ExitKind.STOP_LOSS, STOP, None, True, "The stop loss that rested at the venue woke up at 98."),
        (ExitKind.TIME_STOP, None, Decimal(100), False, "It was sold for its time stop."),
    ],
)
def test_an_exit_says_what_happened(
    kind: ExitKind, level: Decimal | None, reached: Decimal | None, *, trigger: bool, said: str
) -> None:
    assert sentence(kind, level, reached, trigger=trigger) == said


def test_a_trailing_stop_stands_below_the_best_price() -> None:
    assert trailing_price(Decimal(200), Decimal("1.5")) == Decimal(197)
    assert trailing_price(Decimal(200), None) is None
