from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from scheduler.domain.health import Assessment, HealthLimits, Memory, assess
from sigmax.schemas.market import Heartbeat, nanoseconds
from sigmax.schemas.types import AlertLevel

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
LIMITS = HealthLimits()
EXPECTED = ("risk-gate", "order-worker")


def a_beat(
    service: str = "risk-gate",
    *,
    age_s: float = 1,
    replica: str = "0",
    ready: bool = True,
    queues: dict[str, int] | None = None,
    now: datetime = NOW,
) -> Heartbeat:
    return Heartbeat(
        service=service,
        replica=replica,
        version="0.1.0",
        ready=ready,
        at_ns=nanoseconds(now - timedelta(seconds=age_s)),
        last_handled_ns=0,
        queues=queues or {},
        problems=[] if ready else ["postgres: no connection"],
    )


def both(**changes: object) -> list[Heartbeat]:
    return [a_beat("risk-gate", **changes), a_beat("order-worker", **changes)]  # type: ignore[arg-type]


def check(
    beats: Sequence[Heartbeat] | None,
    memory: Memory | None = None,
    *,
    now: datetime = NOW,
    since: datetime = LONG_AGO,
    limits: HealthLimits = LIMITS,
) -> Assessment:
    return assess(beats, EXPECTED, memory or Memory(), limits, watching_since=since, now=now)


def codes(assessment: Assessment) -> list[tuple[str, str]]:
    return [(news.problem.code, news.problem.subject) for news in assessment.news]


def test_all_well_is_no_news() -> None:
    assert check(both()).news == ()


def test_a_service_not_heard_for_over_15_s_is_missing() -> None:
    result = check([a_beat("risk-gate", age_s=15), a_beat("order-worker", age_s=16)])

    assert codes(result) == [("heartbeat_missing", "order-worker")]
    assert result.news[0].problem.level is AlertLevel.DANGER
    assert "16 s" in result.news[0].problem.text


def test_a_service_never_heard_is_missing() -> None:
    assert codes(check([a_beat("risk-gate")])) == [("heartbeat_missing", "order-worker")]


def test_one_living_replica_is_enough() -> None:
    beats = [*both(), a_beat("risk-gate", replica="1", age_s=50)]
    assert check(beats).news == ()


def test_nobody_is_missed_while_the_watcher_itself_has_just_started() -> None:
    assert check([], since=NOW - timedelta(seconds=44)).news == ()
    assert len(check([], since=NOW - timedelta(seconds=46)).news) == 2


def test_a_heartbeat_from_a_clock_that_is_ahead_counts_as_fresh() -> None:
    assert check(both(age_s=-3)).news == ()


def test_a_problem_is_told_once_then_at_the_reminder() -> None:
    beats = [a_beat("risk-gate", now=NOW + timedelta(minutes=5))]
    first = check([a_beat("risk-gate")])
    quiet = check([a_beat("risk-gate", now=NOW + timedelta(seconds=30))], first.memory, now=NOW + timedelta(seconds=30))
    again = check(beats, quiet.memory, now=NOW + timedelta(minutes=5))

    assert len(first.news) == 1
    assert quiet.news == ()
    assert codes(again) == [("heartbeat_missing", "order-worker")]
    assert again.news[0].since == NOW


def test_a_problem_that_is_over_is_told() -> None:
    later = NOW + timedelta(seconds=30)
    ill = check([a_beat("risk-gate")])
    well = check(both(now=later), ill.memory, now=later)

    assert [(news.problem.subject, news.is_over) for news in well.news] == [("order-worker", True)]
    assert well.memory.open == ()


def test_three_unready_beats_in_a_row_are_a_warning() -> None:
    beats = [*both(age_s=7), *(a_beat("risk-gate", age_s=age, ready=False) for age in (1, 3, 5))]
    result = check(beats)

    assert codes(result) == [("service_not_ready", "risk-gate/0")]
    assert result.news[0].problem.level is AlertLevel.WARNING
    assert "no connection" in result.news[0].problem.text


def test_a_start_with_one_unready_beat_is_no_news() -> None:
    assert check([*both(age_s=5), a_beat("risk-gate", age_s=1, ready=False)]).news == ()


def test_a_queue_over_the_limit_is_danger_at_once() -> None:
    result = check([*both(), a_beat("risk-gate", age_s=0, queues={"risk_gate.signal.v1": 1001})])

    assert codes(result) == [("queue_growing", "risk_gate.signal.v1")]
    assert result.news[0].problem.level is AlertLevel.DANGER


def depths_over_checks(*depths: int) -> Assessment:
    memory = Memory()
    for depth in depths:
        result = check([*both(age_s=2), a_beat("risk-gate", queues={"risk_gate.signal.v1": depth})], memory)
        memory = result.memory
    return result


def test_a_queue_growing_at_three_checks_in_a_row_is_a_warning() -> None:
    assert codes(depths_over_checks(10, 50, 90, 120)) == [("queue_growing", "risk_gate.signal.v1")]


def test_two_growths_or_a_small_queue_or_a_pause_are_no_news() -> None:
    assert depths_over_checks(50, 90, 120).news == ()
    assert depths_over_checks(1, 2, 3, 4).news == ()
    assert depths_over_checks(100, 200, 200, 300).news == ()


def test_a_queue_that_grows_past_the_limit_is_told_again_as_danger() -> None:
    assert [news.problem.level for news in depths_over_checks(10, 50, 90, 120, 1500).news] == [AlertLevel.DANGER]


def test_dead_letters_are_danger() -> None:
    result = check([*both(age_s=2), a_beat("risk-gate", queues={"risk_gate.dead": 1})])
    assert codes(result) == [("dead_letters", "risk_gate.dead")]


def test_replicas_that_report_one_queue_are_not_summed() -> None:
    beats = [*both(), *(a_beat("risk-gate", age_s=0, replica=str(i), queues={"risk_gate.x.v1": 600}) for i in range(3))]
    assert check(beats).news == ()


def test_streams_of_one_name_are_told_apart_by_their_reader() -> None:
    beats = [a_beat("risk-gate", queues={"md.ticks": 1}), a_beat("order-worker", queues={"md.ticks": 2})]
    assert set(check(beats).memory.depths) == {"risk-gate:md.ticks", "order-worker:md.ticks"}


def test_unreadable_heartbeats_are_a_problem_and_end_no_other() -> None:
    ill = check([a_beat("risk-gate")])
    blind = check(None, ill.memory)

    assert codes(blind) == [("heartbeats_unreadable", "scheduler")]
    assert {known.problem.code for known in blind.memory.open} == {"heartbeat_missing", "heartbeats_unreadable"}


def test_sight_that_returns_is_told() -> None:
    blind = check(None)
    result = check(both(), blind.memory)
    assert [(news.problem.code, news.is_over) for news in result.news] == [("heartbeats_unreadable", True)]
