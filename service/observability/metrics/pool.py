"""The metrics of connection pools: `tables` of the table plane, `exports`."""

from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, Histogram

from service.observability.metrics.buckets import FINE


class Watched(Protocol):
    """A pool of connections. `sizes` are those open, and of these idle."""

    max_size: int
    on_wait: Callable[[float], None]

    def sizes(self) -> tuple[int, int]: ...
    def waiting(self) -> int: ...


class PoolMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._pools: dict[str, Watched] = {}

        def gauge(name: str, told: str) -> Gauge:
            return Gauge(f"rowhouse_pool_{name}", told, ("pool",), registry=registry, multiprocess_mode="livesum")

        self._open = gauge("connections_open", "Database connections that are open.")
        self._idle = gauge("connections_idle", "Database connections that are open and not in use.")
        self._in_use = gauge("connections_in_use", "Database connections in use.")
        self._max = gauge("connections_max", "Most database connections that may be open.")
        self._waiting = gauge("waiting", "How many wait for a connection now.")
        self._seconds = Histogram(
            "rowhouse_pool_wait_seconds",
            "Time to get a connection where none was idle: until one was given back, opened, or waited for in vain.",
            ("pool",),
            buckets=FINE,
            registry=registry,
        )

    def watch(self, name: str, pool: Watched) -> None:
        """Report a pool."""
        self._pools[name] = pool
        pool.on_wait = self._seconds.labels(name).observe

    def sample(self) -> None:
        for name, pool in self._pools.items():
            opened, idle = pool.sizes()
            self._open.labels(name).set(opened)
            self._idle.labels(name).set(idle)
            self._in_use.labels(name).set(opened - idle)
            self._max.labels(name).set(pool.max_size)
            self._waiting.labels(name).set(pool.waiting())
