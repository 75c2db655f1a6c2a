"""The connections of the table plane: raw asyncpg, one statement a unit of work, auto-commit.

A statement never leaves anything on the connection: identity is set with `set_config(…, is_local => true)`, which ends
with the statement's own transaction. So the pool needs no reset round trip.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import SystemRandom
from time import perf_counter
from typing import Any

import asyncpg

from service.core.errors import DatabaseUnavailable
from service.core.settings import DatabaseSettings
from service.core.slots import Busy, Slots
from service.db.connections import AllBusy, Connection, Connections
from service.db.runner import LOST, Row, Unit, in_unit, kind_of, untold
from service.db.session import answer_timeout, session_settings
from service.db.snapshot import Snapshot
from service.db.sqlstate import RETRYABLE, to_domain
from service.db.transaction import Transaction
from service.observability.metrics import OnStatement
from service.observability.trail import current_trail, stage

_ATTEMPTS = 4
_FIRST_BACKOFF = 0.01
_CLOSE_SECONDS = 10
_SNAPSHOTS_BUSY = Busy("Too many callers read all rows at once.")
_EPOCH = "select rowhouse.life()"


class TablePool:
    """Runs single statements, retrying what PostgreSQL has rolled back or never received.

    `epoch` names the life of the cluster that row versions belong to; it is read afresh on each new connection, so
    a restored or promoted server is noticed. `on_write` is called after each write that was kept, `on_statement` after
    each statement that was sent.
    """

    def __init__(self, url: str, settings: DatabaseSettings, *, role: str | None) -> None:
        """Nothing is connected yet: a database that is down must not keep the service from starting."""
        self._url = url
        self._settings = settings
        self._session = session_settings(settings, role)
        self.connections = Connections(self._connect, settings.pool_max_size)
        # They last as long as their readers take: most connections stay for the others.
        self._snapshots = Slots(max(1, settings.pool_max_size // 4), settings.pool_timeout, _SNAPSHOTS_BUSY)
        self.epoch = ""
        self.on_write: Callable[[], None] = _nothing
        self.on_statement: OnStatement = untold

    async def warm(self) -> None:
        """Open a first connection, so that the epoch is known.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
        """
        self.connections.give(await self._take())

    async def close(self) -> None:
        """Wait for running statements, for a few seconds at most, then close."""
        try:
            await self.connections.close(_CLOSE_SECONDS)
        except TimeoutError:
            self.connections.terminate()

    def sizes(self) -> tuple[int, int]:
        """Connections open, and of these idle."""
        return self.connections.sizes()

    @property
    def most(self) -> int:
        """Connections that may be open at once."""
        return self._settings.pool_max_size

    def waiting(self) -> int:
        """How many wait for a connection."""
        return self.connections.waiting()

    async def read(self, sql: str, arguments: Sequence[object]) -> Row | None:
        """Run a read and return its row. A lost connection is retried: nothing can have been written."""
        row: Row | None = await self._run(sql, arguments, is_read=True)
        return row

    async def write(self, sql: str, arguments: Sequence[object]) -> Row | None:
        """Run a write and return its row. It is retried only where PostgreSQL has rolled it back.

        Raises:
            DatabaseUnavailable: with code `outcome_unknown` where the connection broke after the statement was sent.
        """
        row: Row | None = await self._run(sql, arguments, is_read=False)
        self.on_write()
        return row

    async def read_all(self, sql: str, arguments: Sequence[object]) -> Sequence[Row]:
        """Run a read and return all its rows. Retried as `read`."""
        rows: Sequence[Row] = await self._run(sql, arguments, is_read=True, many=True)
        return rows

    async def run(self, sql: str, arguments: Sequence[object], unit: Unit) -> Row | None:
        """Run a statement in a transaction of its own. Retried, and raises, as `read` and `write`."""
        row: Row | None = await self._run(sql, arguments, is_read=unit.is_read_only, unit=unit)
        if unit.keeps and not unit.is_read_only:
            self.on_write()
        return row

    @asynccontextmanager
    async def transaction(self, *, keeps: bool = True) -> AsyncIterator[Transaction]:
        """Several statements, all kept when the block ends, and none on any error, or where they are only tried.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached; with code `outcome_unknown` where the connection broke
                while it committed.
        """
        with stage("pool"):
            connection = self.connections.take_idle() or await self._take()
        transaction = Transaction(connection, self.epoch, self.on_statement)
        try:
            await transaction.begin()
            yield transaction
            await (transaction.commit() if keeps else transaction.roll_back())
            self.on_write()
        except BaseException:
            await transaction.roll_back()
            raise
        finally:
            self.connections.give(connection)

    def together(self, *, keeps: bool = True) -> AbstractAsyncContextManager[Transaction]:
        """A transaction, for what needs several statements. Raises: as `transaction`."""
        return self.transaction(keeps=keeps)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """A transaction that reads what was there when it began.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached, the connection broke, or too many read so.
        """
        async with self._snapshots.take(), self._snapshot() as snapshot:
            yield snapshot

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Snapshot]:
        connection = self.connections.take_idle() or await self._take()
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield await Snapshot.begin(connection)
        except asyncpg.PostgresError as error:
            raise to_domain(error) from error
        except LOST as error:
            connection.terminate()
            raise DatabaseUnavailable("The connection to the database was lost.") from error
        except BaseException:
            connection.terminate()
            raise
        finally:
            self.connections.give(connection)

    async def _run(
        self, sql: str, arguments: Sequence[object], *, is_read: bool, unit: Unit | None = None, many: bool = False
    ) -> Any:
        attempt = 1
        while True:
            try:
                return await self._once(sql, arguments, is_read=is_read, unit=unit, many=many)
            except asyncpg.PostgresError as error:
                if error.sqlstate not in RETRYABLE or attempt == _ATTEMPTS:
                    raise to_domain(error, is_read=is_read) from error
            except _ConnectionLost as error:
                if not error.may_repeat:
                    raise DatabaseUnavailable(
                        "The connection to the database broke; whether the write was kept is not known. "
                        "Read the row before trying again.",
                        code="outcome_unknown",
                    ) from error
                if attempt == _ATTEMPTS:
                    raise DatabaseUnavailable("The connection to the database was lost.") from error
            await asyncio.sleep(_FIRST_BACKOFF * 2**attempt * SystemRandom().random())
            attempt += 1

    async def _once(
        self, sql: str, arguments: Sequence[object], *, is_read: bool, unit: Unit | None, many: bool
    ) -> Any:
        trail = current_trail()
        asked = perf_counter()
        try:
            connection = self.connections.take_idle() or await self._take()
        finally:
            if trail is not None:
                trail.took("pool", perf_counter() - asked)
        if trail is None:
            return await self._on(connection, sql, arguments, is_read=is_read, unit=unit, many=many)
        with trail.statement(sql):
            return await self._on(connection, sql, arguments, is_read=is_read, unit=unit, many=many)

    async def _on(
        self,
        connection: Connection,
        sql: str,
        arguments: Sequence[object],
        *,
        is_read: bool,
        unit: Unit | None,
        many: bool,
    ) -> Any:
        begun = perf_counter()
        try:
            if unit is not None:
                return await in_unit(connection, sql, arguments, unit)
            return await (connection.fetch if many else connection.fetchrow)(sql, *arguments)
        except TimeoutError as error:  # before OSError, which it is a kind of
            connection.terminate()
            raise DatabaseUnavailable(
                "The database did not answer in time.", code=None if is_read else "outcome_unknown"
            ) from error
        except LOST as error:
            connection.terminate()
            raise _ConnectionLost(may_repeat=is_read) from error
        except asyncio.CancelledError:
            connection.terminate()
            raise
        finally:
            self.on_statement(kind_of(unit, is_read=is_read), perf_counter() - begun)
            self.connections.give(connection)

    async def _take(self) -> Connection:
        try:
            return await self.connections.take(self._settings.pool_timeout)
        except AllBusy:
            raise DatabaseUnavailable("All database connections are busy.", code="pool_exhausted") from None
        except (*LOST, asyncpg.PostgresError) as error:
            raise DatabaseUnavailable("The database cannot be reached.") from error

    async def _connect(self) -> Connection:
        """Raises:
        DatabaseUnavailable: another life has begun, and whoever asks carries versions and cursors of the one before.
        """
        known = self.epoch
        connection = await asyncpg.connect(
            self._url,
            timeout=self._settings.connect_timeout,
            command_timeout=answer_timeout(self._settings),
            server_settings=self._session,
        )
        try:
            await connection.set_type_codec(
                "json", schema="pg_catalog", format="binary", encoder=_encode, decoder=bytes
            )
            self.epoch = await connection.fetchval(_EPOCH)
            if known not in ("", self.epoch):
                raise DatabaseUnavailable("The database was restored or replaced; try again.", retry_after=1)
        except BaseException:
            connection.terminate()
            raise
        return connection


class _ConnectionLost(Exception):
    def __init__(self, *, may_repeat: bool) -> None:
        self.may_repeat = may_repeat


def _nothing() -> None:
    """Nobody wants to know."""


def _encode(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
