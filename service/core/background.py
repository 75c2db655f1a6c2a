"""Work that goes on beside the requests."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

import structlog

_log = structlog.get_logger()
_AGAIN_SECONDS = 1.0


class Background(ABC):
    """A task of the running application's, from `start` to `stop`."""

    _task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """End it, and wait until it has."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _go_on(self) -> None:
        while True:
            try:
                await self._run()
            except Exception:  # whatever it is, nobody else would begin it again
                _log.exception("background_failed", task=type(self).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)

    @abstractmethod
    async def _run(self) -> None:
        """Go on until cancelled. If it ends for another reason, it is begun again."""
