"""Spans on their way to a collector, by OpenTelemetry's SDK. Imported by nothing but a service that exports traces.

The SDK's own tracer takes 35 microseconds a span on the way of a request, its processor and exporter 5: so spans are
kept by ourselves while they go on (`trail`), and given to the SDK when they have ended.
"""

import threading
from urllib.parse import unquote

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from service.core.settings import TracingSettings
from service.observability.trace_context import TraceContext
from service.observability.trail import Span

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_WELL = Status(StatusCode.UNSET)
_FAILED = Status(StatusCode.ERROR)
_STOP_SECONDS = 5.0


class OtlpExport:
    """Exports in batches, by a thread of its own; what does not fit its queue is dropped, never waited for."""

    def __init__(self, settings: TracingSettings, version: str, environment: str) -> None:
        headers = settings.otel_exporter_otlp_headers
        exporter = OTLPSpanExporter(
            endpoint=f"{settings.otel_exporter_otlp_endpoint}/v1/traces",
            headers=None if headers is None else _headers(headers.get_secret_value()),
        )
        self._processor = BatchSpanProcessor(exporter)
        self._scope = InstrumentationScope("rowhouse", version)
        self._resource = Resource.create(
            {
                "service.name": settings.otel_service_name,
                "service.version": version,
                "deployment.environment.name": environment,
            }
        )

    def __call__(self, span: Span) -> None:
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.context, is_remote=False),
                parent=None if span.parent is None else _context(span.parent, is_remote=span.is_parent_remote),
                resource=self._resource,
                attributes=span.attributes if span.error is None else {**span.attributes, "error.type": span.error},
                kind=SpanKind[span.kind],
                status=_WELL if span.error is None else _FAILED,
                start_time=span.begun,
                end_time=span.ended,
                instrumentation_scope=self._scope,
            )
        )

    def stop(self) -> None:
        """Send what is left, within a few seconds. Blocks."""
        # The SDK's own limit is half a minute. A thread that is not waited for ends with the process.
        stopping = threading.Thread(target=self._processor.shutdown, daemon=True)
        stopping.start()
        stopping.join(_STOP_SECONDS)


def _context(context: TraceContext, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote, _SAMPLED)


def _headers(text: str) -> dict[str, str]:
    """As the OpenTelemetry specification writes them: `name=value,name=value`, percent-encoded."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
