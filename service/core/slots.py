"""How many may do something at once that takes connections: most are for the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.core.errors import DatabaseUnavailable


@dataclass(frozen=True, slots=True)
class Busy:
    """What they are told who have waited in vain. `retry_after` is in seconds."""

    message: str
    code: str = "pool_exhausted"
    retry_after: int = 2


class Slots:
    """At most `at_once`; who comes then waits for so many seconds."""

    def __init__(self, at_once: int, seconds: float, busy: Busy) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._seconds = seconds
        self._busy = busy

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a slot until the block ends.

        Raises:
            DatabaseUnavailable: none became free.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            busy = self._busy
            raise DatabaseUnavailable(busy.message, code=busy.code, retry_after=busy.retry_after) from None
        try:
            yield
        finally:
            self._free.release()
