"""The database as it is seen from outside the pools."""

import math
from dataclasses import dataclass
from functools import cached_property

from prometheus_client import CollectorRegistry, Gauge


@dataclass(frozen=True, slots=True)
class DatabaseSeen:
    """`lag_seconds` is how far a standby is behind; 0 on a primary. `pending` counts branches of migrations."""

    seconds: float
    pending: int
    is_standby: bool
    lag_seconds: float
    connections: int
    max_connections: int


class _Gauges:
    def __init__(self, registry: CollectorRegistry) -> None:
        name = "rowhouse_database"
        self.up = Gauge(
            f"{name}_up",
            "Whether the database takes a new connection and answers: 1, or 0.",
            registry=registry,
            multiprocess_mode="livemin",
        )

        def gauge(of: str, told: str) -> Gauge:
            return Gauge(f"{name}_{of}", told, registry=registry, multiprocess_mode="livemax")

        self.seconds = gauge("probe_seconds", "Time to connect and to ask how the database stands.")
        self.pending = gauge("migrations_pending", "Lines of migrations that the database is behind in.")
        self.standby = gauge("is_standby", "Whether the database is a standby: 1, or 0.")
        self.lag = gauge("replication_lag_seconds", "How far a standby is behind; 0 on a primary.")
        self.connections = gauge("connections", "Connections of everybody to the server.")
        self.most = gauge("max_connections", "Most connections that the server takes.")


class DatabaseMetrics:
    """Of several processes the one that sees worst is told, since each connects for itself. There are none before
    somebody has looked: a gauge is 0 from the start, and that would be an alert.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    @cached_property
    def _gauges(self) -> _Gauges:
        return _Gauges(self._registry)

    def saw(self, seen: DatabaseSeen) -> None:
        told = self._gauges
        told.up.set(1)
        for gauge, value in (
            (told.seconds, seen.seconds),
            (told.pending, seen.pending),
            (told.standby, seen.is_standby),
            (told.lag, seen.lag_seconds),
            (told.connections, seen.connections),
            (told.most, seen.max_connections),
        ):
            gauge.set(value)

    def saw_nothing(self) -> None:
        """It cannot be reached; what was known of it may no longer hold."""
        told = self._gauges
        told.up.set(0)
        for gauge in (told.seconds, told.pending, told.standby, told.lag, told.connections, told.most):
            gauge.set(math.nan)
