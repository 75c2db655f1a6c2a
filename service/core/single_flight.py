"""One run for all who ask at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs an action once for all callers of the same key that come while it runs; each gets its result or error."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    async def run(self, key: Hashable, action: Callable[[], Awaitable[T]]) -> T:
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(_as_coroutine(action))
            self._running[key] = task
            task.add_done_callback(lambda done: self._finish(key, done))
        # A caller that goes away must not take the result from the others.
        return await asyncio.shield(task)

    def _finish(self, key: Hashable, task: "asyncio.Task[T]") -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, also where all callers have gone


async def _as_coroutine(action: Callable[[], Awaitable[T]]) -> T:
    return await action()
