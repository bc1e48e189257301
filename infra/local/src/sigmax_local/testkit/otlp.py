"""A collector of traces, for tests: takes OTLP over HTTP as a real one does, and keeps what it was sent."""

import gzip
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from sigmax_local.ports import LOOPBACK

_PATH = "/v1/traces"


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """A span as it was sent. Ids are hexadecimal."""

    service: str
    name: str
    kind: str
    """`internal`, `server`, `client`, `producer`, or `consumer`."""
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for a root."""
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int | float | bool]
    error: str | None
    """What its status says, where that is an error."""

    def __str__(self) -> str:
        return f"{self.service} {self.name}"


class Collector:
    """What was sent so far. `delay_s` has every answer wait so long."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests = 0
        self.delay_s = 0.0
        self._spans: list[SeenSpan] = []
        self._lock = threading.Lock()

    @property
    def spans(self) -> list[SeenSpan]:
        """Give all spans, in the order they came."""
        with self._lock:
            return list(self._spans)

    def trace(self, trace_id: str) -> list[SeenSpan]:
        """Give the spans of one trace, by when they began."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.start_ns)

    def take(self, body: bytes) -> None:
        """Keep one request. Raises `DecodeError` when it is none."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self.requests += 1
            for resource in request.resource_spans:
                service = str(_values(resource.resource.attributes).get("service.name", ""))
                for scope in resource.scope_spans:
                    self._spans += [_seen(service, span) for span in scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port of this machine."""
    server = ThreadingHTTPServer((LOOPBACK, 0), _Handler)
    collector = server.collector = Collector(f"http://{LOOPBACK}:{server.server_address[1]}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, name="otlp", daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        collector: Collector = self.server.collector  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        time.sleep(collector.delay_s)
        if self.path != _PATH:
            self.send_error(404)
            return
        collector.take(body)
        answer = ExportTraceServiceResponse().SerializeToString()
        with suppress(ConnectionError):  # who did not wait for a slow answer is gone
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing: tests look at what was kept."""


def _seen(service: str, span: Span) -> SeenSpan:
    is_error = span.status.code == Status.STATUS_CODE_ERROR
    return SeenSpan(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        error=span.status.message if is_error else None,
    )


def _values(attributes: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")

    return {pair.key: value(pair) for pair in attributes}
