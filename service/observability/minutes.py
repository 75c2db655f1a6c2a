"""The last hour, minute by minute.

Nothing is added to a request: once a minute it is read what the counters have counted since the minute before.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from service.core.background import Background
from service.observability.metrics import BOUNDS, Counted, Metrics

_MINUTE = 60
_KEPT = 60


@dataclass(frozen=True, slots=True)
class Minute:
    """What was counted in the minute that began `at`, or in the part of it that has passed."""

    at: datetime
    counted: Counted


class RequestMinutes(Background):
    """The requests of this process. Other processes count their own."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._ended: deque[Minute] = deque(maxlen=_KEPT - 1)
        self._before = metrics.counted()
        self._begun = _minute_of(time.time())
        self.since = datetime.now(UTC)

    def hour(self) -> list[Minute]:
        """The minutes of the last hour as far as the process has seen them, the oldest first, with the present one."""
        return [*self._ended, Minute(self._begun, self._metrics.counted().since(self._before))]

    def end_minute(self) -> None:
        """Keep what was counted since the last one ended."""
        now = self._metrics.counted()
        self._ended.append(Minute(self._begun, now.since(self._before)))
        self._before, self._begun = now, _minute_of(time.time())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_MINUTE - time.time() % _MINUTE)
            self.end_minute()


def all_of(minutes: Sequence[Minute]) -> Counted:
    """The minutes together."""
    parts = [one.counted for one in minutes]
    took = tuple(sum(column) for column in zip(*(part.took for part in parts), strict=True))
    return Counted(
        sum(part.requests for part in parts),
        sum(part.refused for part in parts),
        sum(part.failed for part in parts),
        took,
    )


def quantile(counted: Counted, share: float) -> float | None:
    """The seconds within which that share of requests was answered, interpolated between the bounds of the buckets; of
    the last bucket its lower bound. None where nothing was timed.
    """
    total = sum(counted.took)
    if not total:
        return None
    wanted, passed = share * total, 0
    for number, (lower, upper) in zip(counted.took, pairwise((0.0, *BOUNDS)), strict=True):
        if number and passed + number >= wanted:
            return lower if upper == BOUNDS[-1] else lower + (upper - lower) * (wanted - passed) / number
        passed += number
    raise AssertionError


def _minute_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds // _MINUTE * _MINUTE, UTC)
