"""The connections of the table plane: raw asyncpg, one statement a unit of work, auto-commit.

A statement never leaves anything on the connection: identity is set with `set_config(…, is_local => true)`, which ends
with the statement's own transaction. So the pool needs no reset round trip.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg

from service.core.errors import DatabaseUnavailable
from service.core.settings import DatabaseSettings
from service.db.sqlstate import RETRYABLE, to_domain

_ATTEMPTS = 4
_FIRST_BACKOFF = 0.01
_EPOCH = """
select left(md5(concat_ws('/', epoch, system_identifier, timeline_id, (select oid from pg_database
       where datname = current_database()))), 8)
from rowhouse.cluster, pg_control_system(), pg_control_checkpoint()
"""


class Row(Protocol):
    """A record of the answer, by position."""

    def __getitem__(self, index: int) -> Any: ...


class TablePool:
    """Runs single statements, retrying what PostgreSQL has rolled back or never received.

    `epoch` names the life of the cluster that row versions belong to; it is read afresh on each new connection, so
    a restored or promoted server is noticed.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", settings: DatabaseSettings) -> None:
        self._pool = pool
        self._timeout = settings.pool_timeout
        self.epoch = ""

    @classmethod
    async def open(cls, url: str, settings: DatabaseSettings, *, role: str | None) -> "TablePool":
        """Make the pool without connecting: a database that is down must not keep the service from starting."""

        async def prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
            await connection.set_type_codec(
                "json", schema="pg_catalog", format="binary", encoder=_encode, decoder=bytes
            )
            table_pool.epoch = await connection.fetchval(_EPOCH)

        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=settings.pool_max_size,
            init=prepare,
            reset=_no_reset,
            timeout=settings.connect_timeout,
            command_timeout=settings.statement_timeout + 5,
            max_inactive_connection_lifetime=300,
            server_settings=session_settings(settings, role),
        )
        table_pool = cls(pool, settings)
        await pool
        return table_pool

    async def close(self) -> None:
        """Wait for running statements, for a few seconds at most, then close."""
        try:
            async with asyncio.timeout(10):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def sizes(self) -> tuple[int, int]:
        """Connections open, and of these idle."""
        return self._pool.get_size(), self._pool.get_idle_size()

    async def read(self, sql: str, arguments: Sequence[object]) -> Row | None:
        """Run a read and return its row. A lost connection is retried: nothing can have been written."""
        return await self._run(sql, arguments, is_read=True)

    async def write(self, sql: str, arguments: Sequence[object]) -> Row | None:
        """Run a write and return its row. It is retried only where PostgreSQL has rolled it back.

        Raises:
            DatabaseUnavailable: with code `outcome_unknown` where the connection broke after the statement was sent.
        """
        return await self._run(sql, arguments, is_read=False)

    async def _run(self, sql: str, arguments: Sequence[object], *, is_read: bool) -> Row | None:
        attempt = 1
        while True:
            try:
                return await self._once(sql, arguments, is_read=is_read)
            except asyncpg.PostgresError as error:
                if error.sqlstate not in RETRYABLE or attempt == _ATTEMPTS:
                    raise to_domain(error) from error
            except _ConnectionLost as error:
                if not error.may_repeat:
                    raise DatabaseUnavailable(
                        "The connection to the database broke; whether the write was kept is not known. "
                        "Read the row before trying again.",
                        code="outcome_unknown",
                    ) from error
                if attempt == _ATTEMPTS:
                    raise DatabaseUnavailable("The connection to the database was lost.") from error
            await asyncio.sleep(_FIRST_BACKOFF * 2**attempt * random.random())  # noqa: S311 (jitter is no secret)
            attempt += 1

    async def _once(self, sql: str, arguments: Sequence[object], *, is_read: bool) -> Row | None:
        connection = await self._acquire()
        try:
            row: Row | None = await connection.fetchrow(sql, *arguments)
            return row
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError) as error:
            raise _ConnectionLost(may_repeat=is_read) from error
        except TimeoutError as error:
            raise DatabaseUnavailable("The database did not answer in time.") from error
        finally:
            await self._pool.release(connection)

    async def _acquire(self) -> Any:
        try:
            # asyncpg arms a timer for a timeout; a free connection needs none.
            return await self._pool.acquire(timeout=None if self._pool.get_idle_size() else self._timeout)
        except TimeoutError:
            raise DatabaseUnavailable("All database connections are busy.", code="pool_exhausted") from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailable("The database cannot be reached.") from error


class _ConnectionLost(Exception):
    def __init__(self, *, may_repeat: bool) -> None:
        self.may_repeat = may_repeat


def session_settings(settings: DatabaseSettings, role: str | None) -> dict[str, str]:
    """What every connection of the service starts with, so that no request needs to set it."""
    milliseconds = str(int(settings.statement_timeout * 1000))
    fixed = {
        "application_name": "rowhouse",
        "timezone": "UTC",
        "search_path": "public",
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
    }
    return fixed | ({"role": role} if role else {})


async def _no_reset(connection: object) -> None:
    """Nothing to reset; see the module's docstring."""


def _encode(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
