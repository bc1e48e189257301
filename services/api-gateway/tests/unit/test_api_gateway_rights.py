import pytest

from api_gateway.domain.rights import GRANTS, PUBLIC, ROUTES, TOPICS, Right, Role, Topic, may, may_steer


def test_every_right_is_granted_to_somebody() -> None:
    assert set(GRANTS) == set(Right)
    assert all(GRANTS.values())


def test_every_live_topic_asks_for_a_right() -> None:
    assert set(TOPICS) == set(Topic)


def test_public_operations_ask_for_no_right() -> None:
    assert PUBLIC.isdisjoint(ROUTES)


def test_a_viewer_changes_nothing_but_the_own_session() -> None:
    assert {right for right in Right if may(Role.VIEWER, right)} == {Right.OWN_SESSION, Right.READ}


def test_an_admin_raises_no_risk() -> None:
    assert not may(Role.ADMIN, Right.TRADE)


def test_who_trades_does_not_release_the_brake() -> None:
    assert GRANTS[Right.TRADE].isdisjoint(GRANTS[Right.RELEASE])


@pytest.mark.parametrize("role", [Role.TRADER, Role.ADMIN])
def test_who_may_steer_may_also_halt(role: Role) -> None:
    assert may(role, Right.REDUCE)


def test_a_trader_steers_own_accounts_alone() -> None:
    assert may_steer(Role.TRADER, frozenset({"paper"}), "paper")
    assert not may_steer(Role.TRADER, frozenset({"paper"}), "live")
    assert may_steer(Role.ADMIN, frozenset(), "live")
