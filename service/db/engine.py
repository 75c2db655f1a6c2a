"""The control plane's SQLAlchemy engine, and its unit of work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import Connection as SqlConnection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as AllBusy
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from service.core.errors import DatabaseUnavailable
from service.core.settings import DatabaseSettings
from service.db.engine_trail import leave_trails
from service.db.runner import LOST
from service.db.session import answer_timeout, session_settings
from service.db.sqlstate import to_domain
from service.observability.metrics import Kind, OnStatement

# The control plane is rarely used; the connections belong to the table plane.
_POOL_SIZE = 2
_OVERFLOW = 3
MOST_CONNECTIONS = _POOL_SIZE + _OVERFLOW


def make_engine(url: str, settings: DatabaseSettings, *, role: str | None, size: int = _POOL_SIZE) -> AsyncEngine:
    """An engine on asyncpg, with so many connections and a few more. Nothing is connected until it is used."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=size,
        max_overflow=_OVERFLOW,
        pool_pre_ping=True,
        pool_timeout=settings.pool_timeout,
        connect_args={
            "timeout": settings.connect_timeout,
            "command_timeout": answer_timeout(settings),
            "server_settings": session_settings(settings, role),
        },
        hide_parameters=True,
    )
    leave_trails(engine.sync_engine)
    return engine


def on_engine(engine: AsyncEngine, on_statement: OnStatement) -> None:
    """Tell how long each statement of the engine took."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def begin(connection: SqlConnection, *_: object) -> None:
        connection.info["rowhouse.begun"] = perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def end(connection: SqlConnection, *_: object) -> None:
        on_statement(Kind.CONTROL, perf_counter() - connection.info["rowhouse.begun"])


class UnitOfWork:
    """Opens a session whose work is kept whole when the block ends, and dropped whole on any error."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be reached.
            RowhouseError: PostgreSQL refused a statement.
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except DBAPIError as error:
            raise _explain(error) from error
        except AllBusy:
            raise DatabaseUnavailable("All database connections are busy.", code="pool_exhausted") from None
        except (*LOST, asyncpg.PostgresError) as error:
            raise DatabaseUnavailable("The database cannot be reached.") from error


def _explain(error: DBAPIError) -> Exception:
    cause = error.orig.__cause__ if error.orig else None
    if isinstance(cause, asyncpg.QueryCanceledError):
        # Rowhouse's own statements are short, whatever the caller sent: something else holds them up.
        return DatabaseUnavailable("The database did not answer in time.")
    if isinstance(cause, asyncpg.PostgresError) and not error.connection_invalidated:
        return to_domain(cause)
    return DatabaseUnavailable("The database cannot be reached.")
