from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.domain.audit import GENESIS, AuditEntry, chain_hash, first_break
from api_gateway.domain.budgets import Budget
from api_gateway.domain.health import health_of
from api_gateway.domain.holders import COOLDOWN
from api_gateway.domain.logins import WINDOW, Failures, LoginLimits, wait_s
from api_gateway.domain.money import Holding, unrealized_pnl, worth
from api_gateway.domain.paging import Cursor, CursorError
from api_gateway.domain.passwords import weakness
from api_gateway.domain.sessions import IDLE_MAX, RefreshOutcome, StoredRefresh, judge_refresh, refresh_expiry
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.market import Heartbeat, nanoseconds
from sigmax.schemas.topology import SERVICES

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
USER = uuid5(NAMESPACE, "user")
times = st.datetimes(
    min_value=datetime(1972, 1, 1),
    max_value=datetime(2190, 1, 1),
    timezones=st.just(UTC),
)


class TestPaging:
    @given(times, st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=36))
    def test_a_cursor_reads_back_as_it_was(self, at: datetime, row_id: str) -> None:
        cursor = Cursor(at, row_id)
        if len(cursor.encode()) <= 300:
            assert Cursor.decode(cursor.encode()) == cursor

    @given(st.text(max_size=400))
    def test_any_other_text_is_refused_and_never_crashes(self, text: str) -> None:
        try:
            Cursor.decode(text)
        except CursorError:
            return
        assert Cursor.decode(text).row_id

    def test_a_time_without_zone_is_refused(self) -> None:
        with pytest.raises(CursorError):
            Cursor.decode(Cursor(NOW.replace(tzinfo=None), "1").encode())


class TestPasswords:
    @pytest.mark.parametrize(
        "password",
        [
            "short",
            "passwordpassword",
            "PasswordPassword1!",
            "aaaaaaaaaaaaaaaaaaaa",
            "x" * 300,
            "minaminamina1234567"[:14],
        ],
    )
    def test_a_weak_password_is_named_as_such(self, password: str) -> None:
        assert weakness(password, "mina")

    def test_a_login_with_something_added_is_weak(self) -> None:
        assert weakness("administrator-a1b2", "administrator-")

    def test_a_sentence_is_strong(self) -> None:
        assert weakness("a long walk by the river", "mina") is None


class TestLogins:
    def test_the_first_failure_costs_nothing(self) -> None:
        assert wait_s(Failures(pair=[NOW]), LoginLimits(), NOW) == 0

    def test_each_further_failure_doubles_the_pause(self) -> None:
        waits = [wait_s(Failures(pair=[NOW] * count), LoginLimits(), NOW) for count in (2, 3, 4)]
        assert waits == [1, 2, 4]

    def test_five_failures_shut_the_pair_until_the_window_moves_on(self) -> None:
        failures = [NOW - timedelta(minutes=minutes) for minutes in (14, 5, 4, 3, 2)]
        assert wait_s(Failures(pair=failures), LoginLimits(), NOW) == 60

    def test_failures_from_elsewhere_do_not_shut_out_the_owner(self) -> None:
        assert wait_s(Failures(account=[NOW] * 99), LoginLimits(), NOW) == 0

    def test_one_address_that_tries_many_accounts_is_stopped(self) -> None:
        assert wait_s(Failures(address=[NOW] * 50), LoginLimits(), NOW) == int(WINDOW.total_seconds())

    @given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
    def test_nobody_waits_longer_than_the_window(self, pair: int, address: int, account: int) -> None:
        failures = Failures([NOW] * min(pair, 5), [NOW] * min(address, 50), [NOW] * min(account, 100))
        assert 0 <= wait_s(failures, LoginLimits(), NOW) <= WINDOW.total_seconds()


def a_refresh(**changes: object) -> StoredRefresh:
    values: dict[str, object] = {
        "family_id": uuid5(NAMESPACE, "family"),
        "user_id": USER,
        "expires_at": NOW + timedelta(hours=1),
        "used_at": None,
        "family_expires_at": NOW + timedelta(days=1),
        "family_revoked_at": None,
        "user_is_active": True,
    }
    return StoredRefresh(**(values | changes))  # type: ignore[arg-type]


class TestRefresh:
    def test_a_fresh_token_is_rotated(self) -> None:
        assert judge_refresh(a_refresh(), NOW) is RefreshOutcome.ROTATE

    def test_a_second_use_is_reuse_even_when_expired(self) -> None:
        assert judge_refresh(a_refresh(used_at=NOW, expires_at=NOW), NOW) is RefreshOutcome.REUSED

    @pytest.mark.parametrize("change", [{"family_revoked_at": NOW}, {"user_is_active": False}])
    def test_a_revoked_family_or_user_gets_nothing(self, change: dict[str, object]) -> None:
        assert judge_refresh(a_refresh(**change), NOW) is RefreshOutcome.REVOKED

    @pytest.mark.parametrize("change", [{"expires_at": NOW}, {"family_expires_at": NOW}])
    def test_a_token_past_its_time_gets_nothing(self, change: dict[str, object]) -> None:
        assert judge_refresh(a_refresh(**change), NOW) is RefreshOutcome.EXPIRED

    def test_no_token_outlives_its_family(self) -> None:
        end = NOW + IDLE_MAX / 2
        assert refresh_expiry(end, NOW) == end


