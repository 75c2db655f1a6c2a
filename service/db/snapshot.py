"""Rows as they were at one moment, however long it takes to read them."""

from collections.abc import AsyncIterator, Sequence

from service.db.connections import Connection
from service.db.runner import Row, set_locally

_CHUNK = 500
# The reader may be slow; then the connection waits between two chunks.
_PATIENCE = {"idle_in_transaction_session_timeout": "60s"}


class Snapshot:
    """A read-only transaction in which all statements see the same. `name` is what PostgreSQL calls it."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name

    @classmethod
    async def begin(cls, connection: Connection) -> "Snapshot":
        """In a transaction that was begun as repeatable read."""
        await set_locally(connection, _PATIENCE)
        return cls(connection, await connection.fetchval("select pg_current_snapshot()::text"))

    async def rows(self, sql: str, arguments: Sequence[object]) -> AsyncIterator[Sequence[Row]]:
        """The rows of a statement in chunks, through a cursor of the server."""
        cursor = await self._connection.cursor(sql, *arguments)
        while chunk := await cursor.fetch(_CHUNK):
            yield chunk
