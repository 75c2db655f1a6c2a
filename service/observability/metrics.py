"""Prometheus metrics, under the names of prometheus-fastapi-instrumentator.

Its middleware matches every route again on each request; ours is told the route by who served it.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from time import perf_counter
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, Sample
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BOUNDS = (*_FINE, inf)
_COARSE = (0.1, 0.5, 1)
_RUNS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
_ATTEMPT = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
_LAG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


@dataclass(frozen=True, slots=True)
class LogFigures:
    """The change log as it was last seen."""

    changes: int  # ever logged, with those that were rolled back
    unplaced: int  # in no partition of their own
    tables: int
    ahead: int  # partitions of weeks to come
    seen_at: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class WebhookFigures:
    """The deliveries of webhooks as they were last seen."""

    pending: int  # with those that wait for others
    dead: int
    oldest_seconds: float  # age of the oldest pending one


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests: all, those refused (4xx), those that failed (5xx); and how many took up to each of `BOUNDS`."""

    requests: int
    refused: int
    failed: int
    took: tuple[int, ...]

    def since(self, before: "Counted") -> "Counted":
        """What was counted after that."""
        took = tuple(now - then for now, then in zip(self.took, before.took, strict=True))
        return Counted(
            self.requests - before.requests, self.refused - before.refused, self.failed - before.failed, took
        )


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
        self.feed = FeedMetrics(self.registry)
        self.exports = ExportMetrics(self.registry)
        self.jobs = JobMetrics(self.registry)
        self.webhooks = WebhookMetrics(self.registry)

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

    def end(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """A request was answered, after so many seconds where that tells of the service."""
        self._in_progress.dec()
        series = self._series.get((method, route)) or self._new_series(method, route)
        counter = series.by_status.get(status)
        if counter is None:
            counter = series.by_status[status] = self._requests.labels(method, str(status), route)
        counter.inc()
        if seconds is not None:
            series.duration.observe(seconds)
            self._fine_duration.observe(seconds)

    def counted(self) -> "Counted":
        """All that was counted since the start."""
        requests: Tally[int] = Tally()
        for sample in _samples(self._requests, "_total"):
            requests[int(sample.labels["status"]) // 100] += int(sample.value)
        below = [int(sample.value) for sample in _samples(self._fine_duration, "_bucket")]
        took = tuple(upto - before for upto, before in zip(below, [0, *below], strict=False))
        return Counted(sum(requests.values()), requests[4], requests[5], took)

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


class Watched(Protocol):
    """What the feed's metrics are read from."""

    def subscribers(self) -> Sequence["Queue"]: ...


class Queue(Protocol):
    """The events that wait for one client."""

    @property
    def depth(self) -> int: ...


class FeedMetrics:
    """The metrics of the live feed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.last_lag: float | None = None
        self._lag = Histogram(
            "rowhouse_feed_follower_lag_seconds",
            "Age of the oldest change when the follower finds it.",
            buckets=_LAG,
            registry=registry,
        )
        self._events = Counter("rowhouse_feed_events_total", "Changes sent to clients.", registry=registry)
        self._gaps = Counter("rowhouse_feed_drops_total", "Clients that were too slow.", registry=registry)
        self._subscribers = Gauge("rowhouse_feed_subscribers", "Clients that follow.", registry=registry)
        self._depth = Gauge("rowhouse_feed_queue_depth", "Events that wait for the slowest client.", registry=registry)

    def watch(self, hub: Watched) -> None:
        """Report its clients whenever the metrics are read."""
        self._subscribers.set_function(lambda: len(hub.subscribers()))
        self._depth.set_function(lambda: max((one.depth for one in hub.subscribers()), default=0))

    def observe_lag(self, seconds: float) -> None:
        self.last_lag = seconds
        self._lag.observe(seconds)

    def count_events(self, number: int) -> None:
        self._events.inc(number)

    def count_gap(self) -> None:
        self._gaps.inc()


class ExportMetrics:
    """The metrics of exports, by format."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "rowhouse_export_seconds",
            "Time that exports took, as fast as their clients took them, by format and outcome: sent, broken.",
            ("format", "outcome"),
            buckets=_RUNS,
            registry=registry,
        )
        self._rows = Counter("rowhouse_export_rows_total", "Rows sent whole.", ("format",), registry=registry)
        self._bytes = Counter("rowhouse_export_bytes_total", "Bytes sent.", ("format",), registry=registry)

    @contextmanager
    def observe(self, form: str) -> Iterator["ExportFigures"]:
        """Count one export; one that ends with an error is broken."""
        figures, started, outcome = ExportFigures(), perf_counter(), "broken"
        try:
            yield figures
            outcome = "sent"
        finally:
            self._seconds.labels(form, outcome).observe(perf_counter() - started)
            self._rows.labels(form).inc(figures.rows)
            self._bytes.labels(form).inc(figures.bytes)


@dataclass(slots=True)
class ExportFigures:
    rows: int = 0
    bytes: int = 0


class Waiting(Protocol):
    """How the queue of jobs stands; `oldest_due` is an age in seconds."""

    @property
    def queued(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def dead(self) -> int: ...
    @property
    def oldest_due(self) -> float: ...


class JobMetrics:
    """The metrics of background jobs: what this process ran, and how the queue of all stands."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._seconds = Histogram(
            "rowhouse_job_run_seconds",
            "Time that attempts at jobs took in this process, by name and outcome.",
            ("name", "outcome"),
            buckets=_RUNS,
            registry=registry,
        )

    def observe(self, name: str, outcome: str, seconds: float) -> None:
        self._seconds.labels(name, outcome).observe(seconds)

    def watch(self, figures: Callable[[], Waiting | None]) -> None:
        """Report the queue as it was last seen; nothing before that."""
        self._registry.register(_Jobs(figures))


class _Jobs(Collector):
    """Figures that the database counts."""

    def __init__(self, figures: Callable[[], Waiting | None]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        seen = self._figures()
        if seen is None:
            return
        yield GaugeMetricFamily("rowhouse_jobs_queued", "Jobs that wait, for a worker or a retry.", value=seen.queued)
        yield GaugeMetricFamily("rowhouse_jobs_running", "Jobs that run.", value=seen.running)
        yield GaugeMetricFamily("rowhouse_jobs_dead", "Jobs that failed too often.", value=seen.dead)
        yield GaugeMetricFamily(
            "rowhouse_jobs_oldest_due_seconds", "How long the oldest due job has waited.", value=seen.oldest_due
        )


class WebhookMetrics:
    """The metrics of the webhooks' worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._attempts = Histogram(
            "rowhouse_webhook_attempt_seconds", "Time that an attempt took.", buckets=_ATTEMPT, registry=registry
        )
        self._deliveries = Counter(
            "rowhouse_webhook_deliveries_total",
            "Attempts by what came of them: delivered, retry, dead, stale.",
            ("outcome",),
            registry=registry,
        )

    def watch(self, figures: Callable[[], WebhookFigures | None]) -> None:
        """Report the deliveries as they were last seen; nothing before that."""
        self._registry.register(_Deliveries(figures))

    def observe(self, outcome: str, seconds: float) -> None:
        self._deliveries.labels(outcome).inc()
        self._attempts.observe(seconds)


class _Deliveries(Collector):
    """Figures that the database counts."""

    def __init__(self, figures: Callable[[], WebhookFigures | None]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        seen = self._figures()
        if seen is None:
            return
        name = "rowhouse_webhook"
        yield GaugeMetricFamily(f"{name}_pending", "Deliveries that are not finished.", value=seen.pending)
        yield GaugeMetricFamily(f"{name}_dead", "Deliveries that were given up.", value=seen.dead)
        yield GaugeMetricFamily(
            f"{name}_oldest_pending_seconds", "Age of the oldest that is not finished.", value=seen.oldest_seconds
        )


def _size(sizes: Callable[[], tuple[int, int]], position: int) -> int:
    return sizes()[position]


def _samples(metric: Counter | Histogram, suffix: str) -> Iterable[Sample]:
    return (sample for family in metric.collect() for sample in family.samples if sample.name.endswith(suffix))