class TestAudit:
    def chain(self, count: int) -> list[tuple[int, AuditEntry, str, str]]:
        entries, previous = [], GENESIS
        for number in range(1, count + 1):
            entry = AuditEntry(NOW, "mina", "login", "mina", {"n": str(number)}, "10.0.0.9")
            entries.append((number, entry, previous, chain_hash(previous, entry)))
            previous = entries[-1][3]
        return entries

    def test_an_untouched_chain_holds(self) -> None:
        assert first_break(self.chain(5)) is None

    @given(st.integers(1, 5))
    def test_a_changed_entry_is_found(self, number: int) -> None:
        chain = self.chain(5)
        entry_id, entry, previous, stated = chain[number - 1]
        forged = AuditEntry(entry.at, "eve", entry.action, entry.subject, entry.detail, entry.address)
        chain[number - 1] = (entry_id, forged, previous, stated)
        assert first_break(chain) == number

    def test_a_missing_entry_is_found(self) -> None:
        chain = self.chain(5)
        del chain[2]
        assert first_break(chain) == 4


class TestMoney:
    def test_equity_is_cash_and_what_is_held_at_the_newest_price(self) -> None:
        held = Holding("BTC/USDT@binance", Decimal(2), Decimal(90))
        value = worth("USDT", Decimal(1000), [held], {"BTC/USDT@binance": Decimal(100)})
        assert (value.equity, value.unrealized_pnl) == (Decimal(1200), Decimal(20))

    def test_a_holding_without_a_price_leaves_equity_unknown(self) -> None:
        value = worth("USDT", Decimal(1000), [Holding("BTC/USDT@binance", Decimal(2), Decimal(90))], {})
        assert value.equity is None
        assert value.unpriced == ("BTC/USDT@binance",)

    def test_a_flat_position_needs_no_price(self) -> None:
        assert worth("USDT", Decimal(1), [Holding("BTC/USDT@binance", Decimal(0), Decimal(0))], {}).equity == 1

    def test_a_short_gains_when_the_price_falls(self) -> None:
        assert unrealized_pnl(Holding("BTC/USDT@binance", Decimal(-2), Decimal(90)), Decimal(80)) == 20


def a_beat(service: str, age_s: float = 0, **changes: object) -> Heartbeat:
    values: dict[str, object] = {
        "replica": "0",
        "version": "1",
        "ready": True,
        "at_ns": nanoseconds(NOW) - int(age_s * 1e9),
        "last_handled_ns": 0,
        "queues": {"q": 2},
        "problems": [],
    }
    return Heartbeat(service=service, **(values | changes))  # type: ignore[arg-type]


class TestHealth:
    def test_a_platform_whose_services_all_beat_is_healthy(self) -> None:
        health = health_of([a_beat(service) for service in SERVICES], NOW, COOLDOWN)
        assert health.is_healthy
        assert health.queued == 2 * len(SERVICES)

    def test_a_silent_service_is_not_healthy(self) -> None:
        beats = [a_beat(service, age_s=60 if service == "risk-gate" else 0) for service in SERVICES]
        health = health_of(beats, NOW, COOLDOWN)
        assert [each.service for each in health.services if not each.is_healthy] == ["risk-gate"]

    def test_a_replica_that_is_not_ready_makes_its_service_unhealthy(self) -> None:
        beats = [a_beat(service) for service in SERVICES] + [a_beat("notifier", replica="1", ready=False)]
        assert not health_of(beats, NOW, COOLDOWN).is_healthy

    def test_a_platform_without_the_paper_venue_can_be_healthy(self) -> None:
        assert health_of(
            [a_beat(service) for service in SERVICES if service != "paper-venue"], NOW, COOLDOWN
        ).is_healthy

    def test_every_replica_of_a_service_is_listed_with_its_newest_word(self) -> None:
        beats = [
            a_beat("order-worker", age_s=age, replica=str(one), ready=not age) for age in (4, 2, 0) for one in range(4)
        ]
        health = health_of(beats, NOW, COOLDOWN)
        workers = next(each for each in health.services if each.service == "order-worker")
        assert [(each.replica, each.ready) for each in workers.replicas] == [(str(one), True) for one in range(4)]

    def test_a_mixed_fleet_is_seen(self) -> None:
        beats = [a_beat(service, version="2" if service == "collector" else "1") for service in SERVICES]
        assert not health_of(beats, NOW, COOLDOWN).is_version_uniform


def test_a_budget_is_spent_and_comes_back_with_the_next_window() -> None:
    budget = Budget(2, window_s=1)
    assert [budget.take(at) for at in (0, 1, 2, 1_000_000_000)] == [True, True, False, True]
