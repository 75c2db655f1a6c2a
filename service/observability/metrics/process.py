"""The process and its event loop. The names are those of Prometheus' own collector, which knows one process only."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from service.observability.metrics.buckets import FINE

# How figures of several processes are put together. The start is that of the newest: it changes with each restart.
_MODES = {
    "process_virtual_memory_bytes": "livesum",
    "process_resident_memory_bytes": "livesum",
    "process_start_time_seconds": "livemax",
    "process_open_fds": "livemax",
    "process_max_fds": "livemin",
}
_TOLD = {
    "process_virtual_memory_bytes": "Virtual memory.",
    "process_resident_memory_bytes": "Resident memory.",
    "process_start_time_seconds": "When the newest process started, in seconds since 1970.",
    "process_open_fds": "Open file descriptors, of the process that has most.",
    "process_max_fds": "Most file descriptors that a process may open.",
}
_CPU = "process_cpu_seconds_total"
_LONGEST_STILL = 30.0  # seconds


@dataclass(slots=True)
class _Read:
    """What `/proc` tells of this process; nothing where there is none."""

    collector: ProcessCollector = field(default_factory=lambda: ProcessCollector(registry=None))

    def figures(self) -> Iterator[tuple[str, float]]:
        for family in self.collector.collect():
            for sample in family.samples:
                yield sample.name, sample.value


class ProcessMetrics:
    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        self._read = _Read()
        self._gauges = {
            name: Gauge(name, _TOLD[name], registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]
            for name, mode in _MODES.items()
        }
        self._processor = Counter(_CPU, "Processor time, of the user and of the system.", registry=registry)
        self._counted = 0.0
        self._sampled_at = monotonic()
        self._build = Gauge(
            "rowhouse_build_info",
            "The version that runs.",
            ("version", "python"),
            registry=registry,
            multiprocess_mode="livemax",
        ).labels(version, platform.python_version())
        self._lag = Histogram(
            "rowhouse_event_loop_lag_seconds",
            "How much later than wanted the event loop came back to what it was to do, once a second.",
            buckets=FINE,
            registry=registry,
        )

    def observe_lag(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def is_turning(self) -> bool:
        """Whether the event loop has come round of late: `sample` is called in it, once a second."""
        return monotonic() - self._sampled_at < _LONGEST_STILL

    def sample(self) -> None:
        self._sampled_at = monotonic()
        self._build.set(1)
        for name, value in self._read.figures():
            if name == _CPU:
                self._processor.inc(max(0.0, value - self._counted))
                self._counted = value
            elif name in self._gauges:
                self._gauges[name].set(value)
