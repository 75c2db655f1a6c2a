"""A collector of traces and a Sentry on the loopback, which keep what real ones would be sent."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ReceivedSpan
from sentry_sdk.envelope import Envelope

_KIND = "SPAN_KIND_"


@dataclass(frozen=True, slots=True)
class Step:
    """A span as a collector has it."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    attributes: dict[str, Any]
    service: str
    is_error: bool


@dataclass
class Sinks:
    """`packets` are the bodies of all requests, unpacked."""

    port: int
    steps: list[Step] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "SENTRY_DSN": f"http://public@127.0.0.1:{self.port}/1",
        }

    def trace(self, trace_id: str) -> list[Step]:
        return [step for step in self.steps if step.trace_id == trace_id]

    def take(self, path: str, body: bytes) -> None:
        self.packets.append(body)
        if path == "/v1/traces":
            self.steps += _steps(ExportTraceServiceRequest.FromString(body))
        else:
            items = Envelope.deserialize(body).items
            self.events += [dict(item.payload.json) for item in items if item.type == "event" and item.payload.json]


def _steps(request: ExportTraceServiceRequest) -> Iterator[Step]:
    for of_resource in request.resource_spans:
        resource = {one.key: _value(one.value) for one in of_resource.resource.attributes}
        for span in (span for of_scope in of_resource.scope_spans for span in of_scope.spans):
            yield Step(
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.name,
                ReceivedSpan.SpanKind.Name(span.kind).removeprefix(_KIND),
                {one.key: _value(one.value) for one in span.attributes},
                resource["service.name"],
                span.status.code == span.status.STATUS_CODE_ERROR,
            )


def _value(value: AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")


def _unpacked(body: bytes, coding: str | None) -> bytes:
    if coding == "br":  # Sentry's client takes it where the package is there
        unpacked: bytes = import_module("brotli").decompress(body)
        return unpacked
    return gzip.decompress(body) if coding == "gzip" else body


@contextmanager
def run_sinks() -> Iterator[Sinks]:
    """Receive until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sinks.headers.append({name.lower(): value for name, value in self.headers.items()})
            sinks.take(self.path, _unpacked(body, self.headers.get("content-encoding")))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}" if self.path != "/v1/traces" else b"\x0a\x00")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        sinks = Sinks(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield sinks
        finally:
            server.shutdown()
            thread.join(5)
