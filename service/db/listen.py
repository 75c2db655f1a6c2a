"""Waiting for a NOTIFY (PostgreSQL manual, NOTIFY)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import asyncpg

from service.core.background import Background
from service.core.settings import DatabaseSettings
from service.db.connections import Connection
from service.db.runner import LOST
from service.db.session import session_settings

RELOAD_CHANNEL = "rowhouse_reload"
# What its connection is called: so the processes of the service can be counted.
LISTENER_NAME = "rowhouse listener"
_RETRY_SECONDS = 1.0


class Listener(Background):
    """Calls back on each notification of a channel, once for those that come together.

    It has a connection of its own: a pooler that hands connections around would lose what is listened to. Once it
    listens it calls back as well, at first and after each connection that was lost: what was told before was missed.

    `hear` are channels whose payloads are told at once, one by one, and may be missed.
    """

    def __init__(
        self,
        url: str,
        settings: DatabaseSettings,
        channel: str,
        call: Callable[[], Awaitable[None]],
        hear: Mapping[str, Callable[[str], None]],
    ) -> None:
        self._url = url
        self._timeout = settings.connect_timeout
        self._session = session_settings(settings, role=None) | {"application_name": LISTENER_NAME}
        self._channel = channel
        self._call = call
        self._hear = hear
        self._woken = asyncio.Event()
        self._has_listened = asyncio.Event()

    async def listens(self) -> None:
        """Until it listens for the first time, and has called back for that."""
        await self._has_listened.wait()

    def wake(self) -> None:
        """Call back as if a notification had come."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            with suppress(*LOST, asyncpg.PostgresError):
                connection = await asyncpg.connect(self._url, timeout=self._timeout, server_settings=self._session)
                try:
                    await self._listen(connection)
                finally:
                    connection.terminate()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self, connection: Connection) -> None:
        """Until the connection is lost."""
        connection.add_termination_listener(lambda _: self._woken.set())
        await connection.add_listener(self._channel, lambda *_: self._woken.set())
        for heard, tell in self._hear.items():
            await connection.add_listener(heard, lambda *notice, tell=tell: tell(notice[3]))
        self._woken.set()
        while True:
            await self._woken.wait()
            self._woken.clear()
            if connection.is_closed():
                return
            await self._call()
            self._has_listened.set()
