"""How much trading is allowed: which way a stage may go, and when."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from risk_gate_builders import NOW, an_account

from risk_gate.domain.stages import (
    CurrentStage,
    one_step_up,
    refusal_to_raise,
    stops_sends,
    stricter,
    strictest_by_scope,
)
from sigmax.schemas.types import Scope, Stage

AGE_MAX = timedelta(seconds=120)
YOUNG = [(an_account(), AGE_MAX)]
LADDER = [Stage.LOCKED, Stage.HALTED, Stage.REDUCING, Stage.CAUTION, Stage.NORMAL]


def a_stage(stage: Stage = Stage.HALTED) -> CurrentStage:
    return CurrentStage(Scope.GLOBAL, "global", stage, 2, "ada", "test")


@pytest.mark.parametrize(("stage", "step"), pairwise(LADDER))
def test_every_stage_but_normal_has_one_next_step(stage: Stage, step: Stage) -> None:
    assert one_step_up(stage) is step
    assert refusal_to_raise(a_stage(stage), step, YOUNG, NOW) is None


@pytest.mark.parametrize("stage", LADDER[:3])
def test_no_step_is_left_out(stage: Stage) -> None:
    for wanted in LADDER[LADDER.index(stage) + 2 :]:
        refusal = refusal_to_raise(a_stage(stage), wanted, YOUNG, NOW)
        assert refusal is not None
        assert "one step at a time" in refusal


def test_only_what_is_lowered_goes_up() -> None:
    for current in (None, a_stage(Stage.NORMAL)):
        assert refusal_to_raise(current, Stage.NORMAL, YOUNG, NOW) == "nothing is lowered there"


def test_a_step_up_takes_a_young_passed_reconciliation() -> None:
    account = an_account(reconciled_at=NOW - AGE_MAX)
    assert refusal_to_raise(a_stage(), Stage.REDUCING, [(account, AGE_MAX)], NOW) is None


@pytest.mark.parametrize(
    ("accounts", "says"),
    [
        ([], "no account"),
        ([(an_account(), None)], "limits"),
        ([(an_account(reconciled_at=None), AGE_MAX)], "no passed"),
        ([(an_account(reconciliation_passed=False), AGE_MAX)], "no passed"),
        ([(an_account(reconciled_at=NOW - AGE_MAX - timedelta(microseconds=1)), AGE_MAX)], "120 s"),
        ([(an_account(), AGE_MAX), (an_account(reconciled_at=None), AGE_MAX)], "no passed"),
    ],
)
@pytest.mark.parametrize("stage", LADDER[:4])
def test_no_stage_goes_up_on_books_that_may_be_wrong(stage: Stage, accounts: Any, says: str) -> None:
    refusal = refusal_to_raise(a_stage(stage), one_step_up(stage), accounts, NOW)
    assert refusal is not None
    assert says in refusal


def test_stages_are_ordered_by_how_little_they_allow() -> None:
    for index, stage in enumerate(LADDER):
        assert stops_sends(stage) is (index < 2)
        for other in LADDER:
            assert stricter(other, stage) is (index < LADDER.index(other))
        assert stricter(None, stage) is (stage is not Stage.NORMAL)


def test_operators_see_the_strictest_stage_of_each_kind_of_scope() -> None:
    stages = [
        CurrentStage(scope, scope_id, stage, 1, "ada", "test")
        for scope, scope_id, stage in (
            (Scope.GLOBAL, "global", Stage.NORMAL),
            (Scope.ACCOUNT, "paper", Stage.CAUTION),
            (Scope.INSTRUMENT, "BTC/USDT@paper", Stage.NORMAL),
            (Scope.INSTRUMENT, "ETH/USDT@paper", Stage.REDUCING),
        )
    ]

    assert strictest_by_scope(stages) == {
        Scope.GLOBAL: Stage.NORMAL,
        Scope.VENUE: Stage.NORMAL,
        Scope.ACCOUNT: Stage.CAUTION,
        Scope.STRATEGY: Stage.NORMAL,
        Scope.INSTRUMENT: Stage.REDUCING,
    }


def test_a_platform_or_account_without_a_stage_shows_as_halted() -> None:
    shown = strictest_by_scope([])

    assert shown[Scope.GLOBAL] is shown[Scope.ACCOUNT] is Stage.HALTED
