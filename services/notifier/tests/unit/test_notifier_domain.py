from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.folding import Folding, KnownAlert, fold
from notifier.domain.notices import (
    Channel,
    Delivery,
    KnownStage,
    StoredAlert,
    channels_for,
    delivery_alert,
    notice_of,
    order_alert,
    stage_alert,
    visible,
)
from notifier.domain.retry import ATTEMPTS_MAX, retry_at
from sigmax.schemas.control import Alert, StageChanged
from sigmax.schemas.orders import OrderEvent
from sigmax.schemas.types import AlertLevel, OrderStatus, OrderType, Scope, Side, Stage, Submission

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=5)


def an_alert(level: AlertLevel = AlertLevel.WARNING, code: str = "feed_gap", **changes: object) -> Alert:
    fields: dict[str, object] = {
        "producer": "collector",
        "subject": "BTC/USDT@binance",
        "text": "No ticks.",
        "dedupe_key": "feed_gap:BTC",
    }
    return Alert(**Alert.first(f"{code}:{level}", NOW), level=level, code=code, **(fields | changes))


def a_known(level: AlertLevel = AlertLevel.WARNING, age: timedelta = timedelta(minutes=1)) -> KnownAlert:
    return KnownAlert(UUID(int=1), level, NOW - age)


def a_stage(to: Stage, version: int = 2, source: Stage = Stage.NORMAL, scope: Scope = Scope.GLOBAL) -> StageChanged:
    return StageChanged(
        **StageChanged.first(f"{to}:{version}", NOW),
        scope=scope,
        scope_id="global" if scope is Scope.GLOBAL else "paper",
        from_stage=source,
        to_stage=to,
        version=version,
        changed_by="ada",
        reason="maintenance",
    )


def an_order_event(status: OrderStatus, submission: Submission) -> OrderEvent:
    return OrderEvent(
        **OrderEvent.first(f"{status}:{submission}", NOW),
        client_order_id="sx1",
        sequence=1,
        signal_id=UUID(int=7),
        account_id="paper",
        venue="paper",
        strategy_id="ema",
        instrument_id="BTC/USDT@binance",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity="1",
        status=status,
        submission=submission,
        filled_quantity="0",
        leaves_quantity="0",
        reason="filter LOT_SIZE",
    )


def a_stored(code: str = "feed_gap", **changes: object) -> StoredAlert:
    fields: dict[str, object] = {
        "alert_id": UUID(int=3),
        "producer": "collector",
        "level": AlertLevel.DANGER,
        "code": code,
        "subject": "BTC/USDT@binance",
        "text": "No ticks.",
        "values": {"seconds": "31"},
        "occurrences": 1,
        "first_at": NOW,
        "last_at": NOW,
    }
    return StoredAlert(**(fields | changes))  # type: ignore[arg-type]


def test_the_first_alert_of_a_key_is_news() -> None:
    assert fold(an_alert(), None, WINDOW, NOW) is Folding.NEW


def test_the_same_key_within_the_window_is_a_repeat() -> None:
    assert fold(an_alert(), a_known(), WINDOW, NOW) is Folding.REPEAT


def test_a_fault_that_lasts_is_news_again_after_the_window() -> None:
    assert fold(an_alert(), a_known(age=WINDOW), WINDOW, NOW) is Folding.NEW


def test_a_more_urgent_alert_passes_through_the_window() -> None:
    assert fold(an_alert(AlertLevel.DANGER), a_known(), WINDOW, NOW) is Folding.ESCALATE


def test_a_less_urgent_alert_is_a_repeat() -> None:
    assert fold(an_alert(AlertLevel.INFO), a_known(AlertLevel.CRITICAL), WINDOW, NOW) is Folding.REPEAT


def test_a_window_of_zero_folds_nothing() -> None:
    assert fold(an_alert(), a_known(age=timedelta(0)), timedelta(0), NOW) is Folding.NEW


@pytest.mark.parametrize(
    ("stage", "level"),
    [
        (Stage.CAUTION, AlertLevel.WARNING),
        (Stage.REDUCING, AlertLevel.DANGER),
        (Stage.HALTED, AlertLevel.CRITICAL),
        (Stage.LOCKED, AlertLevel.CRITICAL),
    ],
)
def test_a_stricter_stage_is_a_more_urgent_alert(stage: Stage, level: AlertLevel) -> None:
    alert = stage_alert(a_stage(stage), None, NOW)
    assert alert is not None
    assert alert.level is level
    assert "ada" in alert.text


