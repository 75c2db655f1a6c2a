"""How a migration takes its locks: one process at a time, and never as the head of a queue for long."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import SystemRandom
from time import monotonic

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.core.errors import DatabaseUnavailable

_log = structlog.get_logger()
# Any number will do, as long as every process takes the same: migrations run one at a time.
_LOCK_KEY = 7_036_874_417_766
_TRY_LOCK = f"select pg_try_advisory_lock({_LOCK_KEY})"
_POLL_SECONDS = 0.25
APPLICATION_NAME = "rowhouse migrate"
_LOCK_NOT_AVAILABLE = "55P03"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
# What roles and databases may have set for requests must not end a migration. A process that was killed lets go of its
# locks within seconds, though PostgreSQL is amid a statement of its.
_SESSION = """
select set_config(name, '0', false) from pg_settings
where name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
union all select set_config('client_connection_check_interval', '2s', false) where version() like '%linux%'
union all select set_config('lock_timeout', :lock_timeout, false)
union all select set_config('application_name', :name, false)
"""


def _log_wait(reason: str) -> None:
    _log.info("migration_waits", reason=reason)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for which one statement may wait for a lock, with every later one queued behind it; and for which a
    migration is tried again that could not have its lock. `waits` is told what is waited for.
    """

    lock_timeout: float = 2.0
    seconds: float = 300.0
    waits: Callable[[str], None] = _log_wait


DEFAULT_PATIENCE = Patience()


async def wait_for_turn(ask: Callable[[str], Awaitable[object]], waits: Callable[[str], None] = _log_wait) -> None:
    """Wait until no other process changes what Rowhouse has in this database. The turn ends with the connection.

    `ask` runs a statement in a transaction of its own. It is asked again and again, and not waited: a statement that
    waits holds a snapshot, and whoever makes an index concurrently waits for all that are older.
    """
    is_told = False
    while not await ask(_TRY_LOCK):
        if not is_told:
            waits("Another process migrates this database.")
            is_told = True
        await asyncio.sleep(_POLL_SECONDS)


async def prepare(connection: AsyncConnection, patience: Patience) -> None:
    """Wait for the turn to migrate, and set the session up for it."""

    async def ask(statement: str) -> object:
        answer = (await connection.execute(text(statement))).scalar()
        await connection.commit()
        return answer

    await wait_for_turn(ask, patience.waits)
    await connection.execute(
        text(_SESSION), {"lock_timeout": f"{round(patience.lock_timeout * 1000)}ms", "name": APPLICATION_NAME}
    )
    await connection.commit()


async def without_queueing(migrate: Callable[[], None], patience: Patience) -> None:
    """Run migrations, in a thread; where a lock is not to be had, again after a pause in which others go on.

    Raises:
        DatabaseUnavailable: not for so long.
    """
    deadline = monotonic() + patience.seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return await asyncio.to_thread(migrate)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            if monotonic() + pause > deadline:
                raise DatabaseUnavailable(
                    f"A migration could not have its lock for {patience.seconds:g} s: another transaction holds the "
                    "table. What was migrated stays, and another run goes on from there. See who has been at it for "
                    "long in pg_stat_activity (xact_start, query)."
                ) from error
        patience.waits("Others hold a table that is to be changed; it is tried again.")
        await asyncio.sleep(pause * SystemRandom().uniform(0.5, 1.0))
        pause = min(pause * 2, _LONGEST_PAUSE)
