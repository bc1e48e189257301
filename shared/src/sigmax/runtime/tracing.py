"""The W3C trace context of a chain, carried on every hop.

The trace id is the chain's correlation id. A chain therefore has the same id in logs, messages, tables, and traces,
also where no spans are recorded; and the choice to record one is made once, from that id, and is the same everywhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sigmax.schemas.base import Message

_PROPAGATOR = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("sigmax")
_sampler = TraceIdRatioBased(0.0)


def configure(service: str, version: str, endpoint: str | None, ratio: float) -> TracerProvider | None:
    """Record the given part of all chains and send it to an OTLP endpoint; with no endpoint, record none."""
    global _sampler
    if endpoint is None:
        return None
    _sampler = TraceIdRatioBased(ratio)
    resource = Resource.create({"service.name": service, "service.version": version})
    provider = TracerProvider(resource=resource, sampler=ParentBased(_sampler))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    return provider


def headers_for(message: Message) -> dict[str, str]:
    """Give the headers that carry the current span, or where there is none, one that names the message itself."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid and current.trace_id == message.correlation_id.int:
        return {"traceparent": _traceparent(current)}
    return {"traceparent": _traceparent(_own_context(message))}


@contextmanager
def handling(message: Message, headers: Mapping[str, object]) -> Iterator[None]:
    """Work under the trace of a received message; a span is made only when its chain is recorded."""
    traceparent = headers.get("traceparent")
    context = _PROPAGATOR.extract({"traceparent": str(traceparent)}) if traceparent else None
    remote = trace.get_current_span(context).get_span_context() if context else _own_context(message)
    if not remote.is_valid:
        remote = _own_context(message)
    parent = trace.set_span_in_context(NonRecordingSpan(remote))
    if not remote.trace_flags.sampled:
        with trace.use_span(NonRecordingSpan(remote)):
            yield
        return
    with _tracer.start_as_current_span(f"on {message.topic}", parent, kind=SpanKind.CONSUMER):
        yield


def _own_context(message: Message) -> SpanContext:
    trace_id = message.correlation_id.int
    is_sampled = (trace_id & TraceIdRatioBased.TRACE_ID_LIMIT) < _sampler.bound
    flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
    return SpanContext(trace_id, message.message_id.int >> 64, is_remote=True, trace_flags=flags)


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
