"""The metrics of exports, by format."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.observability.metrics.buckets import RUNS


@dataclass(slots=True)
class ExportFigures:
    rows: int = 0
    bytes: int = 0


class ExportMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "rowhouse_export_seconds",
            "Time that exports took, as fast as their clients took them, by format and outcome: sent, broken.",
            ("format", "outcome"),
            buckets=RUNS,
            registry=registry,
        )
        self._rows = Counter("rowhouse_export_rows_total", "Rows sent whole.", ("format",), registry=registry)
        self._bytes = Counter("rowhouse_export_bytes_total", "Bytes sent.", ("format",), registry=registry)

    @contextmanager
    def observe(self, form: str) -> Iterator[ExportFigures]:
        """Count one export; one that ends with an error is broken."""
        figures, started, outcome = ExportFigures(), perf_counter(), "broken"
        try:
            yield figures
            outcome = "sent"
        finally:
            self._seconds.labels(form, outcome).observe(perf_counter() - started)
            self._rows.labels(form).inc(figures.rows)
            self._bytes.labels(form).inc(figures.bytes)
