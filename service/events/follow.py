"""The follower: one a process, it finds out what has been committed since it last looked.

It is woken at once by this process's own commits, by notifications of other processes, and looks by itself now and then
for the commits of others; while nobody listens it sleeps.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import asyncpg
import structlog

from service.core.background import Background
from service.db.connections import Connection
from service.db.runner import LOST
from service.events.log import BATCH

_log = structlog.get_logger()
_RETRY_SECONDS = 0.25
_STANDBY_SECONDS = 1.0
_IS_STANDBY = "select pg_is_in_recovery()"
_BEGIN_LIFE = "select rowhouse.begin_life()"
# After a crash, numbers of transactions that left nothing on disk are given again.
_IS_PAST = "select pg_snapshot_xmax($1::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())"
_NOW = "select pg_current_snapshot()::text, null::bigint, null::bigint, null::int[], 0::float8"


@dataclass(frozen=True, slots=True)
class Batch:
    """What `until` sees and the snapshot before it does not: numbers of the first and last change, and of the tables.

    `number` counts the looks: what was committed before a look began is in its batch or in an earlier one.
    """

    number: int
    until: str
    first: int | None
    last: int
    tracked: frozenset[int]


class Audience(Protocol):
    """Who wants to know."""

    @property
    def is_listening(self) -> bool: ...

    @property
    def has_past(self) -> bool:
        """Whether it matters what happened between two looks."""

    def take(self, batch: Batch, lag: float) -> None:
        """Something may have happened. `lag` is the age of the oldest change in seconds."""

    def begin_life(self, life: str) -> None:
        """The follower follows this cluster; what was followed in another life is over."""

    def stand_by(self) -> None:
        """Nothing can be followed, until there is a primary."""


class Follower(Background):
    """Looks at the log on a connection of its own, whenever it is woken."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], audience: Audience, poll_seconds: float) -> None:
        self._connect = connect
        self._audience = audience
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._number = 0
        self._life: str | None = None
        self._position: str | None = None
        self._lost_at: float | None = monotonic()
        self.is_on_standby = False

    @property
    def is_connected(self) -> bool:
        return self._lost_at is None

    @property
    def lost_seconds(self) -> float | None:
        """For how long it has not been able to look; None where it is."""
        return None if self._lost_at is None else monotonic() - self._lost_at

    def wake(self) -> None:
        """Something was committed."""
        self._woken.set()

    def request(self) -> int:
        """Look now. Returns the number of the first look that begins after this."""
        self._woken.set()
        return self._number + 1

    async def _run(self) -> None:
        has_told = False
        while True:
            try:
                connection = await self._connect()
                try:
                    await self._follow(connection)
                finally:
                    if self._lost_at is None:  # else it was not found again in between
                        self._lost_at = monotonic()
                        has_told = False
                    connection.terminate()
            except (*LOST, asyncpg.PostgresError) as error:
                if not has_told:
                    _log.warning("follower_lost_its_connection", reason=type(error).__name__)
                has_told = True
            except Exception:  # whatever it is, feeds go on from where they are
                _log.exception("follower_failed")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self, connection: Connection) -> None:
        # Asleep, it would not notice that its connection has gone.
        connection.add_termination_listener(lambda _: self._woken.set())
        await self._until_primary(connection)
        life = await connection.fetchval(_BEGIN_LIFE)
        if self._position is not None and not await connection.fetchval(_IS_PAST, self._position):
            self._audience.begin_life("")
            self._position = None
        if life != self._life:
            self._position = None
        self._life = life
        self._audience.begin_life(life)
        since, now = await connection.prepare(BATCH), await connection.prepare(_NOW)
        self._lost_at = None
        self._woken.set()  # what woke it may have been lost with the connection before
        while True:
            await self._wait()
            self._number += 1
            if self._position is not None and self._audience.has_past:
                self._report(await since.fetchrow(self._position))
            else:
                self._report(await now.fetchrow())

    async def _until_primary(self, connection: Connection) -> None:
        """Snapshots of a standby do not say which transactions are running: what these change would be lost."""
        while await connection.fetchval(_IS_STANDBY):
            self._lost_at = None
            if not self.is_on_standby:
                self.is_on_standby = True
                _log.warning("nothing_to_follow", message="The database is a standby: live feeds are at the primary.")
                self._audience.stand_by()
            await asyncio.sleep(_STANDBY_SECONDS)
        self.is_on_standby = False

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds if self._audience.is_listening else None):
                await self._woken.wait()
        self._woken.clear()

    def _report(self, row: asyncpg.Record | None) -> None:
        assert row is not None
        until, first, last, tracked, lag = row
        self._audience.take(Batch(self._number, until, first, last or 0, frozenset(tracked or ())), lag)
        self._position = until  # only now: what was not handed on is found again
