from datetime import UTC, datetime

import pytest

from api_gateway.domain.books import GIVEN_UP, Finding, books_of, dead_letters
from api_gateway.domain.figures import ticks_of, ticks_per_s
from sigmax.schemas.market import TICKS_ACCEPTED, Heartbeat, nanoseconds
from sigmax.schemas.topology import REACH, SERVICES, dead_letter_queue_of

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
READERS = [service for service in SERVICES if REACH[service].consumes]


def a_beat(service: str = "collector", *, age_s: float = 0, replica: str = "0", **told: dict[str, int]) -> Heartbeat:
    """Build a heartbeat; `told` are its queues and counts."""
    at_ns = nanoseconds(NOW) - int(age_s * 1e9)
    return Heartbeat(service, replica, "1", True, at_ns, 0, told.get("queues", {}), [], told.get("counts", {}))


def ticked(count: int, age_s: float, replica: str = "0") -> Heartbeat:
    return a_beat(age_s=age_s, replica=replica, counts={TICKS_ACCEPTED: count})


class TestTicks:
    def test_the_newest_word_of_each_collector_counts(self) -> None:
        beats = [ticked(10, 4), ticked(5, 3, "1"), ticked(30, 2), a_beat("notifier")]
        assert ticks_of(beats) == {"0": 30, "1": 5}

    def test_the_rate_is_taken_over_the_last_seconds(self) -> None:
        assert ticks_per_s([ticked(0, 60), ticked(1000, 8), ticked(1100, 4), ticked(1200, 0)], NOW) == 25

    def test_a_collector_that_was_restarted_counts_on(self) -> None:
        assert ticks_per_s([ticked(1000, 8), ticked(1100, 4), ticked(100, 0)], NOW) == 25

    def test_collectors_add_up(self) -> None:
        beats = [ticked(0, 4), ticked(0, 4, "1"), ticked(40, 0), ticked(80, 0, "1")]
        assert ticks_per_s(beats, NOW) == 30

    @pytest.mark.parametrize("beats", [[], [ticked(7, 0)], [a_beat(age_s=2), a_beat()], [ticked(0, 90), ticked(9, 80)]])
    def test_without_two_recent_words_there_is_no_rate(self, beats: list[Heartbeat]) -> None:
        assert ticks_per_s(beats, NOW) == 0


def told(**depths: int) -> list[Heartbeat]:
    """Build a heartbeat of every service that reads messages; `depths` by owner."""
    queues = {service: dead_letter_queue_of(service) for service in READERS}
    return [a_beat(name, queues={queue: depths.get(queue.split(".")[0], 0)}) for name, queue in queues.items()]


class TestBooks:
    def test_empty_queues_of_all_services_are_right(self) -> None:
        assert dead_letters(told(), NOW) == Finding(GIVEN_UP, [])

    def test_a_message_that_was_given_up_is_named(self) -> None:
        assert dead_letters(told(risk_gate=2), NOW).broken_by == ["risk_gate.dead: 2"]

    @pytest.mark.parametrize("age_s", [60, None])
    def test_a_service_that_is_not_heard_of_is_no_proof(self, age_s: float | None) -> None:
        others = [beat for beat in told() if beat.service != "risk-gate"]
        silent = [] if age_s is None else [a_beat("risk-gate", age_s=age_s, queues={"risk_gate.dead": 0})]
        (broken,) = dead_letters([*silent, *others], NOW).broken_by
        assert "risk-gate" in broken

    def test_a_replica_that_has_not_looked_yet_does_not_hide_what_another_saw(self) -> None:
        beats = [*told(risk_gate=1), a_beat("risk-gate", replica="1")]
        assert dead_letters(beats, NOW).broken_by == ["risk_gate.dead: 1"]

    def test_books_are_right_when_every_invariant_holds(self) -> None:
        assert books_of([Finding("a", []), Finding("b", [])], NOW).are_right
        assert not books_of([Finding("a", []), Finding("b", ["x"])], NOW).are_right

    def test_three_of_what_breaks_an_invariant_are_told(self) -> None:
        (view,) = books_of([Finding("a", ["1", "2", "3", "4"])], NOW).findings
        assert (view.holds, view.broken_by) == (False, ["1", "2", "3"])
