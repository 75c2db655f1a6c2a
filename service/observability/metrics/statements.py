"""How long statements took, from being sent to being answered."""

from collections.abc import Callable
from enum import StrEnum

from prometheus_client import CollectorRegistry, Histogram

from service.observability.metrics.buckets import FINE
from service.observability.metrics.requests import GATHERED


class Kind(StrEnum):
    """What a statement is for. `CONTROL` are Rowhouse's own: credentials, grants, jobs."""

    READ = "read"
    WRITE = "write"
    CALL = "call"
    EXPORT = "export"
    IMPORT = "import"
    CONTROL = "control"


OnStatement = Callable[[Kind, float], None]


class StatementMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        seconds = Histogram(
            "rowhouse_statement_seconds",
            f"Time that statements took, by kind: {', '.join(Kind)}.",
            ("kind",),
            buckets=FINE,
            registry=registry,
        )
        self._by_kind = {kind: seconds.labels(kind.value).observe for kind in Kind}
        self._ended: list[tuple[Kind, float]] = []

    def observe(self, kind: Kind, seconds: float) -> None:
        """Written down, and counted later, as requests are."""
        self._ended.append((kind, seconds))
        if len(self._ended) >= GATHERED:
            self.sample()

    def sample(self) -> None:
        ended, self._ended = self._ended, []
        for kind, seconds in ended:
            self._by_kind[kind](seconds)
