"""How many imports a process runs at once: each holds a connection for long, and most are for the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.core.errors import DatabaseUnavailable

_RETRY_AFTER = 10


class Slots:
    """At most `at_once`; who comes then waits for so many seconds."""

    def __init__(self, at_once: int, seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._seconds = seconds

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a slot until the block ends.

        Raises:
            DatabaseUnavailable: `imports_busy`, none became free.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise DatabaseUnavailable(
                "Too many imports run at once; nothing of this one was read.",
                code="imports_busy",
                retry_after=_RETRY_AFTER,
            ) from None
        try:
            yield
        finally:
            self._free.release()
