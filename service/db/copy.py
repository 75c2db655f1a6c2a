"""What runs exports: connections of their own, so that a long one takes none from the table plane.

An export is one read-only transaction that sees one snapshot. PostgreSQL is stopped as soon as nobody takes what it
sends: the statement is cancelled, and the connection closed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import asyncpg

from service.core.errors import DatabaseUnavailable
from service.core.settings import DatabaseSettings, ExportSettings
from service.db.connections import AllBusy, Connection, Connections
from service.db.runner import LOST, Row, untold
from service.db.session import session_settings
from service.db.sqlstate import to_domain
from service.observability.metrics import Kind, OnStatement
from service.observability.trail import stage, statement

Sink = Callable[[bytes], Coroutine[Any, Any, None]]

_EPOCH = "select rowhouse.life()"
_CLOSE_SECONDS = 5


class CopyTransaction:
    """Statements of one snapshot. `epoch` is the life of the cluster that row versions belong to."""

    def __init__(self, connection: Connection, epoch: str, on_statement: OnStatement) -> None:
        self._connection = connection
        self._on_statement = on_statement
        self.epoch = epoch

    async def rows(self, sql: str, arguments: Sequence[object] = ()) -> Sequence[Row]:
        with statement(sql):
            found: Sequence[Row] = await self._connection.fetch(sql, *arguments)
        return found

    async def copy(self, sql: str, options: Mapping[str, Any], sink: Sink) -> int:
        """Send what a query returns, as COPY writes it, and tell how many rows they were. PostgreSQL waits for the
        sink.
        """
        begun = perf_counter()
        try:
            with statement(f"copy ({sql})"):
                status = await self._connection.copy_from_query(sql, output=sink, **options)
        finally:
            self._on_statement(Kind.EXPORT, perf_counter() - begun)
        return int(status.removeprefix("COPY "))


class CopyPool:
    """At most `EXPORT_CONNECTIONS` exports at once."""

    def __init__(self, url: str, database: DatabaseSettings, exports: ExportSettings, *, role: str | None) -> None:
        """Nothing is connected yet."""
        self._url = url
        self._wait = database.pool_timeout
        self._connect_timeout = database.connect_timeout
        milliseconds = str(int(exports.export_timeout * 1000))
        self._session = session_settings(database, role) | {
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        }
        self.connections = Connections(self._connect, exports.export_connections)
        self.on_statement: OnStatement = untold
        self._epoch = ""

    async def close(self) -> None:
        """Wait for running exports, for a few seconds at most, then close."""
        try:
            await self.connections.close(_CLOSE_SECONDS)
        except TimeoutError:
            self.connections.terminate()

    def sizes(self) -> tuple[int, int]:
        """Connections open, and of these idle."""
        return self.connections.sizes()

    @asynccontextmanager
    async def begin(self, *, runs_code: bool) -> AsyncIterator[CopyTransaction]:
        """A transaction. Where functions run that may set something on the connection, it is not used again.

        Raises:
            RowhouseError: what PostgreSQL reports; DatabaseUnavailable where it cannot be reached, or too many
                exports run.
        """
        with stage("pool"):
            connection = self.connections.take_idle() or await self._take()
        try:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
            yield CopyTransaction(connection, self._epoch, self.on_statement)
            await (_let_go(connection) if runs_code else transaction.rollback())
        except asyncpg.PostgresError as error:
            await _let_go(connection)
            raise to_domain(error) from error
        except TimeoutError:  # before OSError, which it is a kind of: nobody takes what is sent
            await _let_go(connection)
            raise
        except LOST as error:
            connection.terminate()
            raise DatabaseUnavailable("The connection to the database was lost.") from error
        except BaseException:
            await _let_go(connection)
            raise
        finally:
            self.connections.give(connection)

    async def _take(self) -> Connection:
        try:
            return await self.connections.take(self._wait)
        except AllBusy:
            raise DatabaseUnavailable("Too many exports run at once.", code="pool_exhausted") from None
        except (*LOST, asyncpg.PostgresError) as error:
            raise DatabaseUnavailable("The database cannot be reached.") from error

    async def _connect(self) -> Connection:
        connection = await asyncpg.connect(
            self._url, timeout=self._connect_timeout, statement_cache_size=0, server_settings=self._session
        )
        try:
            self._epoch = await connection.fetchval(_EPOCH)
        except BaseException:
            connection.terminate()
            raise
        return connection


async def _let_go(connection: Connection) -> None:
    """Close it; what still runs on it is cancelled in PostgreSQL."""
    try:
        await connection.close(timeout=_CLOSE_SECONDS)
    except (*LOST, TimeoutError, asyncpg.PostgresError, asyncio.CancelledError):
        connection.terminate()
