"""Several statements on one connection: all of them, or none.

There are no savepoints in it: a row written behind one bears the number of a subtransaction, which is no version.
"""

from collections.abc import Sequence

import asyncpg

from service.core.errors import DatabaseUnavailable, InvalidQuery
from service.db.connections import Connection
from service.db.runner import LOST, Row, Unit, clean_up, set_locally, text_of
from service.db.sqlstate import to_domain


class Transaction:
    """Runs statements one after the other. After an error nothing more can be run: it must be rolled back."""

    def __init__(self, connection: Connection, epoch: str) -> None:
        self.epoch = epoch
        self._connection = connection
        self._transaction = connection.transaction()
        self._is_open = False
        self._must_clean = False

    async def begin(self) -> None:
        try:
            await self._transaction.start()
        except LOST as error:
            raise DatabaseUnavailable("The connection to the database was lost.") from error
        self._is_open = True

    async def read(self, sql: str, arguments: Sequence[object]) -> Row | None:
        return await self._run(sql, arguments)

    async def write(self, sql: str, arguments: Sequence[object]) -> Row | None:
        return await self._run(sql, arguments)

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
        row = await self._run(sql, arguments, is_in_lines=unit.is_in_lines)
        if unit.verify is not None and row is not None:
            unit.verify(row)
        if "timezone" in unit.settings:
            await set_locally(self._connection, {"timezone": "UTC"})
        return row

    async def commit(self) -> None:
        try:
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

    async def _run(self, sql: str, arguments: Sequence[object], *, is_in_lines: bool = False) -> Row | None:
        try:
            if is_in_lines:
                return (text_of(await self._connection.fetch(sql, *arguments)),)
            row: Row | None = await self._connection.fetchrow(sql, *arguments)
            return row
        except asyncpg.PostgresError as error:
            raise to_domain(error) from error
        except LOST as error:
            self._connection.terminate()
            raise DatabaseUnavailable("The connection to the database was lost; nothing was written.") from error
