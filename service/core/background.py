"""Work that goes on beside the requests."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress


class Background(ABC):
    """A task of the running application's, from `start` to `stop`."""

    _task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End it, and wait until it has."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @abstractmethod
    async def _run(self) -> None:
        """Go on until cancelled: what goes wrong must not end it."""
