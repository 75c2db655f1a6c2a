"""Prometheus metrics, under the names of prometheus-fastapi-instrumentator.

Its middleware matches every route again on each request; ours is told the route by who served it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_COARSE = (0.1, 0.5, 1)


@dataclass(frozen=True, slots=True)
class LogFigures:
    """The change log as it was last seen."""

    changes: int  # ever logged, with those that were rolled back
    unplaced: int  # in no partition of their own
    tables: int
    ahead: int  # partitions of weeks to come
    seen_at: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class _Series:
    """The children of one route and method, looked up once."""

    duration: Histogram
    by_status: dict[int, Counter]


class Metrics:
    """The metrics of one application, in a registry of its own. Durations are in seconds."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        Info("rowhouse_build", "The version that runs.", registry=self.registry).info({"version": version})
        self._requests = Counter(
            "http_requests_total",
            "Requests by method, status and route.",
            ("method", "status", "handler"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Time to answer, by method and route.",
            ("method", "handler"),
            buckets=_COARSE,
            registry=self.registry,
        )
        self._fine_duration = Histogram(
            "http_request_duration_highr_seconds",
            "Time to answer, in many buckets.",
            buckets=_FINE,
            registry=self.registry,
        )
        self._in_progress = Gauge("http_requests_inprogress", "Requests being served now.", registry=self.registry)
        self._series: dict[tuple[str, str], _Series] = {}

    def watch_pool(self, sizes: Callable[[], tuple[int, int]]) -> None:
        """Report connections open and idle whenever the metrics are read."""
        for position, state in enumerate(("open", "idle")):
            gauge = Gauge(
                f"rowhouse_pool_connections_{state}",
                f"Database connections of the table plane that are {state}.",
                registry=self.registry,
            )
            gauge.set_function(partial(_size, sizes, position))

    def watch_change_log(self, figures: Callable[[], LogFigures | None]) -> None:
        """Report the change log as it was last seen; nothing before that."""
        self.registry.register(_ChangeLog(figures))

    def begin(self) -> None:
        self._in_progress.inc()

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        self._in_progress.dec()
        series = self._series.get((method, route)) or self._new_series(method, route)
        counter = series.by_status.get(status)
        if counter is None:
            counter = series.by_status[status] = self._requests.labels(method, str(status), route)
        counter.inc()
        series.duration.observe(seconds)
        self._fine_duration.observe(seconds)

    def _new_series(self, method: str, route: str) -> _Series:
        series = self._series[method, route] = _Series(self._duration.labels(method, route), {})
        return series


class _ChangeLog(Collector):
    """Figures that the database counts: a process has only seen them."""

    def __init__(self, figures: Callable[[], LogFigures | None]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        seen = self._figures()
        if seen is None:
            return
        name = "rowhouse_change_log"
        yield CounterMetricFamily(f"{name}_changes", "Changes logged since the log was made.", value=seen.changes)
        yield GaugeMetricFamily(
            f"{name}_unplaced_rows", "Changes that no partition was made for; should be 0.", value=seen.unplaced
        )
        yield GaugeMetricFamily(f"{name}_tracked_tables", "Tables whose changes are logged.", value=seen.tables)
        yield GaugeMetricFamily(f"{name}_partitions_ahead", "Partitions of weeks to come.", value=seen.ahead)
        yield GaugeMetricFamily(
            f"{name}_upkeep_timestamp_seconds", "When its upkeep last went well.", value=seen.seen_at
        )


def _size(sizes: Callable[[], tuple[int, int]], position: int) -> int:
    return sizes()[position]
