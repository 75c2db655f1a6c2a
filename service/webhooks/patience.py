"""Webhooks that cannot be read are tried ever more rarely, so that the others do not wait for them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

_FIRST_SECONDS = 1.0
_MOST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class _Failing:
    """`again` is the moment from which it may be tried again, and `wait` how long it was put off, in seconds."""

    again: float
    wait: float


class Patience:
    """Remembers what has failed. Of that, one is tried at a time, after a wait that doubles with each failure."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failing: dict[UUID, _Failing] = {}

    def choose(self, webhooks: Collection[UUID]) -> list[UUID]:
        """Those that have not failed, then the one of the others that is due first, if it is."""
        self._failing = {one: failing for one, failing in self._failing.items() if one in webhooks}
        due = [one for one, failing in self._failing.items() if failing.again <= self._clock()]
        first = sorted(due, key=lambda one: self._failing[one].again)[:1]
        return [one for one in webhooks if one not in self._failing] + first

    def failed(self, webhook: UUID) -> None:
        before = self._failing.get(webhook)
        wait = _FIRST_SECONDS if before is None else min(before.wait * 2, _MOST_SECONDS)
        self._failing[webhook] = _Failing(self._clock() + wait, wait)

    def succeeded(self, webhook: UUID) -> None:
        self._failing.pop(webhook, None)
