"""Work that goes on beside the requests."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

import structlog

_log = structlog.get_logger()
_PAUSE_SECONDS = 1.0


class Background(ABC):
    """A task of the running application's, from `start` to `stop`."""

    _task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """End it, and wait until it has."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_running(self) -> None:
        while True:
            try:
                return await self._run()
            except Exception:  # what was not foreseen: without the task the rest would go on as if all were well
                _log.exception("background_failed", task=type(self).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)

    @abstractmethod
    async def _run(self) -> None:
        """Go on until cancelled. After an error it begins again."""
