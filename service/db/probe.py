"""What a probe asks the database: on a connection of its own, since the pool's may all be busy with good reason."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic, perf_counter

import asyncpg

from service.core.errors import DatabaseUnavailable
from service.db import migrations
from service.db.connections import Connection
from service.db.runner import LOST

# Who probes gives up sooner than a statement may take.
_PATIENCE_SECONDS = 2.0
_KEPT_SECONDS = 1.0
_LOOK = """
select pg_is_in_recovery(),
       case when pg_is_in_recovery() then extract(epoch from now() - pg_last_xact_replay_timestamp())::float8 end,
       (select array_agg(version_num) from rowhouse.alembic_version)
"""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of the database. `replayed_ago` is the age in seconds of what a standby has replayed last."""

    seconds: float
    is_standby: bool
    replayed_ago: float | None
    revisions: frozenset[str]
    pending: tuple[str, ...]


class DatabaseProbe:
    """Looks at the database, once a second at most, however many ask."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._look: asyncio.Task[Sight] | None = None
        self._begun = 0.0

    async def look(self) -> Sight:
        """What there is to see, or was within this second.

        Raises:
            DatabaseUnavailable: it did not answer in time, or cannot be reached.
        """
        if self._look is None or (self._look.done() and monotonic() - self._begun > _KEPT_SECONDS):
            self._begun = monotonic()
            self._look = asyncio.create_task(self._ask())
            self._look.add_done_callback(_seen)
        return await asyncio.shield(self._look)

    async def close(self) -> None:
        if self._look is not None:
            self._look.cancel()
        self._let_go()

    async def _ask(self) -> Sight:
        started = perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                row = await self._answer()
        except TimeoutError:  # before OSError, which it is a kind of
            self._let_go()
            message = f"The database does not answer within {_PATIENCE_SECONDS:g} seconds."
            raise DatabaseUnavailable(message) from None
        except (*LOST, asyncpg.PostgresError) as error:
            self._let_go()
            raise DatabaseUnavailable("The database cannot be reached.") from error
        seconds = perf_counter() - started
        revisions = frozenset(row[2] or ())
        state = await asyncio.to_thread(migrations.behind, revisions)
        return Sight(seconds, row[0], row[1], revisions, state.pending)

    async def _answer(self) -> asyncpg.Record:
        if self._connection is not None:
            try:
                return await self._fetch(self._connection)
            except LOST:  # a server that has been restarted, for one
                self._let_go()
        self._connection = await self._connect()
        return await self._fetch(self._connection)

    async def _fetch(self, connection: Connection) -> asyncpg.Record:
        row = await connection.fetchrow(_LOOK)
        assert row is not None
        return row

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _seen(look: "asyncio.Task[Sight]") -> None:
    """Whoever asked may have gone before the answer came."""
    if not look.cancelled():
        look.exception()
