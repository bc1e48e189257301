"""Which commands need two people, and when a second one stands behind them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sigmax.domain.two_people import APPROVAL_AGE_MAX, needs_second_person, second_person_problem
from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.types import Stage

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
_ID = UUID(int=1)
A_MICROSECOND = timedelta(microseconds=1)


def a_command(**changes: Any) -> Command:
    fields: dict[str, Any] = {
        "message_id": _ID,
        "correlation_id": _ID,
        "occurred_at": NOW,
        "command": "resume",
        "subject": "global",
        "requested_by": "ada",
        "approved_by": "grace",
        "approved_at": NOW,
    }
    return Command(**(fields | changes))


@pytest.mark.parametrize("command", ["set_limits", "release", "book_transfer", "identify_order"])
def test_what_gives_risk_back_always_needs_two(command: str) -> None:
    for stage in (*Stage, None):
        assert needs_second_person(CommandName(command), {}, stage)


@pytest.mark.parametrize(
    "command",
    ["halt", "flatten", "cancel_order", "set_posture", "stop_strategy", "set_params", "activate_strategy"],
)
def test_what_lowers_risk_or_is_bounded_elsewhere_needs_one(command: str) -> None:
    for stage in (*Stage, None):
        assert not needs_second_person(CommandName(command), {}, stage)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (Stage.NORMAL, False),
        (Stage.CAUTION, False),
        (Stage.REDUCING, False),
        (Stage.HALTED, True),
        (Stage.LOCKED, True),
        (None, True),
    ],
)
def test_two_people_lead_out_of_a_stop(stage: Stage | None, expected: bool) -> None:
    assert needs_second_person(CommandName.RESUME, {}, stage) is expected


@pytest.mark.parametrize("current", [*Stage, None])
@pytest.mark.parametrize("wanted", list(Stage))
def test_a_stage_is_set_up_out_of_a_stop_by_two_and_down_by_one(current: Stage | None, wanted: Stage) -> None:
    known = current or Stage.HALTED
    expected = known in {Stage.HALTED, Stage.LOCKED} and wanted.severity < known.severity
    assert needs_second_person(CommandName.SET_STAGE, {"stage": wanted}, current) is expected


@pytest.mark.parametrize("values", [{}, {"stage": "fine"}, {"stage": ""}])
def test_what_is_no_stage_counts_as_a_way_up(values: dict[str, str]) -> None:
    assert needs_second_person(CommandName.SET_STAGE, values, Stage.HALTED)


def test_another_person_within_ten_minutes_is_a_second_one() -> None:
    assert second_person_problem(a_command(), NOW) is None
    assert second_person_problem(a_command(), NOW + APPROVAL_AGE_MAX) is None
    problem = second_person_problem(a_command(), NOW + APPROVAL_AGE_MAX + A_MICROSECOND)
    assert problem is not None
    assert "more than 10 minutes ago" in problem


def test_an_approval_from_the_future_is_none_beyond_what_clocks_differ() -> None:
    assert second_person_problem(a_command(approved_at=NOW + timedelta(seconds=5)), NOW) is None
    assert second_person_problem(a_command(approved_at=NOW + timedelta(seconds=5) + A_MICROSECOND), NOW)


@pytest.mark.parametrize("approved_by", ["ada", "Ada", " ada "])
def test_the_same_person_twice_is_one(approved_by: str) -> None:
    assert second_person_problem(a_command(approved_by=approved_by), NOW) == "ada asked for it and approved it"


@pytest.mark.parametrize("changes", [{"approved_by": None}, {"approved_at": None}])
def test_half_an_approval_is_none(changes: dict[str, Any]) -> None:
    assert second_person_problem(a_command(**changes), NOW) == "nobody but ada approved it"
