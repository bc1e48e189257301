"""The rules every message follows."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from sigmax.schemas.control import Alert, JobDue, JobFinished
from sigmax.schemas.market import (
    TICKS_ACCEPTED,
    Heartbeat,
    base_of,
    moment,
    nanoseconds,
    quote_of,
    shard_of,
    symbol_of,
)

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def a_job_due(key: str = "health_check:1") -> JobDue:
    return JobDue(**JobDue.first(key, NOW), job="health_check", due_at=NOW)


@given(key=st.text(min_size=1, max_size=80))
def test_the_same_event_always_makes_the_same_message(key: str) -> None:
    assert a_job_due(key) == a_job_due(key)


@given(one=st.text(max_size=40), other=st.text(max_size=40))
def test_two_events_never_share_a_message_id(one: str, other: str) -> None:
    assert (a_job_due(one).message_id == a_job_due(other).message_id) == (one == other)


def test_a_caused_message_names_its_cause_and_stays_in_its_chain() -> None:
    cause = a_job_due()

    effect = JobFinished(**JobFinished.after(cause, NOW), producer="scheduler", job="x", due_at=NOW, succeeded=True)

    assert effect.causation_id == cause.message_id
    assert effect.correlation_id == cause.correlation_id
    assert effect.message_id != cause.message_id


def test_parts_of_one_effect_have_ids_of_their_own() -> None:
    cause = a_job_due()

    assert JobDue.after(cause, NOW, part="1")["message_id"] != JobDue.after(cause, NOW, part="2")["message_id"]


def test_the_owner_of_the_topic_is_the_producer_unless_every_service_publishes_it() -> None:
    alert = Alert(
        **Alert.first("k", NOW), producer="notifier", level="info", code="c", subject="s", text="t", dedupe_key="k"
    )

    assert a_job_due().producer == "scheduler"
    assert alert.topic == "notifier.alert.v1"


@given(
    moment_=st.datetimes(
        min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(timezone(timedelta(hours=9)))
    )
)
def test_times_are_kept_in_utc_and_survive_the_wire(moment_: datetime) -> None:
    message = JobDue(**JobDue.first("k", moment_), job="j", due_at=moment_)

    again = JobDue.decode(message.encode())

    assert again == message
    assert again.due_at.utcoffset() == timedelta(0)


@given(moment_=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_nanoseconds_lose_nothing_of_a_time(moment_: datetime) -> None:
    assert moment(nanoseconds(moment_)) == moment_


def test_an_instrument_keeps_its_shard_for_ever() -> None:
    assert [shard_of(name) for name in ("BTC/USDT@binance", "ETH/USDT@binance", "ES/USD@replay")] == [2, 2, 3]


def test_an_instrument_id_names_its_symbol_base_and_quote() -> None:
    assert (symbol_of("BTC/USDT@binance"), base_of("BTC/USDT@binance"), quote_of("BTC/USDT@binance")) == (
        "BTC/USDT",
        "BTC",
        "USDT",
    )


def test_a_derived_id_is_pinned_because_changing_it_would_make_every_redelivery_look_new() -> None:
    assert a_job_due().message_id == UUID("8470be10-8ec8-524c-9487-c8d2652e2ec5")


def test_a_heartbeat_that_counts_nothing_is_what_it_was_before_it_could_count() -> None:
    beat = Heartbeat("collector", "0", "0.1.0", True, 1, 0, {}, [])

    assert b"counts" not in beat.encode()
    assert Heartbeat.decode(beat.encode()) == beat


def test_a_heartbeat_carries_what_was_counted() -> None:
    beat = Heartbeat("collector", "0", "0.1.0", True, 1, 0, {}, [], {TICKS_ACCEPTED: 7})

    assert Heartbeat.decode(beat.encode()).counts == {TICKS_ACCEPTED: 7}
