"""One trace from tick to fill: the spans of a chain, and the W3C trace context that every hop carries.

The trace id is the chain's correlation id, and a message's span is named by the message's id. A chain therefore has the
same id in logs, messages, tables, and traces, also where no spans are recorded; the choice to record one is made from
that id, the same everywhere; and who works on an order long after its handler has ended still knows what asked for it.

A trace looks like this: the event that began the chain; under it what was published; under each message, whoever
handled it; under that, the work and what it published in turn. A chain that is not recorded costs no span.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sigmax.runtime.span_provider import QuietExporter, make_provider, own_ids
from sigmax.schemas.base import Message

_PROPAGATOR = TraceContextTextMapPropagator()
_ID_BITS = 64
_RANDOM_BITS = 56
"""The end of an id that derives by hash is as good as random; before it stand the UUID's variant bits."""
_TOLD = (
    "account_id",
    "strategy_id",
    "instrument_id",
    "client_order_id",
    "execution_id",
    "action",
    "verdict",
    "code",
    "status",
    "submission",
)
"""The fields of a message that its spans show: names and codes. No text, no snapshot, no signature."""

_tracer = trace.get_tracer("sigmax")
_bound = 0


class Tracing:
    """Records and sends the spans of this process, until it is closed."""

    def __init__(self, provider: TracerProvider, exporter: QuietExporter) -> None:
        self._provider = provider
        self._exporter = exporter

    async def close(self) -> None:
        """Send what is left; an endpoint that does not answer is waited for a few seconds."""
        self._exporter.close()
        await asyncio.to_thread(self._provider.shutdown)


def configure(service: str, version: str, endpoint: str | None, ratio: float) -> Tracing | None:
    """Record the given part of all chains and send it to an OTLP endpoint; without an endpoint or a part, none."""
    if not endpoint or not ratio:
        return None
    exporter = QuietExporter(endpoint)
    provider = make_provider(exporter, service, version)
    record(provider, ratio)
    return Tracing(provider, exporter)


def record(provider: TracerProvider, ratio: float) -> None:
    """Have a provider record the given part of all chains."""
    global _bound
    _bound = round(ratio * (1 << _RANDOM_BITS))
    trace.set_tracer_provider(provider)


def is_recorded(correlation_id: UUID) -> bool:
    """Say whether a chain is among those that are recorded."""
    return (correlation_id.int & ((1 << _RANDOM_BITS) - 1)) < _bound


def posted(message: Message) -> tuple[str, Span]:
    """Give the traceparent that a message carries, and the span of its way to the broker, which its sender ends."""
    current = trace.get_current_span()
    context = current.get_span_context()
    is_of_chain = context.trace_id == message.correlation_id.int
    if not (current.is_recording() if is_of_chain else is_recorded(message.correlation_id)):
        return _traceparent(context if is_of_chain else _context_of(message)), INVALID_SPAN
    parent = context if is_of_chain else _root_of(message)
    own = (message.correlation_id.int, _span_id(message.message_id))
    span = _start(f"publish {_kind(message)}", parent, SpanKind.PRODUCER, _attributes_of(message), own=own)
    return _traceparent(span.get_span_context()), span


@contextmanager
def handling(message: Message, headers: Mapping[str, object]) -> Iterator[None]:
    """Work under the trace of a received message; a span is made only when its chain is recorded."""
    received = _received(headers)
    if received.trace_id != message.correlation_id.int:
        received = _context_of(message)
    if not received.trace_flags.sampled:
        with trace.use_span(NonRecordingSpan(received)):
            yield
        return
    with _inside(_start(f"on {_kind(message)}", received, SpanKind.CONSUMER, _attributes_of(message))):
        yield


@contextmanager
def working(name: str, cause: Message, kind: SpanKind = SpanKind.INTERNAL, **shown: str | int) -> Iterator[Span]:
    """Show a piece of work: under the current span, or where that is of no or another chain, under `cause`.

    `cause` is a message that was published. The span is given to say more of it, recorded or not.
    """
    current = trace.get_current_span()
    context = current.get_span_context()
    is_of_chain = context.trace_id == cause.correlation_id.int
    if not (current.is_recording() if is_of_chain else is_recorded(cause.correlation_id)):
        yield INVALID_SPAN
        return
    with _inside(_start(name, context if is_of_chain else _context_of(cause), kind, _named(shown))) as span:
        yield span


def began(name: str, chain: UUID, start_ns: int, end_ns: int, **shown: str | int) -> None:
    """Show the event that began a chain, now that it is known to have led to something."""
    if is_recorded(chain):
        own = (chain.int, _span_id(chain))
        _start(name, None, SpanKind.INTERNAL, _named(shown), own=own, start_ns=start_ns).end(end_ns)


def followed(name: str, chain: UUID, start_ns: int, end_ns: int, **shown: str | int) -> None:
    """Show what was done with the event that began a chain, before there was a message."""
    if is_recorded(chain):
        _start(name, _sampled(chain, chain), SpanKind.INTERNAL, _named(shown), start_ns=start_ns).end(end_ns)


def show(span: Span, **shown: str | int) -> None:
    """Say more of a span: names, codes, and counts, nothing that may be long or secret."""
    if span.is_recording():
        span.set_attributes(_named(shown))


def failed(span: Span, why: str) -> None:
    """Mark a span as failed; `why` is a code or the name of an error: their texts may quote secrets."""
    if span.is_recording():
        span.set_status(StatusCode.ERROR, why)
        span.set_attribute("error.type", why)


@contextmanager
def _inside(span: Span) -> Iterator[Span]:
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except Exception as error:
            failed(span, type(error).__name__)
            raise


def _start(
    name: str,
    parent: SpanContext | None,
    kind: SpanKind,
    attributes: Mapping[str, str | int],
    *,
    own: tuple[int, int] | None = None,
    start_ns: int | None = None,
) -> Span:
    context = Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())
    token = own_ids.set(own)
    try:
        return _tracer.start_span(name, context, kind, attributes, start_time=start_ns)
    finally:
        own_ids.reset(token)


def _received(headers: Mapping[str, object]) -> SpanContext:
    context = _PROPAGATOR.extract({"traceparent": str(headers.get("traceparent", ""))}, Context())
    return trace.get_current_span(context).get_span_context()


def _root_of(message: Message) -> SpanContext | None:
    """Name the span of what began a message's chain; None where that is the message itself."""
    chain = message.correlation_id
    return None if message.message_id == chain else _sampled(chain, chain)


def _context_of(message: Message) -> SpanContext:
    """Name the span of a message."""
    chain = message.correlation_id
    if is_recorded(chain):
        return _sampled(chain, message.message_id)
    return SpanContext(chain.int, _span_id(message.message_id), is_remote=True)


def _sampled(chain: UUID, of: UUID) -> SpanContext:
    return SpanContext(chain.int, _span_id(of), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _span_id(of: UUID) -> int:
    return of.int >> _ID_BITS


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _kind(message: Message) -> str:
    return message.TOPIC.split(".")[1]


def _attributes_of(message: Message) -> dict[str, str | int]:
    told = getattr(message, "signal", message)  # a request is about the signal in it
    shown = {name: str(value) for name in _TOLD if (value := getattr(told, name, None)) is not None}
    return {
        "messaging.system": "rabbitmq",
        "messaging.destination.name": message.topic,
        "messaging.message.id": str(message.message_id),
        **_named(shown),
    }


def _named(shown: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"sigmax.{name}": value for name, value in shown.items()}
