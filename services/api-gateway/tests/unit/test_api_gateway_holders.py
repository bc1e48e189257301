from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.domain.holders import COOLDOWN, COOLDOWN_MAX, Credentials, Logins, cooldown_of

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
ADMIN, JOON, SORA, TARA = (UUID(int=number) for number in range(1, 5))


def set_by(who: UUID, at: datetime = NOW, *, is_own: bool = True) -> Credentials:
    return Credentials(is_own, who, at)


def apart(one: UUID, other: UUID, at: datetime = NOW, **credentials: Credentials) -> bool:
    names = {"admin": ADMIN, "joon": JOON, "sora": SORA, "tara": TARA}
    known = {names[name]: each for name, each in credentials.items()}
    both = {Logins(known, at).wait(*pair) is None for pair in ((one, other), (other, one))}
    assert len(both) == 1, "it makes no difference who of the two asks"
    return both.pop()


def test_logins_that_nobody_else_set_are_two_people_and_one_login_never_is() -> None:
    assert apart(ADMIN, JOON)
    assert not apart(JOON, JOON)


@pytest.mark.parametrize(("after", "is_apart"), [(COOLDOWN - TICK, False), (COOLDOWN, True), (COOLDOWN + TICK, True)])
def test_who_set_a_password_holds_that_login_until_the_day_is_over(after: timedelta, is_apart: bool) -> None:
    assert apart(ADMIN, JOON, NOW + after, joon=set_by(ADMIN)) is is_apart


def test_a_password_that_its_owner_did_not_choose_stays_the_others_for_ever() -> None:
    assert not apart(ADMIN, JOON, NOW + timedelta(days=400), joon=set_by(ADMIN, is_own=False))


def test_it_stands_between_the_two_alone() -> None:
    assert apart(SORA, JOON, joon=set_by(ADMIN))


def test_two_logins_that_the_same_third_person_set_are_not_two_people() -> None:
    assert not apart(JOON, SORA, joon=set_by(ADMIN), sora=set_by(ADMIN))
    assert apart(JOON, SORA, joon=set_by(ADMIN), sora=set_by(TARA))


def test_who_holds_a_login_holds_what_that_login_set_too() -> None:
    assert not apart(ADMIN, SORA, joon=set_by(ADMIN), sora=set_by(JOON))
    assert apart(ADMIN, SORA, joon=set_by(ADMIN, NOW - COOLDOWN), sora=set_by(JOON))


@pytest.mark.parametrize(("after", "is_apart"), [(COOLDOWN - TICK, False), (COOLDOWN, True)])
def test_who_gave_a_login_its_rights_waits_as_long(after: timedelta, is_apart: bool) -> None:
    given_rights = Credentials(rights_set_by=frozenset({ADMIN, SORA}), rights_set_at=NOW)
    for who in (ADMIN, SORA):
        assert apart(who, JOON, NOW + after, joon=given_rights) is is_apart
    assert apart(ADMIN, SORA, joon=given_rights)


def test_the_wait_names_its_end_and_who_must_choose_a_password() -> None:
    wait = Logins({JOON: set_by(ADMIN, is_own=False)}, NOW).wait(ADMIN, JOON)
    assert wait is not None
    assert (wait.until, wait.own_passwords, wait.links) == (NOW + COOLDOWN, {JOON}, {(ADMIN, JOON)})
    chosen = Logins({JOON: set_by(ADMIN)}, NOW).wait(ADMIN, JOON)
    assert chosen is not None
    assert (chosen.until, chosen.own_passwords) == (NOW + COOLDOWN, set())


def test_after_the_day_only_the_own_password_is_waited_for() -> None:
    later = NOW + timedelta(days=3)
    wait = Logins({JOON: set_by(ADMIN, is_own=False)}, later).wait(ADMIN, JOON)
    assert wait is not None
    assert (wait.until, wait.own_passwords) == (later, {JOON})


def test_two_logins_wait_for_the_earlier_of_two_ends_where_that_parts_them() -> None:
    earlier = NOW - timedelta(hours=5)
    wait = Logins({JOON: set_by(ADMIN, earlier), SORA: set_by(ADMIN)}, NOW).wait(JOON, SORA)
    assert wait is not None
    assert wait.until == earlier + COOLDOWN


@pytest.mark.parametrize(
    ("asked", "has_live", "holds"),
    [
        (timedelta(seconds=60), False, timedelta(seconds=60)),
        (timedelta(0), True, COOLDOWN),
        (COOLDOWN - TICK, True, COOLDOWN),
        (COOLDOWN, True, COOLDOWN),
        (COOLDOWN_MAX, True, COOLDOWN_MAX),
    ],
)
def test_less_than_a_day_holds_with_paper_money_alone(asked: timedelta, holds: timedelta, *, has_live: bool) -> None:
    assert cooldown_of(asked, has_live=has_live) == holds


_LOGINS = [UUID(int=number) for number in range(1, 6)]
_CREDENTIALS = st.builds(
    Credentials,
    is_own_password=st.just(True),
    password_set_by=st.sampled_from(_LOGINS),
    password_set_at=st.integers(0, 48).map(lambda hours: NOW - timedelta(hours=hours)),
    rights_set_by=st.frozensets(st.sampled_from(_LOGINS), max_size=2),
    rights_set_at=st.none() | st.integers(0, 48).map(lambda hours: NOW - timedelta(hours=hours)),
)


@given(st.dictionaries(st.sampled_from(_LOGINS), _CREDENTIALS))
def test_whatever_was_set_the_named_end_is_the_first_moment_at_which_two_logins_are_two(
    known: dict[UUID, Credentials],
) -> None:
    for one, other in pairwise(_LOGINS):
        wait = Logins(known, NOW).wait(one, other)
        if wait is not None:
            assert Logins(known, wait.until).wait(one, other) is None
            assert Logins(known, wait.until - TICK).wait(one, other) is not None
