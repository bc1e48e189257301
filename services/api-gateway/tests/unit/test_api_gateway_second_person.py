from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api_gateway.domain.holders import Credentials, Logins, Wait
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
    next_approver,
    refusal_to_decide,
    refused,
    status_of,
)

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(minutes=10)
MINA = Person(UUID(int=1), "mina", Role.ADMIN, frozenset(), True)
JOON = Person(UUID(int=2), "joon", Role.ADMIN, frozenset(), True)
TRADER = Person(UUID(int=3), "tara", Role.TRADER, frozenset({"paper"}), True)
STRANGER = Person(UUID(int=4), "sora", Role.TRADER, frozenset({"other"}), True)
VIEWER = Person(UUID(int=5), "vera", Role.VIEWER, frozenset(), True)
LIMITS = Request(Right.LIMIT, None, "f" * 64, ApprovalStatus.AWAITING, NOW)
TRANSFER = Request(Right.TRANSFER, "paper", "f" * 64, ApprovalStatus.AWAITING, NOW)
APART = Logins({}, NOW)


def judged(
    request: Request = LIMITS,
    asker: Person = MINA,
    decider: Person = JOON,
    fingerprint: str = "f" * 64,
    decision: Decision = Decision.APPROVE,
    wait: Wait | None = None,
) -> Refusal | None:
    return refusal_to_decide(decision, request, asker, decider, fingerprint, wait=wait)


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
    assert approvers(LIMITS, MINA.user_id, everybody, APART) == 1
    assert approvers(TRANSFER, TRADER.user_id, everybody, APART) == 2
    assert approvers(LIMITS, MINA.user_id, [MINA], APART) == 0
    assert next_approver(LIMITS, MINA.user_id, everybody, APART) is None
    assert next_approver(LIMITS, MINA.user_id, [MINA], APART) is None


def test_who_may_hold_both_logins_does_not_approve_and_may_refuse() -> None:
    wait = Wait(EXPIRES, False, frozenset(), frozenset({(MINA.user_id, JOON.user_id)}))
    assert judged(wait=wait) is Refusal.NOT_TWO_PEOPLE
    assert judged(wait=wait, decision=Decision.REFUSE) is None
    assert judged(wait=wait, decider=TRADER) is Refusal.NO_RIGHT


@pytest.mark.parametrize(
    ("since", "refusal"),
    [(timedelta(microseconds=-1), None), (timedelta(0), None), (timedelta(microseconds=1), Refusal.ASKER_SET_ANEW)],
)
def test_a_wish_from_before_the_askers_password_was_set_by_another_is_not_approved(
    since: timedelta, refusal: Refusal | None
) -> None:
    asker = replace(MINA, password_set_at=NOW + since)
    assert judged(asker=asker) is refusal
    assert judged(asker=asker, decision=Decision.REFUSE) is None


def test_who_is_refused_is_told_who_set_what_what_to_do_and_when_it_will_work() -> None:
    set_by_mina = {JOON.user_id: Credentials(False, MINA.user_id, NOW)}
    wait = Logins(set_by_mina, NOW).wait(MINA.user_id, JOON.user_id)
    told = refused(Refusal.NOT_TWO_PEOPLE, wait, {each.user_id: each for each in (MINA, JOON)})
    assert "mina set the password or the rights of joon" in told.detail
    assert "`sigmax user password --as joon`" in told.what_to_do
    assert "2026-01-06 09:00:00 UTC" in told.what_to_do


def test_where_nobody_can_approve_now_the_next_one_is_named_with_the_time() -> None:
    people = [MINA, JOON, replace(JOON, user_id=UUID(int=8), login="sora")]
    an_hour = timedelta(hours=1)
    both = {
        JOON.user_id: Credentials(True, MINA.user_id, NOW),
        UUID(int=8): Credentials(False, MINA.user_id, NOW - an_hour),
    }
    following = next_approver(LIMITS, MINA.user_id, people, Logins(both, NOW))
    assert following is not None
    assert (following.login, following.needs_own_password) == ("sora", True)
    assert following.wait.until == NOW + timedelta(hours=23)
    assert next_approver(LIMITS, MINA.user_id, people, Logins({JOON.user_id: both[JOON.user_id]}, NOW)) is None


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
