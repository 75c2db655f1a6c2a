"""Exemplars: from a figure to the trace of a request that it counts (OpenMetrics 1.0, section on exemplars).

They are put on when the metrics are read. prometheus_client would check and copy one for each request, three times, and
has none with several processes; a request leaves a tuple, and each process writes its own down now and then.
"""

import json
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import Exemplar, Metric, Sample

from service.observability.metrics.buckets import COARSE, FINE

_PREFIX = "exemplars_"
_MOST_WRITTEN = 2_000
_COUNTER, _DURATION, _FINE_DURATION = "http_requests", "http_request_duration_seconds", (
    "http_request_duration_highr_seconds"
)  # fmt: skip


class Traced(NamedTuple):
    """A request that was traced. `at` is in seconds since 1970."""

    method: str
    route: str
    status: int
    trace_id: str
    seconds: float
    at: float


def path_of(directory: Path, pid: int) -> Path:
    """Where a process keeps its own."""
    return directory / f"{_PREFIX}{pid}.json"


def write(directory: Path, traced: Iterable[Traced]) -> None:
    """Let the other processes have the latest of this one's."""
    path = path_of(directory, os.getpid())
    latest = sorted(traced, key=lambda one: one.at)[-_MOST_WRITTEN:]
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(latest))
    beside.replace(path)


def read(directory: Path) -> list[Traced]:
    """Those of all processes."""
    found: list[Traced] = []
    for path in directory.glob(f"{_PREFIX}*.json"):
        try:
            found += (Traced(*one) for one in json.loads(path.read_text()))
        except FileNotFoundError:  # its process has ended since
            continue
    return found


def with_exemplars(families: Iterable[Metric], traced: Iterable[Traced]) -> Iterator[Metric]:
    """The families, those of requests with the latest exemplars."""
    latest = _by_sample(traced)
    for family in families:
        if family.name in (_COUNTER, _DURATION, _FINE_DURATION):
            family.samples = [_with(sample, latest.get(_key(family.name, sample))) for sample in family.samples]
        yield family


def _with(sample: Sample, one: Traced | None) -> Sample:
    if one is None:
        return sample
    value = 1.0 if sample.name.endswith("_total") else one.seconds
    return sample._replace(exemplar=Exemplar({"trace_id": one.trace_id}, value, one.at))


_Key = tuple[str, ...]


def _by_sample(traced: Iterable[Traced]) -> dict[_Key, Traced]:
    latest: dict[_Key, Traced] = {}
    for one in traced:
        for key in (
            (_COUNTER, one.method, one.route, str(one.status)),
            (_DURATION, one.method, one.route, _bound(COARSE, one.seconds)),
            (_FINE_DURATION, _bound(FINE, one.seconds)),
        ):
            if key not in latest or latest[key].at < one.at:
                latest[key] = one
    return latest


def _key(family: str, sample: Sample) -> _Key:
    labels = sample.labels
    if family == _COUNTER:
        return family, labels["method"], labels["handler"], labels["status"]
    bound = labels.get("le", "")
    return (family, bound) if family == _FINE_DURATION else (family, labels["method"], labels["handler"], bound)


def _bound(bounds: tuple[float, ...], seconds: float) -> str:
    position = bisect_left(bounds, seconds)
    return "+Inf" if position == len(bounds) else str(float(bounds[position]))
