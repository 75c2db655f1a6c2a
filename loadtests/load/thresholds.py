"""What a run must keep to: the share of failures, milliseconds by kind, and events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# Milliseconds on two cores that the load, the service and PostgreSQL share; a kind is the first word of a name.
P95 = "read=300,write=300,page=600,export=4000,follow=1500,event=600"
P99 = "read=800,write=800,page=1500,export=8000,follow=3000,event=1500"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Most failures in a hundred requests, and most milliseconds of nineteen in twenty, and of 99 in a hundred."""

    failures_percent: float
    p95: Mapping[str, float]
    p99: Mapping[str, float]


@dataclass(slots=True)
class Kind:
    """What came of one kind of request. `times` counts the answers by their milliseconds."""

    name: str
    requests: int = 0
    failures: int = 0
    times: dict[int, int] = field(default_factory=dict)

    def add(self, requests: int, failures: int, times: Mapping[int, int]) -> None:
        self.requests += requests
        self.failures += failures
        for milliseconds, count in times.items():
            self.times[milliseconds] = self.times.get(milliseconds, 0) + count

    def at(self, share: float) -> float:
        """The milliseconds that this share of them took at most."""
        left = share * sum(self.times.values())
        for milliseconds in sorted(self.times):
            left -= self.times[milliseconds]
            if left <= 0:
                return milliseconds
        return 0.0


def parse_limits(text: str) -> dict[str, float]:
    """`read=300,write=250`.

    Raises:
        ValueError: it is written otherwise.
    """
    limits = {}
    for part in filter(None, text.split(",")):
        kind, separator, number = part.partition("=")
        if not separator or not kind.strip() or float(number) <= 0:
            raise ValueError(f"{part!r} is no threshold: write a kind and milliseconds, such as read=300.")
        limits[kind.strip()] = float(number)
    return limits


def judge(kinds: Iterable[Kind], thresholds: Thresholds, lost: int, repeated: int, behind: int) -> list[str]:
    """What was not kept to, in sentences; nothing where all is well."""
    kinds = list(kinds)
    requests, failures = sum(kind.requests for kind in kinds), sum(kind.failures for kind in kinds)
    if not requests:
        return ["Nothing was asked."]
    faults = []
    if failures / requests * 100 > thresholds.failures_percent:
        percent = f"{failures / requests:.2%}"
        faults.append(f"{failures} of {requests} requests failed, {percent}; most: {thresholds.failures_percent:g}%.")
    for name, share, limits in (("p95", 0.95, thresholds.p95), ("p99", 0.99, thresholds.p99)):
        for kind in kinds:
            limit, took = limits.get(kind.name), kind.at(share)
            if limit is not None and took > limit:
                faults.append(f"{name} of {kind.name} is {took:.0f} ms; most: {limit:.0f} ms.")
    if lost:
        faults.append(f"{lost} events were lost.")
    if repeated:
        faults.append(f"{repeated} events came twice.")
    if behind:
        faults.append(f"{behind} followers never caught up.")
    return faults
