"""taskiq's broker on PostgreSQL, as the service's role can use it."""

import asyncio
from collections.abc import Mapping

import asyncpg
from taskiq import AsyncBroker
from taskiq_pg.asyncpg import AsyncpgBroker

from service.models.base import SYSTEM_SCHEMA
from service.models.system import JobMessage

_CHANNEL = "rowhouse_jobs"


class PostgresBroker(AsyncpgBroker):
    """Starts in another way: taskiq_pg's would create its table, which this role may not; would listen, and queue what
    it hears, in processes that only send; and would never notice that the connection it listens on is gone.

    `lost` is set when it is; `session` are the settings that each connection begins with.
    """

    def __init__(self, url: str, session: Mapping[str, str], connect_timeout: float, lost: asyncio.Event) -> None:
        settings = {"server_settings": dict(session), "timeout": connect_timeout}
        super().__init__(
            url,
            channel_name=_CHANNEL,
            table_name=f"{SYSTEM_SCHEMA}.{JobMessage.__tablename__}",
            read_kwargs=settings,
            write_kwargs={**settings, "min_size": 0, "max_size": 2},
        )
        self._lost = lost

    async def startup(self) -> None:
        await AsyncBroker.startup(self)
        self._write_pool = await asyncpg.create_pool(self.dsn, **self.write_kwargs)
        if self.is_worker_process:
            self._queue = asyncio.Queue()
            self._read_conn = await asyncpg.connect(self.dsn, **self.read_kwargs)
            self._read_conn.add_termination_listener(lambda _: self._lost.set())
            await self._read_conn.add_listener(self.channel_name, self._notification_handler)
