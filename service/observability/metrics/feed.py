"""The metrics of the live feed."""

from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.observability.metrics.buckets import LAG


class Watched(Protocol):
    """What the feed's metrics are read from."""

    def subscribers(self) -> Sequence["Queue"]: ...


class Queue(Protocol):
    """The events that wait for one client."""

    @property
    def depth(self) -> int: ...


class FeedMetrics:
    """`last_lag` is None before a change was found."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.last_lag: float | None = None
        self._hub: Watched | None = None
        self._is_following: Callable[[], bool] = lambda: False
        self._lag = Histogram(
            "rowhouse_feed_follower_lag_seconds",
            "Age of the oldest change when the follower finds it.",
            buckets=LAG,
            registry=registry,
        )
        self._events = Counter("rowhouse_feed_events_total", "Changes sent to clients.", registry=registry)
        self._gaps = Counter("rowhouse_feed_drops_total", "Clients that were too slow.", registry=registry)
        self._subscribers = Gauge(
            "rowhouse_feed_subscribers", "Clients that follow.", registry=registry, multiprocess_mode="livesum"
        )
        self._depth = Gauge(
            "rowhouse_feed_queue_depth",
            "Events that wait for the slowest client.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._connected = Gauge(
            "rowhouse_feed_follower_connected",
            "Whether the follower (of each process) has its connection: 1, or 0.",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def watch(self, hub: Watched) -> None:
        """Report its clients."""
        self._hub = hub

    def watch_follower(self, is_connected: Callable[[], bool]) -> None:
        self._is_following = is_connected

    def sample(self) -> None:
        depths = [one.depth for one in self._hub.subscribers()] if self._hub is not None else []
        self._subscribers.set(len(depths))
        self._depth.set(max(depths, default=0))
        self._connected.set(self._is_following())

    def observe_lag(self, seconds: float) -> None:
        self.last_lag = seconds
        self._lag.observe(seconds)

    def count_events(self, number: int) -> None:
        self._events.inc(number)

    def count_gap(self) -> None:
        self._gaps.inc()
