"""Gauges of what the database counts: a process has only seen them."""

import math
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Gauge

Figures = TypeVar("Figures")
Read = Callable[[Figures], float]


class Seen(Generic[Figures]):
    """Gauges by name, with what they tell and how they are read from the figures.

    They are not there before something was seen, and not a number where it cannot be seen any more. Of several
    processes the one that looked last is right.
    """

    def __init__(self, registry: CollectorRegistry, gauges: Mapping[str, tuple[str, Read[Figures]]]) -> None:
        self._registry = registry
        self._wanted = gauges
        self._gauges: dict[str, Gauge] = {}
        self._figures: Callable[[], Figures | None] = lambda: None
        self._last: Figures | None = None

    def watch(self, figures: Callable[[], Figures | None]) -> None:
        """Report these, as they are at each `sample`."""
        self._figures = figures

    def sample(self) -> None:
        seen = self._figures()
        if seen is self._last:
            return
        self._last = seen
        for name, (told, read) in self._wanted.items():
            if name not in self._gauges:
                self._gauges[name] = Gauge(name, told, registry=self._registry, multiprocess_mode="livemostrecent")
            self._gauges[name].set(math.nan if seen is None else read(seen))
