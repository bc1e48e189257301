"""What is shown of heartbeats: silence grows by itself, and a voice ends it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import REGISTRY

from scheduler.adapters.watching import HeartbeatWatch
from sigmax.schemas.market import Heartbeat, nanoseconds

NOW = datetime(2026, 11, 21, 10, 0, 1, tzinfo=UTC)


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def now_ns(self) -> int:
        return nanoseconds(self.at)


class Heard:
    """Heartbeats as a list."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] | None = []

    async def recent(self, since: datetime) -> Sequence[Heartbeat] | None:
        return self.beats


def beat(service: str, replica: str, at: datetime) -> Heartbeat:
    return Heartbeat(service, replica, "0.1.0", True, nanoseconds(at), 0, {}, [])


def age_s(sender: str) -> float | None:
    return REGISTRY.get_sample_value("sigmax_scheduler_heartbeat_age_seconds", {"sender": sender})


def replicas(sender: str) -> float | None:
    return REGISTRY.get_sample_value("sigmax_scheduler_replicas", {"sender": sender})


async def test_a_service_that_falls_silent_grows_older_between_two_looks() -> None:
    clock, heard = Hands(), Heard()
    watch = HeartbeatWatch(heard, clock, ("collector", "notifier"), timedelta(seconds=15))
    heard.beats = [beat("collector", "0", NOW - timedelta(seconds=2))]

    await watch.look()
    assert age_s("collector") == 0, "it counts as heard when the watch began"
    clock.at += timedelta(seconds=20)

    assert age_s("collector") == 20
    assert age_s("notifier") == 20, "who was never heard is silent since the watch began"

    heard.beats = [beat("collector", "0", clock.at - timedelta(seconds=1))]
    await watch.look()
    assert age_s("collector") == 1


async def test_replicas_are_those_that_were_heard_lately() -> None:
    clock, heard = Hands(), Heard()
    watch = HeartbeatWatch(heard, clock, ("order-worker", "notifier"), timedelta(seconds=15))
    heard.beats = [
        beat("order-worker", "0", NOW),
        beat("order-worker", "0", NOW - timedelta(seconds=2)),
        beat("order-worker", "1", NOW - timedelta(seconds=14)),
        beat("order-worker", "2", NOW - timedelta(seconds=16)),
        beat("stranger", "0", NOW),
    ]

    await watch.look()

    assert replicas("order-worker") == 2
    assert replicas("notifier") == 0
    assert replicas("stranger") is None, "nobody can grow the metric without bound"


async def test_heartbeats_that_cannot_be_read_let_everybody_grow_older() -> None:
    clock, heard = Hands(), Heard()
    watch = HeartbeatWatch(heard, clock, ("collector",), timedelta(seconds=15))
    heard.beats = None
    clock.at += timedelta(seconds=30)

    await watch.look()

    assert age_s("collector") == 30
