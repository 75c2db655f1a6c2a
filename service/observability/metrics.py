"""Prometheus metrics, under the names of prometheus-fastapi-instrumentator.

Its middleware matches every route again on each request; ours is told the route by who served it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_COARSE = (0.1, 0.5, 1)


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


def _size(sizes: Callable[[], tuple[int, int]], position: int) -> int:
    return sizes()[position]
