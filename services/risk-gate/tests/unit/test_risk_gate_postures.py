"""How boldly to trade: every bound of the weather, and when it is asked."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import NOW

from risk_gate.domain.postures import (
    EVALUATED_EVERY,
    VIX_AGE_MAX,
    WINDOW_BARS,
    PostureCause,
    PostureRow,
    Weather,
    evaluate,
    is_due,
    weather,
)
from sigmax.schemas.types import Posture

A_MICROSECOND = timedelta(microseconds=1)
BOLD, G, D = Posture.OFFENSIVE, Posture.GUERRILLA, Posture.DEFENSIVE


def seen(vix: str | None = None, percentile: float | None = None, trend: float | None = None) -> Weather:
    return Weather(None if vix is None else Decimal(vix), percentile, trend)


@pytest.mark.parametrize(
    ("vix", "trend", "expected"),
    [
        ("14.99", 0.3, BOLD),
        ("15", 0.3, G),
        ("14.99", 0.29, G),
        ("14.99", None, G),
        ("25", 0.3, G),
        ("25.01", 0.9, D),
        ("14.99", -0.3, D),
        ("14.99", -0.29, G),
        ("20", -0.3, D),
    ],
)
def test_the_vix_and_the_trend_set_the_posture(vix: str, trend: float | None, expected: Posture) -> None:
    for current in Posture:
        # A calm or wild stretch of bars says nothing where there is a VIX.
        for percentile in (None, 0.0, 100.0):
            assert evaluate(seen(vix, percentile, trend), current)[0] is expected


@pytest.mark.parametrize(
    ("percentile", "trend", "expected"),
    [
        (29.9, 0.3, BOLD),
        (30.0, 0.3, G),
        (29.9, 0.29, G),
        (70.0, 0.3, G),
        (70.1, 0.9, D),
        (29.9, -0.3, D),
        (50.0, 0.0, G),
    ],
)
def test_without_a_vix_realised_volatility_takes_its_place(percentile: float, trend: float, expected: Posture) -> None:
    assert evaluate(seen(None, percentile, trend), G)[0] is expected


@pytest.mark.parametrize(("current", "expected"), [(BOLD, G), (G, G), (D, D)])
def test_boldness_needs_evidence_and_doubt_never_makes_bolder(current: Posture, expected: Posture) -> None:
    assert evaluate(seen(), current)[0] is expected
    assert evaluate(seen(trend=0.9), current)[0] is expected
    assert evaluate(seen(trend=-0.9), current)[0] is D


def test_the_reason_shows_the_figures() -> None:
    assert evaluate(seen("14.2", 10.0, 0.31), G)[1] == "VIX 14.2, trend +0.31"
    assert evaluate(seen(None, 71.4, None), G)[1] == "volatility at percentile 71, no measure of trend"


@pytest.mark.parametrize(("age", "is_used"), [(VIX_AGE_MAX, True), (VIX_AGE_MAX + A_MICROSECOND, False)])
def test_an_old_vix_is_none(age: timedelta, is_used: bool) -> None:
    assert (weather((Decimal(20), NOW - age), {}, NOW).vix is not None) is is_used


def closes(*moves: float) -> list[Decimal]:
    """Give the prices that windows of such moves up and down lead through."""
    prices = [Decimal(100)]
    for move in moves:
        for number in range(WINDOW_BARS):
            factor = 1 + move if number % 2 == 0 else 1 / (1 + move)
            prices.append(prices[-1] * Decimal(factor))
    return prices


def test_the_newest_volatility_is_ranked_among_those_before() -> None:
    before = [0.001 * number for number in range(1, 11)]
    for newest, percentile in ((0.0001, 0.0), (0.0035, 30.0), (0.0999, 100.0)):
        found = weather(None, {"x": closes(*before, newest)}, NOW)
        assert found.volatility_percentile == percentile


def test_too_few_bars_have_no_percentile_and_no_trend() -> None:
    found = weather(None, {"x": closes(*[0.001] * 10)}, NOW)
    assert found.volatility_percentile is None
    assert weather(None, {"x": closes(0.001)}, NOW).trend is None
    assert weather(None, {}, NOW) == Weather()


@pytest.mark.parametrize(("step", "trend"), [("1.001", 1.0), ("0.999", -1.0), ("1", None)])
def test_the_trend_is_the_part_of_the_way_that_led_somewhere(step: str, trend: float | None) -> None:
    prices = [Decimal(100)]
    for _ in range(120):
        prices.append(prices[-1] * Decimal(step))
    found = weather(None, {"x": prices}, NOW).trend
    assert found == (None if trend is None else pytest.approx(trend))
    sideways = weather(None, {"x": closes(*[0.001] * 4)}, NOW).trend
    assert sideways == pytest.approx(0, abs=0.01)


def test_of_several_instruments_the_one_in_the_middle_counts() -> None:
    rising = [Decimal(100) * Decimal("1.001") ** number for number in range(121)]
    falling = [Decimal(100) * Decimal("0.999") ** number for number in range(121)]
    assert weather(None, {"a": rising, "b": falling, "c": rising}, NOW).trend == pytest.approx(1.0)


def a_row(**changes: Any) -> PostureRow:
    fields: dict[str, Any] = {
        "account_id": "paper",
        "posture": G,
        "cause": PostureCause.EVALUATED,
        "reason": "test",
        "changed_by": "risk-gate",
        "changed_at": NOW,
        "evaluate_at": NOW + EVALUATED_EVERY,
    }
    return PostureRow(**(fields | changes))


def test_the_weather_is_asked_every_half_hour_and_not_while_a_person_holds_the_posture() -> None:
    assert is_due(None, NOW)
    due = NOW + EVALUATED_EVERY
    assert not is_due(a_row(), due - A_MICROSECOND)
    assert is_due(a_row(), due)
    assert not is_due(a_row(evaluate_at=None), NOW + timedelta(days=365))
