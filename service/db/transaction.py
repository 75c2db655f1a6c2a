"""Several statements on one connection: all of them, or none.

A row that is written behind a savepoint bears the number of a subtransaction, which is not the version that an answer
would tell: only imports have savepoints, and tell no versions.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import perf_counter

import asyncpg

from service.core.errors import (
    DatabaseUnavailable,
    FieldError,
    InvalidBody,
    InvalidQuery,
    LimitExceeded,
    RowhouseError,
)
from service.db.connections import Connection
from service.db.runner import LOST, Row, Unit, clean_up, kind_of, set_locally, text_of, untold
from service.db.session import answer_seconds
from service.db.sqlstate import to_domain
from service.observability.metrics import Kind, OnStatement
from service.observability.trail import statement

_END_OF_DATA_UNTIL = 18


@dataclass(frozen=True, slots=True)
class CopyFormat:
    """How rows are written in the CSV format of COPY (PostgreSQL manual, COPY). The quote also escapes itself."""

    null: str
    delimiter: str = ","
    quote: str = '"'


class Transaction:
    """Runs statements one after the other. After an error nothing more can be run: it must be rolled back."""

    def __init__(self, connection: Connection, epoch: str, on_statement: OnStatement = untold) -> None:
        self.epoch = epoch
        self._on_statement = on_statement
        self._connection = connection
        self._transaction = connection.transaction()
        self._is_open = False
        self._must_clean = False
        self._seconds: float | None = None

    async def begin(self) -> None:
        try:
            await self._transaction.start()
        except LOST as error:
            raise DatabaseUnavailable("The connection to the database was lost.") from error
        self._is_open = True

    async def read(self, sql: str, arguments: Sequence[object]) -> Row | None:
        return await self._run(sql, arguments, Kind.READ)

    async def read_all(self, sql: str, arguments: Sequence[object]) -> Sequence[Row]:
        async with self._told():
            with self._timed(Kind.READ), statement(sql):
                rows: Sequence[Row] = await self._connection.fetch(sql, *arguments, timeout=self._seconds)
                return rows

    async def write(self, sql: str, arguments: Sequence[object]) -> Row | None:
        return await self._run(sql, arguments, Kind.WRITE)

    async def run(self, sql: str, arguments: Sequence[object], unit: Unit) -> Row | None:
        """Run a statement with its settings.

        Raises:
            InvalidQuery: it wants to be undone by itself.
        """
        if not unit.keeps:
            raise InvalidQuery("`tx=rollback` undoes a request, and this is a part of one.")
        self._must_clean = self._must_clean or unit.cleans
        if unit.settings:
            await set_locally(self._connection, unit.settings)
        kind = kind_of(unit, is_read=unit.is_read_only)
        row = await self._run(sql, arguments, kind, is_in_lines=unit.is_in_lines)
        if unit.verify is not None and row is not None:
            unit.verify(row)
        if "timezone" in unit.settings:
            await set_locally(self._connection, {"timezone": "UTC"})
        return row

    @property
    def knows_end_mark(self) -> bool:
        r"""Whether this PostgreSQL takes a line `\.` for the end of what is copied, and drops the rest."""
        return self.server_version < _END_OF_DATA_UNTIL

    @property
    def server_version(self) -> int:
        """The major version of PostgreSQL."""
        return self._connection.get_server_version().major

    @asynccontextmanager
    async def together(self, *, keeps: bool = True) -> AsyncIterator["Transaction"]:
        """This transaction itself, for what needs several statements.

        Raises:
            InvalidQuery: it wants to be undone by itself.
        """
        if not keeps:
            raise InvalidQuery("`tx=rollback` undoes a request, and this is a part of one.")
        yield self

    async def execute(self, sql: str) -> None:
        """Run a statement without values, whose answer does not matter."""
        async with self._told():
            await self._connection.execute(sql, timeout=self._seconds)

    async def set_locally(self, settings: Mapping[str, str], *, cleans: bool = False) -> None:
        """Set for the rest of the transaction. `cleans`: what functions set besides is undone when it has ended."""
        self._must_clean = self._must_clean or cleans
        async with self._told():
            await set_locally(self._connection, settings)

    async def last(self, seconds: float) -> None:
        """Let statements take longer than those of requests may, for the rest of the transaction."""
        self._seconds = answer_seconds(seconds)
        milliseconds = str(int(seconds * 1000))
        await self.set_locally({"statement_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds})

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What the block does is undone where it raises an error, and the transaction goes on."""
        nested = self._connection.transaction()
        async with self._told():
            await nested.start()
        try:
            yield
        except BaseException:
            if not self._connection.is_closed():
                async with self._told():
                    await nested.rollback()
            raise
        async with self._told():
            await nested.commit()

    async def copy_in(
        self,
        table: tuple[str, str],
        columns: Sequence[str],
        source: AsyncIterator[bytes],
        form: CopyFormat,
        seconds: float,
    ) -> int:
        """Copy rows into a table (schema, name), as long as it takes within so many seconds. Returns how many.

        Raises:
            InvalidBody: a line cannot be taken apart, or is no UTF-8; `fields` has its number.
            DatabaseUnavailable: the connection broke.
            what the source raises.
        """
        begun = perf_counter()
        try:
            with statement("copy"):
                status = await self._connection.copy_to_table(
                    table[1],
                    schema_name=table[0],
                    columns=list(columns),
                    source=self._while_open(source),
                    format="csv",
                    null=form.null,
                    delimiter=form.delimiter,
                    quote=form.quote,
                    timeout=seconds,
                )
        except asyncpg.PostgresError as error:
            raise _at_line(to_domain(error), error, table[1]) from error
        except TimeoutError as error:
            self._connection.terminate()
            raise LimitExceeded("The body took longer to arrive than the service allows.", code="57014") from error
        except (*LOST, RuntimeError, DatabaseUnavailable) as error:
            if isinstance(error, RuntimeError | DatabaseUnavailable) and not self._connection.is_closed():
                raise  # not uvloop's, which has written to what is closed
            self._connection.terminate()
            raise DatabaseUnavailable("The connection to the database was lost; nothing was written.") from error
        finally:
            self._on_statement(Kind.IMPORT, perf_counter() - begun)
        return int(status.rpartition(" ")[2])

    async def _while_open(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same, ended where nobody takes it any more: else whoever sends it would go on."""
        async for chunk in source:
            if self._connection.is_closed():
                raise DatabaseUnavailable("The connection to the database was lost; nothing was written.")
            yield chunk

    async def commit(self) -> None:
        try:
            with statement("commit"):
                await self._transaction.commit()
        except asyncpg.PostgresError as error:
            raise to_domain(error) from error
        except LOST as error:
            self._connection.terminate()
            raise DatabaseUnavailable(
                "The connection to the database broke; whether the write was kept is not known.", code="outcome_unknown"
            ) from error
        self._is_open = False
        await self._clean()

    async def roll_back(self) -> None:
        """Undo everything. A connection that does not answer is closed, which does the same."""
        if self._connection.is_closed():
            return
        try:
            if self._is_open:
                await self._transaction.rollback()
            await self._clean()
        except (*LOST, asyncpg.PostgresError):
            self._connection.terminate()

    async def _clean(self) -> None:
        if self._must_clean:
            await clean_up(self._connection, Unit(cleans=True))

    async def _run(self, sql: str, arguments: Sequence[object], kind: Kind, *, is_in_lines: bool = False) -> Row | None:
        async with self._told():
            with self._timed(kind), statement(sql):
                if is_in_lines:
                    return (text_of(await self._connection.fetch(sql, *arguments, timeout=self._seconds)),)
                row: Row | None = await self._connection.fetchrow(sql, *arguments, timeout=self._seconds)
                return row

    @contextmanager
    def _timed(self, kind: Kind) -> Iterator[None]:
        begun = perf_counter()
        try:
            yield
        finally:
            self._on_statement(kind, perf_counter() - begun)

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """What PostgreSQL refuses, in our words."""
        try:
            yield
        except asyncpg.PostgresError as error:
            raise to_domain(error) from error
        except LOST as error:
            self._connection.terminate()
            raise DatabaseUnavailable("The connection to the database was lost; nothing was written.") from error


_BROKEN_LINE = "22P04"


def _at_line(refused: RowhouseError, error: asyncpg.PostgresError, table: str) -> RowhouseError:
    """The error with the line that it is about: PostgreSQL names it behind the table, in whichever language."""
    place = re.search(rf"\b{table}\b\D*(\d+)", error.context or "")
    if place is None or not isinstance(refused, InvalidBody):
        return refused
    line = int(place[1])
    is_broken = refused.stable_code == _BROKEN_LINE
    message = "All lines must have same number of fields" if is_broken else refused.message
    return InvalidBody(
        message,
        details=f"Line {line}: {refused.message}",
        fields=[FieldError("", refused.message, line)],
        code="PGRST102" if is_broken else refused.stable_code,
    )
