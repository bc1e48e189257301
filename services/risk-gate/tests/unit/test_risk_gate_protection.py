"""What guards a position follows its fills."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_gate_builders import NOW
from risk_gate_exit_builders import a_buy, a_protection

from risk_gate.domain.limits import POSTURES
from risk_gate.domain.protection import Levels, ProtectionState, added_to, attempted, exiting, opened, sold_from
from sigmax.schemas.types import ExitKind, Posture

RULE = POSTURES[Posture.GUERRILLA]  # stop 1.2 %, target 2.4 %
QUANTITIES = st.decimals("0.001", 1000, places=3)
PRICES = st.decimals("0.01", 100000, places=2)
TINY = Decimal("1e-20")


def levels(stop: str, target: str, **changes: object) -> Levels:
    return Levels(Decimal(stop), Decimal(target), **changes)  # type: ignore[arg-type]


def test_a_position_has_the_levels_of_its_approval() -> None:
    known = opened(a_buy(), levels("95", "120", trailing_pct=Decimal(3), holding_s_max=60), RULE)
    assert (known.entry_price, known.stop_price, known.target_price) == (100, 95, 120)
    assert known.trailing_price == 97
    assert known.closes_at == NOW + timedelta(seconds=60)


def test_what_its_approval_has_no_level_for_is_the_postures() -> None:
    known = opened(a_buy(), Levels(), RULE)
    assert (known.stop_price, known.target_price) == (Decimal("98.800"), Decimal("102.400"))
    assert known.trailing_price is None
    assert known.closes_at is None


def test_the_same_fill_always_makes_the_same_protection() -> None:
    assert opened(a_buy(), Levels(), RULE) == opened(a_buy(), Levels(), RULE)
    assert opened(a_buy(key="other"), Levels(), RULE).protection_id != opened(a_buy(), Levels(), RULE).protection_id


def test_averaging_down_averages_entry_and_levels_by_quantity() -> None:
    known = opened(a_buy("100", "1"), levels("98", "104"), RULE)
    after = added_to(known, a_buy("90", "3", key="second"), levels("88.2", "93.6"), RULE)
    assert after.quantity == 4
    assert after.entry_price == Decimal("92.50")
    assert after.stop_price == Decimal("90.650")  # 2 % below the entry, as each of the two was
    assert after.target_price == Decimal("96.20")
    assert after.best_price == 100
    assert after.version == known.version + 1


@settings(deadline=None)
@given(PRICES, QUANTITIES, PRICES, QUANTITIES, st.decimals("0.1", 50, places=1))
def test_a_stop_of_the_same_distance_keeps_it_through_every_add(
    first: Decimal, one: Decimal, second: Decimal, other: Decimal, stop_pct: Decimal
) -> None:
    def at(price: Decimal) -> Levels:
        return Levels(price * (1 - stop_pct / 100), price * 2)

    known = opened(a_buy(str(first), str(one)), at(first), RULE)
    after = added_to(known, a_buy(str(second), str(other)), at(second), RULE)
    assert min(first, second) <= after.entry_price + TINY
    assert after.entry_price - TINY <= max(first, second)
    assert abs(after.stop_price / after.entry_price - (1 - stop_pct / 100)) < TINY
    assert after.best_price == max(first, second)


def test_of_two_trailing_distances_and_closing_times_the_nearer_one_counts() -> None:
    known = opened(a_buy(), levels("98", "104", trailing_pct=Decimal(3), holding_s_max=60), RULE)
    wider = levels("98", "104", trailing_pct=Decimal(5), holding_s_max=600)
    nearer = levels("98", "104", trailing_pct=Decimal(1), holding_s_max=6)
    none = levels("98", "104")
    assert added_to(known, a_buy(), wider, RULE).trailing_pct == 3
    assert added_to(known, a_buy(), nearer, RULE).trailing_pct == 1
    assert added_to(known, a_buy(), none, RULE).trailing_pct == 3
    assert added_to(known, a_buy(), wider, RULE).closes_at == known.closes_at
    assert added_to(known, a_buy(), nearer, RULE).closes_at == NOW + timedelta(seconds=6)


def test_the_last_unit_closes_it_with_what_it_made() -> None:
    known = replace(a_protection(quantity=Decimal(3)), naked_since=NOW)
    part = sold_from(known, Decimal(97), Decimal(1))
    assert (part.state, part.quantity, part.exit_pnl) == (ProtectionState.OPEN, 1, -6)
    whole = sold_from(part, Decimal(101), Decimal(0))
    assert (whole.state, whole.quantity, whole.exit_pnl) == (ProtectionState.CLOSED, 0, -5)
    assert whole.naked_since is None


def test_each_attempt_has_an_id_of_its_own_and_every_replica_the_same() -> None:
    known = exiting(a_protection(), ExitKind.STOP_LOSS, Decimal(97))
    again = attempted(known, NOW, refusal="", retry=timedelta(seconds=2))
    kinds = {known.exit_id(kind) for kind in ExitKind}
    assert len(kinds) == len(ExitKind)
    assert again.exit_id(ExitKind.STOP_LOSS) not in kinds
    assert known.exit_id(ExitKind.STOP_LOSS) == replace(known, version=99).exit_id(ExitKind.STOP_LOSS)


@pytest.mark.parametrize(("refusal", "escalation"), [("", 0), ("the price is stale", 1)])
def test_a_denied_attempt_tries_harder_next_and_an_approved_one_waits_for_its_end(
    refusal: str, escalation: int
) -> None:
    known = exiting(a_protection(), ExitKind.STOP_LOSS, Decimal(97))
    after = attempted(known, NOW, refusal=refusal, retry=timedelta(seconds=2))
    assert (after.attempts, after.escalation, after.refusal) == (1, escalation, refusal)
    assert after.next_attempt_at == NOW + timedelta(seconds=2)
