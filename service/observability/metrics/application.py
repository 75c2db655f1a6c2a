"""All metrics of one application."""

from collections.abc import Callable

import prometheus_client
from prometheus_client import CollectorRegistry

from service.observability.metrics import multiprocess
from service.observability.metrics.auth import AuthMetrics
from service.observability.metrics.change_log import ChangeLogMetrics, LogFigures
from service.observability.metrics.database import DatabaseMetrics
from service.observability.metrics.exports import ExportMetrics
from service.observability.metrics.feed import FeedMetrics
from service.observability.metrics.jobs import JobMetrics
from service.observability.metrics.pool import PoolMetrics
from service.observability.metrics.process import ProcessMetrics
from service.observability.metrics.requests import Counted, RequestMetrics
from service.observability.metrics.statements import StatementMetrics
from service.observability.metrics.webhooks import WebhookMetrics


class Metrics:
    """The metrics of one application, in a registry of its own. Durations are in seconds, sizes in bytes.

    Gauges have the values of the last `sample`, which runs on the event loop: what they are read from is not made for
    other threads, and other processes cannot ask for it.
    """

    def __init__(self, version: str) -> None:
        # Two more lines for each series, which say when it was first seen.
        prometheus_client.disable_created_metrics()
        multiprocess.make_directory()
        self.registry = CollectorRegistry()
        self.process = ProcessMetrics(self.registry, version)
        self.requests = RequestMetrics(self.registry)
        self.begin, self.end = self.requests.begin, self.requests.end
        self.pools = PoolMetrics(self.registry)
        self.statements = StatementMetrics(self.registry)
        self.auth = AuthMetrics(self.registry)
        self.database = DatabaseMetrics(self.registry)
        self.change_log = ChangeLogMetrics(self.registry)
        self.feed = FeedMetrics(self.registry)
        self.exports = ExportMetrics(self.registry)
        self.jobs = JobMetrics(self.registry)
        self.webhooks = WebhookMetrics(self.registry)

    def watch_change_log(self, figures: Callable[[], LogFigures | None]) -> None:
        """Report the change log as it was last seen; nothing before that."""
        self.change_log.watch(figures)

    def sample(self) -> None:
        """Count what has ended, and set every gauge to what it is now."""
        for part in (
            *(self.process, self.requests, self.statements, self.pools),
            *(self.change_log, self.feed, self.jobs, self.webhooks),
        ):
            part.sample()

    def counted(self) -> Counted:
        """The requests that this process has counted since its start."""
        return self.requests.counted()
