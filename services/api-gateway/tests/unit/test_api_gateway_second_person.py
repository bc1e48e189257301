from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api_gateway.domain.rights import Right, Role
from api_gateway.domain.second_person import (
    SENTENCES,
    ApprovalStatus,
    Decision,
    Person,
    Refusal,
    Request,
    UserChange,
    approvers,
    refusal_to_decide,
    status_of,
)

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(minutes=10)
MINA = Person(UUID(int=1), "mina", Role.ADMIN, frozenset(), True)
JOON = Person(UUID(int=2), "joon", Role.ADMIN, frozenset(), True)
TRADER = Person(UUID(int=3), "tara", Role.TRADER, frozenset({"paper"}), True)
STRANGER = Person(UUID(int=4), "sora", Role.TRADER, frozenset({"other"}), True)
VIEWER = Person(UUID(int=5), "vera", Role.VIEWER, frozenset(), True)
LIMITS = Request(Right.LIMIT, None, "f" * 64, ApprovalStatus.AWAITING)
TRANSFER = Request(Right.TRANSFER, "paper", "f" * 64, ApprovalStatus.AWAITING)


def judged(
    request: Request = LIMITS,
    asker: Person = MINA,
    decider: Person = JOON,
    fingerprint: str = "f" * 64,
    decision: Decision = Decision.APPROVE,
) -> Refusal | None:
    return refusal_to_decide(decision, request, asker, decider, fingerprint)


def test_another_person_with_the_right_approves() -> None:
    assert judged() is None


@pytest.mark.parametrize("same", [MINA, replace(JOON, login="MINA"), replace(JOON, user_id=MINA.user_id)])
def test_who_asked_does_not_approve_under_whatever_name(same: Person) -> None:
    assert judged(decider=same) is Refusal.SAME_PERSON


def test_who_could_not_ask_cannot_approve() -> None:
    assert judged(decider=TRADER) is Refusal.NO_RIGHT
    assert judged(decider=VIEWER) is Refusal.NO_RIGHT


def test_what_a_trader_may_ask_another_trader_of_that_account_or_an_admin_approves() -> None:
    colleague = replace(TRADER, user_id=UUID(int=9), login="theo")
    assert judged(TRANSFER, TRADER, colleague) is None
    assert judged(TRANSFER, TRADER, JOON) is None
    assert judged(TRANSFER, TRADER, STRANGER) is Refusal.NO_RIGHT
    assert judged(TRANSFER, TRADER, TRADER) is Refusal.SAME_PERSON


def test_only_the_values_that_were_seen_are_approved() -> None:
    assert judged(fingerprint="e" * 64) is Refusal.OTHER_VALUES
    assert judged(fingerprint="e" * 64, decision=Decision.REFUSE) is Refusal.OTHER_VALUES


@pytest.mark.parametrize("status", [ApprovalStatus.APPROVED, ApprovalStatus.REFUSED])
@pytest.mark.parametrize("decision", Decision)
def test_what_was_decided_stays_decided(status: ApprovalStatus, decision: Decision) -> None:
    assert judged(replace(LIMITS, status=status), decision=decision) is Refusal.OVER


@pytest.mark.parametrize("decision", Decision)
def test_what_waited_too_long_is_over(decision: Decision) -> None:
    assert judged(replace(LIMITS, status=ApprovalStatus.EXPIRED), decision=decision) is Refusal.EXPIRED


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": Role.VIEWER}])
def test_a_wish_of_who_lost_the_right_meanwhile_is_not_approved(change: dict[str, object]) -> None:
    assert judged(asker=replace(MINA, **change)) is Refusal.ASKER_LOST_RIGHT  # type: ignore[arg-type]


def test_who_asked_may_take_it_back_and_another_may_refuse_but_not_a_stranger() -> None:
    assert judged(decider=MINA, decision=Decision.REFUSE) is None
    assert judged(decider=JOON, decision=Decision.REFUSE) is None
    assert judged(TRANSFER, TRADER, STRANGER, decision=Decision.REFUSE) is Refusal.NO_RIGHT
    lost = replace(MINA, role=Role.VIEWER)
    assert judged(asker=lost, decider=lost, decision=Decision.REFUSE) is None


def test_who_could_approve_is_counted_without_who_asked() -> None:
    everybody = [MINA, JOON, TRADER, STRANGER, VIEWER, replace(JOON, user_id=UUID(int=8), is_active=False)]
    assert approvers(LIMITS, MINA.user_id, everybody) == 1
    assert approvers(TRANSFER, TRADER.user_id, everybody) == 2
    assert approvers(LIMITS, MINA.user_id, [MINA]) == 0


def test_every_refusal_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Refusal)


@pytest.mark.parametrize(
    ("outcome", "at", "status"),
    [
        (None, EXPIRES - timedelta(microseconds=1), ApprovalStatus.AWAITING),
        (None, EXPIRES, ApprovalStatus.EXPIRED),
        (None, EXPIRES + timedelta(seconds=1), ApprovalStatus.EXPIRED),
        ("approved", EXPIRES + timedelta(days=1), ApprovalStatus.APPROVED),
        ("refused", NOW, ApprovalStatus.REFUSED),
        ("expired", NOW, ApprovalStatus.EXPIRED),
    ],
)
def test_a_request_waits_until_its_ten_minutes_are_over(
    outcome: str | None, at: datetime, status: ApprovalStatus
) -> None:
    assert status_of(outcome, EXPIRES, at) is status


@pytest.mark.parametrize(
    ("user", "change", "needs"),
    [
        (TRADER, UserChange(role=Role.ADMIN), True),
        (MINA, UserChange(role=Role.VIEWER), True),
        (TRADER, UserChange(role=Role.TRADER), False),
        (TRADER, UserChange(accounts=frozenset({"paper", "live"})), True),
        (TRADER, UserChange(accounts=frozenset({"paper"})), False),
        (TRADER, UserChange(accounts=frozenset()), False),
        (TRADER, UserChange(is_active=False), False),
        (replace(TRADER, is_active=False), UserChange(is_active=True), True),
        (TRADER, UserChange(is_active=True), False),
        (TRADER, UserChange(), False),
    ],
)
def test_what_gives_a_user_rights_needs_two_and_what_takes_them_does_not(
    user: Person, change: UserChange, *, needs: bool
) -> None:
    assert change.needs_second_person(user) is needs


@pytest.mark.parametrize(
    "change",
    [
        UserChange(),
        UserChange(Role.ADMIN, frozenset({"paper", "live"}), True),
        UserChange(accounts=frozenset(), is_active=False),
    ],
)
def test_a_change_of_a_user_reads_back_as_it_was_written_down(change: UserChange) -> None:
    assert UserChange.of_values(change.values(UUID(int=7))) == change
