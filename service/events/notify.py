"""Tells other processes that something was committed: so often at most, and only where there are any.

A NOTIFY inside the writing transactions would make them commit one after the other (PostgreSQL takes one lock for it).
"""

import asyncio
from contextlib import suppress
from time import monotonic
from uuid import uuid4

from service.core.background import Background
from service.core.errors import RowhouseError
from service.db.listen import LISTENER_NAME
from service.db.pool import TablePool

CHANGES_CHANNEL = "rowhouse_changes"
_STEP_SECONDS = 0.01
_BELIEVE_SECONDS = 1.0
_PEERS = "select count(*) from pg_stat_activity where application_name = $1 and datname = current_database()"
_NOTIFY = "select pg_notify($1, $2)"


class Notifier(Background):
    """Sends one notification for the writes of a moment. `identity` tells those of this process."""

    def __init__(self, pool: TablePool) -> None:
        self.identity = uuid4().hex
        self._pool = pool
        self._woken = asyncio.Event()
        self._has_peers = False
        self._looked_at = 0.0

    def wake(self) -> None:
        """This process has committed something."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            with suppress(RowhouseError):  # others look by themselves as well
                if await self._are_there_others():
                    await self._pool.read(_NOTIFY, [CHANGES_CHANNEL, self.identity])
            await asyncio.sleep(_STEP_SECONDS)

    async def _are_there_others(self) -> bool:
        if monotonic() - self._looked_at > _BELIEVE_SECONDS:
            row = await self._pool.read(_PEERS, [LISTENER_NAME])
            self._has_peers = row is not None and row[0] > 1
            self._looked_at = monotonic()
        return self._has_peers
