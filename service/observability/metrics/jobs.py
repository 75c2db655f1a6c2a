"""The metrics of background jobs: what this process ran, and how the queue of all stands."""

from typing import Protocol

from prometheus_client import CollectorRegistry, Histogram

from service.observability.metrics.buckets import RUNS
from service.observability.metrics.seen import Seen


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


class JobMetrics(Seen[Waiting]):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(
            registry,
            {
                "rowhouse_jobs_queued": ("Jobs that wait, for a worker or a retry.", lambda seen: seen.queued),
                "rowhouse_jobs_running": ("Jobs that run.", lambda seen: seen.running),
                "rowhouse_jobs_dead": ("Jobs that failed too often.", lambda seen: seen.dead),
                "rowhouse_jobs_oldest_due_seconds": (
                    "How long the oldest due job has waited.",
                    lambda seen: seen.oldest_due,
                ),
            },
        )
        self._seconds = Histogram(
            "rowhouse_job_run_seconds",
            "Time that attempts at jobs took in this process, by name and outcome.",
            ("name", "outcome"),
            buckets=RUNS,
            registry=registry,
        )

    def observe(self, name: str, outcome: str, seconds: float) -> None:
        self._seconds.labels(name, outcome).observe(seconds)
