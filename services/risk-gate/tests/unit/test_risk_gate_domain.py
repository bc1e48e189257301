"""Stages, fills, limits, and judgement, each on its own."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from risk_gate_builders import NOW, a_decision, a_fill, a_request, a_signal, an_event, some_limits

from risk_gate.domain.book import effect_of, final_quantity, leaves_after, moves_book
from risk_gate.domain.judging import judgement_of
from risk_gate.domain.limits import START_LIMITS, RiskLimits, changed_limits
from risk_gate.settings import Settings


@pytest.mark.parametrize(
    ("side", "currency", "position", "cash"),
    [
        ("buy", "BTC", "1.998", "-200"),
        ("buy", "USDT", "2", "-200.002"),
        ("buy", "BNB", "2", "-200"),
        ("sell", "BTC", "-2.002", "200"),
        ("sell", "USDT", "-2", "199.998"),
    ],
)
def test_a_fee_is_taken_from_the_asset_it_is_paid_in(side: str, currency: str, position: str, cash: str) -> None:
    effect = effect_of(a_fill("1", "2", side=side, fee="0.002", fee_currency=currency))
    assert (effect.position_change, effect.cash_change) == (Decimal(position), Decimal(cash))
    assert effect.cash_currency == "USDT"


def test_a_fill_recorded_up_to_a_reconciliation_is_in_its_figures() -> None:
    assert moves_book(NOW, None)
    assert not moves_book(NOW, NOW)
    assert moves_book(NOW + timedelta(microseconds=1), NOW)


@pytest.mark.parametrize(
    ("status", "filled", "final"),
    [
        ("new", "0", None),
        ("partially_filled", "3", None),
        ("pending_cancel", "3", None),
        ("filled", "10", "10"),
        ("canceled", "3", "3"),
        ("expired", "0", "0"),
        ("rejected", "0", "0"),
        ("unplaced", "0", "0"),
    ],
)
def test_only_an_end_says_what_will_never_fill(status: str, filled: str, final: str | None) -> None:
    assert final_quantity(an_event(2, status, filled)) == (None if final is None else Decimal(final))


@pytest.mark.parametrize(
    ("filled", "final", "leaves"),
    [("0", None, "10"), ("4", None, "6"), ("4", "6", "2"), ("6", "6", "0"), ("7", "6", "0"), ("12", None, "0")],
)
def test_reserved_stays_what_has_not_reached_the_book(filled: str, final: str | None, leaves: str) -> None:
    known = None if final is None else Decimal(final)
    assert leaves_after(Decimal(10), Decimal(filled), known) == Decimal(leaves)


def test_an_approval_or_adjustment_passes_with_its_size() -> None:
    request = a_request(a_signal())
    for verdict in ("approve", "adjust"):
        judgement = judgement_of(
            a_decision(request, verdict=verdict, size_factor="0.3"), request.signal, request.message_id
        )
        assert (judgement.refused, judgement.size_factor) == (None, Decimal("0.3"))


@pytest.mark.parametrize("verdict", ["reject", "hold"])
def test_anything_else_refuses(verdict: str) -> None:
    request = a_request(a_signal())
    decision = a_decision(request, verdict=verdict, reasons=("thin\x00 evidence",))
    judgement = judgement_of(decision, request.signal, request.message_id)
    assert judgement.refused == f"{verdict} by local: thin evidence"


@pytest.mark.parametrize("name", sorted(RiskLimits.model_fields))
def test_a_limit_that_is_not_there_is_an_error(name: str) -> None:
    values = START_LIMITS.model_dump()
    del values[name]
    with pytest.raises(ValidationError, match=name):
        RiskLimits.model_validate(values)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "0", "", None])
def test_a_limit_must_be_a_positive_number(value: Any) -> None:
    with pytest.raises(ValidationError):
        some_limits(order_notional_max=value)


def settings(**changes: Any) -> Settings:
    fields = {
        "database_url": "postgresql://127.0.0.1/x",
        "rabbitmq_url": "amqp://127.0.0.1/",
        "redis_url": "redis://127.0.0.1/0",
        "database_password": "p",
        "rabbitmq_password": "p",
        "redis_password": "p",
        "approval_key": "k" * 32,
        "audit_key": "k" * 32,
    }
    return Settings(**(fields | changes))


def test_a_short_approval_key_does_not_start() -> None:
    with pytest.raises(ValidationError, match="at least 32 bytes"):
        settings(approval_key="k" * 31)


def test_start_limits_change_the_cautious_values() -> None:
    limits = settings(start_limits={"strategy_orders_per_s_max": 50}).limits_at_start()
    assert limits == START_LIMITS.model_copy(update={"strategy_orders_per_s_max": 50})


@pytest.mark.parametrize("start", [{"no_such_limit": 1}, {"leverage_max": "NaN"}])
def test_start_limits_that_are_none_do_not_start(start: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(start_limits=start)


def test_a_live_account_that_would_overlook_gaps_in_the_feed_does_not_start() -> None:
    assert settings(account_mode="paper", ladder_gap_floor_s=1).ladder_gap_floor_s == 1
    assert settings(account_mode="live", ladder_gap_floor_s=0).ladder_gap_floor_s == 0
    with pytest.raises(ValidationError, match="ladder_gap_floor_s"):
        settings(account_mode="live", ladder_gap_floor_s=1)


# Control 27: the next version of the limits ------------------------------------------------------------------------


def test_changed_limits_are_the_next_version_with_only_what_was_named_different() -> None:
    current = some_limits(version=4)
    changed = changed_limits(
        current, {"order_notional_max": '"250.5"', "instruments_restricted": '["BTC/USDT@binance"]'}
    )
    assert changed == some_limits(version=5, order_notional_max="250.5", instruments_restricted=("BTC/USDT@binance",))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"no_such_limit": "1"}, "no such limit"),
        ({"version": "9"}, "no such limit"),
        ({"order_notional_max": "lots"}, "not JSON"),
        ({"order_notional_max": "NaN"}, "no number"),
        ({"order_notional_max": "Infinity"}, "no number"),
        ({"order_notional_max": "0"}, "greater than 0"),
        ({"order_notional_max": "null"}, "order_notional_max"),
        ({"leverage_max": "10.01"}, "less than or equal to 10"),
        ({"shorts_allowed": "true"}, "shorts_allowed"),
        ({"posture_positions_max": '{"offensive": 5}'}, "posture_positions_max"),
        ({"order_notional_max": "10000"}, "nothing would change"),
        ({}, "nothing would change"),
    ],
)
def test_limits_that_are_none_are_refused_in_one_sentence(values: dict[str, str], why: str) -> None:
    refused = changed_limits(some_limits(), values)
    assert isinstance(refused, str)
    assert why in refused
