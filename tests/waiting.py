"""Waiting for what happens elsewhere."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_SECONDS = 60.0
_STEP = 0.03


def until(
    condition: Callable[[], T], seconds: float = _SECONDS, seen: Callable[[], object] = lambda: "it did not happen"
) -> T:
    """The first answer of a condition that is true. After so many seconds it fails, and shows what `seen` sees."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, seen()
        time.sleep(_STEP)
    return answer


async def happens(condition: Callable[[], T], seconds: float = _SECONDS) -> T:
    """The same, while other tasks go on."""
    return await asyncio.to_thread(until, condition, seconds)