def test_a_stage_told_again_is_no_news() -> None:
    assert stage_alert(a_stage(Stage.HALTED), KnownStage(Stage.HALTED, 2), NOW) is None


def test_a_stage_that_was_always_normal_is_no_news() -> None:
    assert stage_alert(a_stage(Stage.NORMAL, version=1), None, NOW) is None


def test_a_return_to_normal_is_info() -> None:
    alert = stage_alert(a_stage(Stage.NORMAL, version=3), KnownStage(Stage.HALTED, 2), NOW)
    assert alert is not None
    assert alert.level is AlertLevel.INFO


def test_a_stage_older_than_what_is_known_is_no_news() -> None:
    assert stage_alert(a_stage(Stage.HALTED, version=2), KnownStage(Stage.NORMAL, 3), NOW) is None


def test_two_halts_within_minutes_are_two_alerts() -> None:
    first = stage_alert(a_stage(Stage.HALTED, version=2), None, NOW)
    second = stage_alert(a_stage(Stage.HALTED, version=4), KnownStage(Stage.NORMAL, 3), NOW)
    assert first is not None
    assert second is not None
    assert first.dedupe_key != second.dedupe_key


def test_the_scope_of_a_stage_is_named() -> None:
    alert = stage_alert(a_stage(Stage.HALTED, scope=Scope.ACCOUNT), None, NOW)
    assert alert is not None
    assert alert.subject == "account paper"


def test_a_rejected_order_is_a_warning_with_the_venues_reason() -> None:
    alert = order_alert(an_order_event(OrderStatus.REJECTED, Submission.REFUSED), NOW)
    assert alert is not None
    assert (alert.level, alert.code) == (AlertLevel.WARNING, "order_rejected")
    assert "LOT_SIZE" in alert.text


def test_an_order_of_unknown_fate_is_a_warning_until_order_worker_says_that_it_stays_so() -> None:
    alert = order_alert(an_order_event(OrderStatus.PENDING_NEW, Submission.UNKNOWN), NOW)
    assert alert is not None
    assert (alert.level, alert.code) == (AlertLevel.WARNING, "order_unknown")


@pytest.mark.parametrize("status", [OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED])
def test_everyday_order_events_are_no_alerts(status: OrderStatus) -> None:
    assert order_alert(an_order_event(status, Submission.ACKED), NOW) is None


def test_a_channel_brings_only_what_is_urgent_enough() -> None:
    channels = [Channel("log"), Channel("pager", AlertLevel.DANGER)]
    assert [c.name for c in channels_for(an_alert(AlertLevel.WARNING), channels)] == ["log"]
    assert [c.name for c in channels_for(an_alert(AlertLevel.CRITICAL), channels)] == ["log", "pager"]


def test_a_failing_channel_is_reported_on_the_others() -> None:
    alert = delivery_alert(Delivery(1, "json-abc", 8, a_stored()), NOW)
    assert alert is not None
    assert [c.name for c in channels_for(alert, [Channel("log"), Channel("json-abc")])] == ["log"]


def test_two_dead_channels_do_not_report_each_other_for_ever() -> None:
    assert delivery_alert(Delivery(1, "json-abc", 8, a_stored(code="delivery_failed")), NOW) is None


def test_a_notice_shows_level_subject_text_values_and_count() -> None:
    notice = notice_of(a_stored(occurrences=4))
    assert notice.title == "[DANGER] BTC/USDT@binance: feed_gap"
    assert "No ticks." in notice.body
    assert "seconds: 31" in notice.body
    assert "4 times" in notice.body


def test_a_notice_is_bounded_however_long_the_text() -> None:
    notice = notice_of(a_stored(text="x" * 100_000, subject="y" * 5000))
    assert len(notice.body) <= 3500
    assert len(notice.title) <= 200


@given(st.text())
def test_nothing_invisible_is_left_in_a_text(text: str) -> None:
    cleaned = visible(text)
    assert len(cleaned) == len(text)
    assert not set(cleaned) & {"\x00", "\n", "\u202e", "\u200b", "\u2066", "\ufeff"}


def test_tries_wait_longer_each_time_and_end() -> None:
    waits = [retry_at(attempt, NOW) for attempt in range(1, ATTEMPTS_MAX)]
    assert waits == sorted(waits, key=lambda at: at or NOW)
    assert waits[0] == NOW + timedelta(seconds=1)
    assert all(at is not None and at - NOW <= timedelta(minutes=10) for at in waits)
    assert retry_at(ATTEMPTS_MAX, NOW) is None
