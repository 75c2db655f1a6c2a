"""Looks at the database from outside the pools, for the metrics."""

import asyncio
import time

import asyncpg
import structlog

from service.core.background import Background
from service.core.settings import DatabaseSettings
from service.db import migrations
from service.db.connections import brief_connection
from service.db.runner import LOST
from service.observability.metrics import DatabaseMetrics, DatabaseSeen

_log = structlog.get_logger()
_EVERY_SECONDS = 10.0
# A standby that replays all that it received is behind only if nothing is sent to it.
_STANDING = """
select pg_is_in_recovery(),
       case when not pg_is_in_recovery() then 0
            when exists (select from pg_stat_get_wal_receiver() r where r.pid is not null)
                 and pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 0) end::float8,
       (select sum(numbackends)::int from pg_stat_database),
       current_setting('max_connections')::int
"""


class DatabaseWatch(Background):
    """Connects anew each time: that is what tells whether the database can be reached, and it takes none of the
    connections that requests wait for.
    """

    def __init__(
        self, url: str, settings: DatabaseSettings, metrics: DatabaseMetrics, *, every: float = _EVERY_SECONDS
    ) -> None:
        self._url = url
        self._timeout = settings.connect_timeout
        self._metrics = metrics
        self._every = every

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    self._metrics.saw(await self._look())
            except (*LOST, asyncpg.PostgresError) as error:
                self._metrics.saw_nothing()
                _log.warning("database_not_seen", reason=type(error).__name__)
            await asyncio.sleep(self._every)

    async def _look(self) -> DatabaseSeen:
        begun = time.perf_counter()
        async with brief_connection(self._url, statement_cache_size=0) as connection:
            row = await connection.fetchrow(_STANDING)
            assert row is not None
            seconds = time.perf_counter() - begun
            state = await migrations.pending(connection)
        return DatabaseSeen(seconds, len(state.pending), *row)
