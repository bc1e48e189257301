"""What traces promise: one per chain, whole or not at all, and nothing in them that is long or secret."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID, uuid5

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from sigmax.runtime import tracing
from sigmax.runtime.span_provider import QuietExporter, make_provider
from sigmax.runtime.tracing import began, failed, followed, handling, is_recorded, posted, show, working
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.control import JobDue

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def a_message(key: str = "k", chain: UUID | None = None) -> JobDue:
    return JobDue(**JobDue.first(key, NOW, chain), job="j", due_at=NOW)


def carried(message: JobDue) -> dict[str, object]:
    return {"traceparent": posted(message)[0]}


class Recorded:
    """The spans of a test, by name."""

    def __init__(self, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
        self._provider, self._exporter = provider, exporter

    def __getitem__(self, name: str) -> ReadableSpan:
        (found,) = (span for span in self.all() if span.name == name)
        return found

    def all(self) -> Sequence[ReadableSpan]:
        self._provider.force_flush()
        return self._exporter.get_finished_spans()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    exporter = InMemorySpanExporter()
    provider = make_provider(exporter, "risk-gate", "1")
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("sigmax"))
    monkeypatch.setattr(tracing, "_bound", 1 << 56)
    yield Recorded(provider, exporter)
    provider.shutdown()


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert child.context
    assert parent.context
    assert child.context.trace_id == parent.context.trace_id
    return child.parent is not None and child.parent.span_id == parent.context.span_id


def test_a_message_without_a_span_carries_a_trace_named_by_its_chain() -> None:
    message = a_message()

    version, trace_id, span_id, flags = posted(message)[0].split("-")

    assert UUID(trace_id) == message.correlation_id
    assert (version, flags) == ("00", "00")
    assert span_id == message.message_id.hex[:16]


def test_what_a_handler_publishes_stays_in_the_received_trace() -> None:
    cause = a_message()
    effect = JobDue(**JobDue.after(cause, NOW), job="j", due_at=NOW)

    with handling(cause, carried(cause)):
        assert posted(effect)[0] == posted(cause)[0]


@pytest.mark.parametrize("garbage", ["", "nonsense", "00-zz-zz-00", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_broken_trace_header_is_no_reason_to_lose_a_message(garbage: str) -> None:
    cause = a_message()

    with handling(cause, {"traceparent": garbage}):
        assert posted(cause)[0].split("-")[1] == cause.correlation_id.hex


def test_the_trace_of_another_chain_is_not_taken_from_a_header(recorded: Recorded) -> None:
    message = a_message()

    with handling(message, carried(a_message("other"))):
        pass

    context = recorded["on job_due"].context
    assert context
    assert context.trace_id == message.correlation_id.int


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.5])
def test_the_part_of_chains_that_is_recorded_is_the_one_asked_for(
    ratio: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_bound", round(ratio * (1 << 56)))
    chains = [uuid5(NAMESPACE, f"chain {number}") for number in range(20_000)]

    assert sum(map(is_recorded, chains)) / len(chains) == pytest.approx(ratio, rel=0.25)


def test_a_chain_that_is_not_recorded_makes_no_span(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_bound", 0)
    message = a_message()

    with handling(message, carried(message)), working("decide", message) as span:
        show(span, verdict="approved")
        posted(JobDue(**JobDue.after(message, NOW), job="j", due_at=NOW))[1].end()
    began("market event", message.correlation_id, 1, 2)
    followed("evaluate", message.correlation_id, 1, 2)

    assert not recorded.all()


def test_whoever_sent_a_message_decides_whether_its_chain_is_recorded(recorded: Recorded) -> None:
    message = a_message()
    unrecorded = posted(message)[0].removesuffix("01") + "00"

    with handling(message, {"traceparent": unrecorded}):
        assert posted(JobDue(**JobDue.after(message, NOW), job="j", due_at=NOW))[0] == unrecorded

    assert not recorded.all()


def test_each_span_of_a_chain_hangs_on_the_one_that_led_to_it(recorded: Recorded) -> None:
    chain = uuid5(NAMESPACE, "a bar")
    wish = a_message("wish", chain)
    began("market event", chain, 1_000, 9_000, instrument_id="BTC/USDT@replay")
    followed("evaluate", chain, 2_000, 3_000)
    traceparent, on_its_way = posted(wish)
    with handling(wish, {"traceparent": traceparent}), working("decide", wish) as span:
        show(span, verdict="approved")
    on_its_way.end()

    assert recorded["market event"].parent is None
    assert is_child(recorded["evaluate"], recorded["market event"])
    assert is_child(recorded["publish job_due"], recorded["market event"])
    assert is_child(recorded["on job_due"], recorded["publish job_due"])
    assert is_child(recorded["decide"], recorded["on job_due"])
    assert recorded["decide"].attributes == {"sigmax.verdict": "approved"}
    assert {span.context.trace_id for span in recorded.all() if span.context} == {chain.int}


def test_a_message_that_begins_its_chain_is_the_root(recorded: Recorded) -> None:
    posted(a_message())[1].end()

    assert recorded["publish job_due"].parent is None


def test_work_outside_of_a_handler_hangs_on_the_message_that_asked_for_it(recorded: Recorded) -> None:
    order, other = a_message("order"), a_message("other")
    posted(order)[1].end()
    with handling(other, carried(other)), working("submit", order):
        pass

    assert is_child(recorded["submit"], recorded["publish job_due"])


def test_an_error_is_told_by_its_name_and_not_by_its_text(recorded: Recorded) -> None:
    message = a_message()

    with pytest.raises(ValueError, match="hunter2"), handling(message, carried(message)):
        raise ValueError("the password hunter2 is wrong")

    span = recorded["on job_due"]
    assert not span.status.is_ok
    assert span.status.description == "ValueError"
    assert "hunter2" not in span.to_json()


def test_a_failed_send_shows(recorded: Recorded) -> None:
    _, span = posted(a_message())
    failed(span, "TimeoutError")
    span.end()

    assert not recorded["publish job_due"].status.is_ok


def test_attributes_are_cut(recorded: Recorded) -> None:
    message = a_message()
    with handling(message, carried(message)), working("w", message) as span:
        show(span, reason="x" * 5000)

    assert recorded["w"].attributes == {"sigmax.reason": "x" * 200}


def test_what_a_library_begins_by_itself_is_not_recorded(recorded: Recorded) -> None:
    with tracing._tracer.start_as_current_span("a poll"):
        pass

    assert not recorded.all()


@pytest.mark.parametrize(("endpoint", "ratio"), [(None, 1.0), ("", 1.0), ("http://127.0.0.1:9", 0.0)])
def test_nothing_is_set_up_without_an_endpoint_or_a_part(endpoint: str | None, ratio: float) -> None:
    assert tracing.configure("risk-gate", "1", endpoint, ratio) is None


class Flaky(SpanExporter):
    def __init__(self) -> None:
        self.result = SpanExportResult.FAILURE
        self.calls = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls += 1
        return self.result


def test_an_endpoint_that_is_away_is_told_of_once_and_its_return_too() -> None:
    exporter, inner = QuietExporter("http://127.0.0.1:9"), Flaky()
    exporter._exporter = inner  # type: ignore[assignment]
    spans = [SimpleNamespace()] * 3

    with capture_logs() as logs:
        for _ in range(5):
            exporter.export(spans)  # type: ignore[arg-type]
        inner.result = SpanExportResult.SUCCESS
        exporter.export(spans)  # type: ignore[arg-type]

    assert [line["event"] for line in logs] == ["traces_not_delivered", "traces_delivered_again"]
    assert logs[1]["dropped"] == 15


async def test_a_process_that_ends_does_not_wait_for_an_endpoint_that_is_away() -> None:
    exporter = QuietExporter("http://127.0.0.1:9")  # nobody listens on the discard port
    provider = make_provider(exporter, "risk-gate", "1")
    tracer = provider.get_tracer("sigmax")
    for number in range(2000):
        with tracer.start_as_current_span(f"span {number}", trace.set_span_in_context(_sampled_parent())):
            pass
    started = time.monotonic()

    await tracing.Tracing(provider, exporter).close()

    assert time.monotonic() - started < 8


def _sampled_parent() -> trace.Span:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    return trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=flags))
