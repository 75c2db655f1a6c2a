"""Reading the catalog again, whoever asks for it."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from service.core.background import Background
from service.core.errors import DatabaseUnavailable
from service.db.runner import LOST

_log = structlog.get_logger()
_RETRY_SECONDS = 1.0


class Reloader(Background):
    """Has the catalog read once for all who ask for it together, and tries again until it could be read.

    Who asks before the start is answered then.
    """

    def __init__(self, read: Callable[[], Awaitable[None]]) -> None:
        self._read = read
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """What was read is not what there is any more."""
        self._asked.set()

    def forget(self) -> None:
        """What is read from now on has all that was asked for."""
        self._asked.clear()

    async def _run(self) -> None:
        has_failed = False
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._read()
                has_failed = False
            except (*LOST, asyncpg.PostgresError, DatabaseUnavailable) as error:
                if not has_failed:
                    _log.warning("catalog_not_reloaded", reason=type(error).__name__)
                has_failed = True
                self._asked.set()
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                self._asked.set()
                raise
