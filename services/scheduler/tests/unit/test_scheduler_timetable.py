from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.timetable import Job, ScheduleError, latest_slot, plan

NOW = datetime(2026, 11, 21, 10, 0, 10, tzinfo=UTC)


def a_job(name: str = "report", schedule: str = "every 30", **changes: object) -> Job:
    fields: dict[str, object] = {
        "name": name,
        "schedule": schedule,
        "timezone": "UTC",
        "active_from": NOW - timedelta(days=30),
        "last_due_at": None,
    }
    return Job(**(fields | changes))  # type: ignore[arg-type]


def test_slots_of_an_interval_are_counted_from_1970() -> None:
    assert latest_slot("every 30", "UTC", NOW) == datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


def test_a_slot_that_is_exactly_now_is_due() -> None:
    at = datetime(2026, 11, 21, 10, 5, tzinfo=UTC)
    assert latest_slot("*/5 * * * *", "UTC", at) == at
    assert latest_slot("*/5 * * * *", "UTC", at - timedelta(microseconds=1)) == at - timedelta(minutes=5)


def test_a_cron_line_is_read_in_the_jobs_time_zone() -> None:
    assert latest_slot("30 15 * * *", "Asia/Seoul", NOW) == datetime(2026, 11, 21, 6, 30, tzinfo=UTC)


def test_a_cron_line_with_six_fields_has_seconds_first() -> None:
    assert latest_slot("5 0 10 * * *", "UTC", NOW) == datetime(2026, 11, 21, 10, 0, 5, tzinfo=UTC)


def test_weekday_1_is_monday() -> None:
    slot = latest_slot("0 0 * * 1", "UTC", NOW)
    assert slot is not None
    assert slot.strftime("%A") == "Monday"


def test_a_time_that_the_clock_jumps_over_runs_once_that_day() -> None:
    # On 2026-03-29 Berlin's clocks go from 02:00 to 03:00.
    slot = latest_slot("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 29, 12, 0, tzinfo=UTC))
    assert slot == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "timezone"),
    [
        ("every 0", "UTC"),
        ("every -5", "UTC"),
        ("every", "UTC"),
        ("", "UTC"),
        ("* * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("every 1e9", "UTC"),
        ("0 3 * * *", "Mars/Olympus"),
        ("0 3 * * *", "../../etc/passwd"),
        ("0 3 * * *", ""),
    ],
)
def test_a_schedule_nobody_can_read_is_refused(schedule: str, timezone: str) -> None:
    with pytest.raises(ScheduleError):
        latest_slot(schedule, timezone, NOW)


def test_a_slot_that_was_taken_is_not_due_again() -> None:
    job = a_job(last_due_at=datetime(2026, 11, 21, 10, 0, tzinfo=UTC))
    assert plan([job], NOW).slots == ()


def test_a_clock_that_is_behind_takes_no_older_slot() -> None:
    job = a_job(last_due_at=datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC))
    assert plan([job], NOW).slots == ()


def test_after_a_pause_only_the_latest_missed_slot_is_made_up_for() -> None:
    job = a_job(last_due_at=NOW - timedelta(hours=5))
    assert [slot.due_at for slot in plan([job], NOW).slots] == [datetime(2026, 11, 21, 10, 0, tzinfo=UTC)]


def test_a_new_job_does_not_run_the_slot_before_it_was_made() -> None:
    job = a_job(schedule="0 3 * * *", active_from=NOW - timedelta(minutes=1))
    assert plan([job], NOW).slots == ()


def test_one_bad_schedule_keeps_no_other_job_from_running() -> None:
    planned = plan([a_job("bad", schedule="whenever"), a_job("good")], NOW)

    assert [slot.job for slot in planned.slots] == ["good"]
    assert [refusal.job for refusal in planned.refusals] == ["bad"]
    assert "cron" in planned.refusals[0].reason


@given(
    seconds=st.integers(1, 100_000),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_an_interval_slot_is_never_in_the_future_and_less_than_one_interval_old(seconds: int, at: datetime) -> None:
    slot = latest_slot(f"every {seconds}", "UTC", at)
    assert slot is not None
    assert timedelta(0) <= at - slot < timedelta(seconds=seconds)


@given(
    at=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    schedule=st.sampled_from(["*/7 * * * *", "17 3 * * *", "0 0 1 * *", "30 2 * * 0", "*/20 * * * * *"]),
    zone=st.sampled_from(["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York"]),
)
def test_later_never_gives_an_earlier_slot(at: datetime, schedule: str, zone: str) -> None:
    first = latest_slot(schedule, zone, at)
    second = latest_slot(schedule, zone, at + timedelta(minutes=13))
    assert first is not None
    assert second is not None
    assert first <= at
    assert first <= second <= at + timedelta(minutes=13)
