"""Requests by route, method and status, under the names of prometheus-fastapi-instrumentator.

Its middleware matches every route again on each request; ours is told the route by who served it.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from time import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.core import Sample

from service.observability.metrics.buckets import COARSE, FINE
from service.observability.metrics.exemplars import Traced

BOUNDS = (*FINE, inf)
# So many are counted at once, or fewer when the gauges are set: once a second, and before `/metrics` answers.
GATHERED = 64
_Ended = tuple[str, str, int, float | None, int, int, str | None, float]


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
    """The children of one route and method, looked up once. `traced` has the last request of each status and bucket."""

    duration: Histogram
    received: Summary
    sent: Summary
    by_status: dict[int, Counter] = field(default_factory=dict)
    traced: dict[tuple[int, int], tuple[str, float, float]] = field(default_factory=dict)


class RequestMetrics:
    """What every request passes: it is only written down here, and counted some later, many in a row. Nothing is looked
    up by label but the first time.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "http_requests_total",
            "Requests by method, status and route.",
            ("method", "status", "handler"),
            registry=registry,
        )
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Time to answer, by method and route.",
            ("method", "handler"),
            buckets=COARSE,
            registry=registry,
        )
        self._fine_duration = Histogram(
            "http_request_duration_highr_seconds",
            "Time to answer, in many buckets.",
            buckets=FINE,
            registry=registry,
        )
        self._received = Summary(
            "http_request_size_bytes", "Bodies of requests that had one.", ("handler",), registry=registry
        )
        self._sent = Summary(
            "http_response_size_bytes",
            "Bodies of answers; of WebSockets, what was sent, about.",
            ("handler",),
            registry=registry,
        )
        self._in_progress = Gauge(
            "http_requests_inprogress",
            "Requests being served now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._running = 0
        self._ended: list[_Ended] = []
        self._series: dict[tuple[str, str], _Series] = {}

    def begin(self) -> None:
        self._running += 1

    def end(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float | None,
        received: int = 0,
        sent: int = 0,
        trace_id: str | None = None,
    ) -> None:
        """A request was answered, after so many seconds where that tells of the service; bodies are in bytes."""
        self._running -= 1
        ended = self._ended
        ended.append((method, route, status, seconds, received, sent, trace_id, 0.0 if trace_id is None else time()))
        if len(ended) >= GATHERED:
            self._count()

    def _count(self) -> None:
        ended, self._ended = self._ended, []
        for method, route, status, seconds, received, sent, trace_id, at in ended:
            series = self._series.get((method, route)) or self._new_series(method, route)
            (series.by_status.get(status) or self._new_status(series, method, route, status)).inc()
            series.sent.observe(sent)
            if received:
                series.received.observe(received)
            if seconds is not None:
                series.duration.observe(seconds)
                self._fine_duration.observe(seconds)
                if trace_id is not None:
                    series.traced[status, bisect_left(FINE, seconds)] = trace_id, seconds, at

    def sample(self) -> None:
        self._count()
        self._in_progress.set(self._running)

    def traced(self) -> list[Traced]:
        """For each series and bucket the last request that had a trace."""
        return [
            Traced(method, route, status, *last)
            for (method, route), series in list(self._series.items())
            for (status, _), last in list(series.traced.items())
        ]

    def counted(self) -> Counted:
        """All that this process has counted."""
        self._count()
        requests: Tally[int] = Tally()
        for sample in _samples(self._requests, "_total"):
            requests[int(sample.labels["status"]) // 100] += int(sample.value)
        below = [int(sample.value) for sample in _samples(self._fine_duration, "_bucket")]
        took = tuple(upto - before for upto, before in zip(below, [0, *below], strict=False))
        return Counted(sum(requests.values()), requests[4], requests[5], took)

    def _new_series(self, method: str, route: str) -> _Series:
        series = self._series[method, route] = _Series(
            self._duration.labels(method, route), self._received.labels(route), self._sent.labels(route)
        )
        return series

    def _new_status(self, series: _Series, method: str, route: str, status: int) -> Counter:
        counter = series.by_status[status] = self._requests.labels(method, str(status), route)
        return counter


def _samples(metric: Counter | Histogram, suffix: str) -> Iterable[Sample]:
    return (sample for family in metric.collect() for sample in family.samples if sample.name.endswith(suffix))
