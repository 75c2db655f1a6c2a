"""Waiting for a NOTIFY (PostgreSQL manual, NOTIFY)."""

import asyncio
from collections.abc import Callable, Mapping

import asyncpg
import structlog

from service.core.background import Background
from service.core.settings import DatabaseSettings
from service.db.runner import LOST
from service.db.session import session_settings

RELOAD_CHANNEL = "rowhouse_reload"
# What its connection is called: so the processes of the service can be counted.
LISTENER_NAME = "rowhouse listener"
_RETRY_SECONDS = 1.0
_log = structlog.get_logger()


class Listener(Background):
    """Tells the payload of each notification of its channels.

    It has a connection of its own: a pooler that hands connections around would lose what is listened to. `missed` is
    called whenever it begins to listen, at first and after a connection that was lost: what was told before was missed.
    """

    def __init__(
        self,
        url: str,
        settings: DatabaseSettings,
        hear: Mapping[str, Callable[[str], None]],
        missed: Callable[[], None],
    ) -> None:
        self._url = url
        self._timeout = settings.connect_timeout
        self._session = session_settings(settings, role=None) | {"application_name": LISTENER_NAME}
        self._hear = hear
        self._missed = missed
        self._has_tried = asyncio.Event()
        self._is_silent = False

    async def tries(self) -> None:
        """Until it has listened, or failed to, for the first time."""
        await self._has_tried.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (*LOST, asyncpg.PostgresError) as error:
                if not self._is_silent:
                    _log.warning("not_listening", reason=type(error).__name__)
                self._is_silent = True
            self._has_tried.set()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        """Until the connection is lost."""
        connection = await asyncpg.connect(self._url, timeout=self._timeout, server_settings=self._session)
        try:
            is_lost = asyncio.Event()
            connection.add_termination_listener(lambda _: is_lost.set())
            for channel, tell in self._hear.items():
                await connection.add_listener(channel, lambda *notice, tell=tell: tell(notice[3]))
            self._is_silent = False
            self._missed()
            self._has_tried.set()
            await is_lost.wait()
        finally:
            connection.terminate()
