"""Who may be sent, and when."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from order_worker_builders import NOW, TERMS, an_approval, an_order, stages

from order_worker.domain.permission import StageRow, refusal_to_send, stage_for, unwanted
from order_worker.domain.terms import Terms
from sigmax.schemas.types import Mode, Scope, Stage

FOREIGN = (
    {"account_id": "another"},
    {"venue": "another"},
    {"mode": Mode.LIVE},
)


def test_a_signed_young_approval_goes() -> None:
    assert refusal_to_send(an_order(), stages(), TERMS, NOW) is None


@pytest.mark.parametrize("change", [{"quantity": Decimal(2)}, {"limit_price": Decimal(101)}, {"signature": "0" * 64}])
def test_an_approval_that_was_changed_does_not_go(change: dict[str, object]) -> None:
    order = replace(an_order(), approved=an_approval().model_copy(update=change))

    assert "signature" in str(refusal_to_send(order, stages(), TERMS, NOW))


@pytest.mark.parametrize("foreign", FOREIGN)
def test_account_venue_and_mode_must_be_this_workers(foreign: dict[str, object]) -> None:
    order = an_order()
    order = replace(order, approved=an_approval(**foreign))  # type: ignore[arg-type]

    assert "not this worker's" in str(refusal_to_send(order, stages(), TERMS, NOW))


def test_an_approval_goes_up_to_its_last_moment_and_not_after() -> None:
    order = an_order()
    last = order.approved.valid_until

    assert refusal_to_send(order, stages(told_at=last), TERMS, last) is None
    assert "valid until" in str(refusal_to_send(order, stages(), TERMS, last + timedelta(microseconds=1)))


@pytest.mark.parametrize("stage", [Stage.HALTED, Stage.LOCKED])
def test_a_halt_stops_everything(stage: Stage) -> None:
    assert refusal_to_send(an_order(), stages(stage), TERMS, NOW) is not None
    assert refusal_to_send(an_order(reduce_only=True), stages(account=stage), TERMS, NOW) is not None


def test_reducing_lets_only_exits_through() -> None:
    assert refusal_to_send(an_order(), stages(Stage.REDUCING), TERMS, NOW) is not None
    assert refusal_to_send(an_order(reduce_only=True), stages(Stage.REDUCING), TERMS, NOW) is None


@pytest.mark.parametrize("scope", [Scope.GLOBAL, Scope.ACCOUNT])
def test_a_stage_that_is_missing_or_old_is_a_halt(scope: Scope) -> None:
    approved = an_approval()
    missing = [row for row in stages() if row.scope is not scope]
    old = [replace(row, told_at=NOW - timedelta(seconds=60, microseconds=1)) for row in stages()]

    assert stage_for(approved, missing, TERMS, NOW)[0] is Stage.HALTED
    assert stage_for(approved, old, TERMS, NOW)[0] is Stage.HALTED
    assert stage_for(approved, stages(told_at=NOW - timedelta(seconds=60)), TERMS, NOW)[0] is Stage.NORMAL


@pytest.mark.parametrize(
    ("scope", "scope_id"), [(Scope.VENUE, "paper"), (Scope.STRATEGY, "ema"), (Scope.INSTRUMENT, "BTC/USDT@binance")]
)
def test_the_strictest_stage_that_concerns_the_order_counts(scope: Scope, scope_id: str) -> None:
    concerned = [*stages(), StageRow(scope, scope_id, Stage.HALTED, NOW)]
    others = [*stages(), StageRow(scope, "another", Stage.HALTED, NOW)]

    assert stage_for(an_approval(), concerned, TERMS, NOW)[0] is Stage.HALTED
    assert stage_for(an_approval(), others, TERMS, NOW)[0] is Stage.NORMAL


def test_a_halt_that_was_told_takes_back_everything_of_its_scope_and_lesser_stages_nothing() -> None:
    for stage in (Stage.NORMAL, Stage.CAUTION, Stage.REDUCING):
        assert unwanted(an_order(), stages(stage), TERMS, NOW) is None
    assert "HALTED" in str(unwanted(an_order(), stages(account=Stage.HALTED), TERMS, NOW))
    assert "HALTED" in str(unwanted(an_order(reduce_only=True), stages(Stage.HALTED), TERMS, NOW))
    elsewhere = [*stages(), StageRow(Scope.INSTRUMENT, "ETH/USDT@binance", Stage.HALTED, NOW)]
    assert unwanted(an_order(), elsewhere, TERMS, NOW) is None


def test_silence_takes_back_entries_and_leaves_what_protects() -> None:
    heard = stages(told_at=NOW - timedelta(seconds=60))
    silent = stages(told_at=NOW - timedelta(seconds=60, microseconds=1))

    assert unwanted(an_order(), heard, TERMS, NOW) is None
    assert "not been heard" in str(unwanted(an_order(), silent, TERMS, NOW))
    assert unwanted(an_order(reduce_only=True), silent, TERMS, NOW) is None
    assert "not been heard" in str(unwanted(an_order(), heard[:1], TERMS, NOW))


def test_nothing_is_taken_back_while_the_keys_are_locked() -> None:
    assert unwanted(an_order(), stages(Stage.HALTED, Stage.LOCKED), TERMS, NOW) is None


def test_a_send_and_its_timeout_fit_into_the_lease() -> None:
    terms: Terms = TERMS

    assert terms.send + terms.submit_timeout < terms.lease
