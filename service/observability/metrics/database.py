"""The database as it is seen from outside the pools."""

import math
from dataclasses import dataclass

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


class DatabaseMetrics:
    """Of several processes the one that sees worst is told, since each connects for itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "rowhouse_database"
        self._up = Gauge(
            f"{name}_up",
            "Whether the database takes a new connection and answers: 1, or 0.",
            registry=registry,
            multiprocess_mode="livemin",
        )

        def gauge(of: str, told: str) -> Gauge:
            return Gauge(f"{name}_{of}", told, registry=registry, multiprocess_mode="livemax")

        self._seconds = gauge("probe_seconds", "Time to connect and to ask how the database stands.")
        self._pending = gauge("migrations_pending", "Lines of migrations that the database is behind in.")
        self._standby = gauge("is_standby", "Whether the database is a standby: 1, or 0.")
        self._lag = gauge("replication_lag_seconds", "How far a standby is behind; 0 on a primary.")
        self._connections = gauge("connections", "Connections of everybody to the server.")
        self._most = gauge("max_connections", "Most connections that the server takes.")

    def saw(self, seen: DatabaseSeen) -> None:
        self._up.set(1)
        for gauge, value in (
            (self._seconds, seen.seconds),
            (self._pending, seen.pending),
            (self._standby, seen.is_standby),
            (self._lag, seen.lag_seconds),
            (self._connections, seen.connections),
            (self._most, seen.max_connections),
        ):
            gauge.set(value)

    def saw_nothing(self) -> None:
        """It cannot be reached; what was known of it may no longer hold."""
        self._up.set(0)
        for gauge in (self._seconds, self._pending, self._standby, self._lag, self._connections, self._most):
            gauge.set(math.nan)
