"""Makes spans with the ids that chains and messages give them, and sends them off without being in anyone's way."""

import logging
from collections.abc import Sequence
from contextvars import ContextVar

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

log = structlog.get_logger()

_QUEUE_MAX = 4096
"""Spans that wait; beyond it the oldest are dropped."""
_BATCH_MAX = 512
_EVERY_MS = 1000
_TIMEOUT_S = 3.0
_ATTRIBUTES_MAX = 32
_ATTRIBUTE_LENGTH_MAX = 200

own_ids: ContextVar[tuple[int, int] | None] = ContextVar("own_ids", default=None)
"""Trace and span id of the span that is being started, where they follow from its message."""


def make_provider(exporter: SpanExporter, service: str, version: str) -> TracerProvider:
    """Make what records the spans of this process and hands them to an exporter, in a thread of its own."""
    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.version": version}),
        sampler=ParentBased(_OursAlone()),
        id_generator=_Ids(),
        span_limits=SpanLimits(max_span_attributes=_ATTRIBUTES_MAX, max_span_attribute_length=_ATTRIBUTE_LENGTH_MAX),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter, max_queue_size=_QUEUE_MAX, max_export_batch_size=_BATCH_MAX, schedule_delay_millis=_EVERY_MS
        )
    )
    return provider


class QuietExporter(SpanExporter):
    """Sends spans to an OTLP endpoint over HTTP. What cannot be sent is dropped: said once, not once per batch."""

    def __init__(self, endpoint: str) -> None:
        self._exporter = OTLPSpanExporter(
            f"{endpoint.rstrip('/')}/v1/traces", timeout=_TIMEOUT_S, compression=Compression.Gzip
        )
        self._dropped = 0
        self._is_closing = False
        # Both would log each batch, and a full queue each span.
        for name in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, once more or less; a process that ends does not wait for an endpoint that is away."""
        if self._is_closing and self._dropped:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        if result is SpanExportResult.FAILURE:
            if not self._dropped:
                log.warning("traces_not_delivered", meaning="spans are dropped until the endpoint answers")
            self._dropped += len(spans)
        elif self._dropped:
            log.info("traces_delivered_again", dropped=self._dropped)
            self._dropped = 0
        return result

    def close(self) -> None:
        """Drop what is left as soon as a batch fails."""
        self._is_closing = True

    def shutdown(self) -> None:
        """End the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  (nothing waits here)
        """Say that nothing is left: batches wait before the exporter, not in it."""
        return True


class _OursAlone(Sampler):
    """Records the beginning of a chain, which was chosen before; what a library begins by itself is not recorded."""

    def should_sample(  # noqa: PLR0917  (the library's)
        self,
        parent_context: Context | None,  # noqa: ARG002
        trace_id: int,  # noqa: ARG002
        name: str,  # noqa: ARG002
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        decision = Decision.DROP if own_ids.get() is None else Decision.RECORD_AND_SAMPLE
        return SamplingResult(decision, attributes, trace_state)

    def get_description(self) -> str:
        return "OursAlone"


class _Ids(RandomIdGenerator):
    """Gives the ids in `own_ids`, or where there are none, random ones."""

    def generate_trace_id(self) -> int:
        own = own_ids.get()
        return own[0] if own else super().generate_trace_id()

    def generate_span_id(self) -> int:
        own = own_ids.get()
        return own[1] if own else super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        return False  # its last 56 bits are as good as random, but the flag would differ from the one of other hops
