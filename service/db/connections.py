"""Connections of asyncpg, kept open: the one used last goes out first.

asyncpg's own pool costs a round trip for the reset and a proxy object for each statement, together as much as reading
a row by its key does.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:  # generic for the type checker alone
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_IDLE_SECONDS = 300
# A crowd that comes at once would open one each, to be dropped after that time: pools swelled and
# shrank under an even load.
_MOST_OPENING = 4


@asynccontextmanager
async def brief_connection(url: str, **options: Any) -> AsyncIterator[Connection]:
    """A connection outside the pools, with asyncpg's options. Closed in the end, or cut off where anything went wrong:
    a server that stands still would not answer a farewell either.

    Raises: those of asyncpg and OSError (TimeoutError is one).
    """
    connection = await asyncpg.connect(url, **options)
    try:
        yield connection
    except BaseException:
        connection.terminate()
        raise
    await connection.close()


class AllBusy(Exception):
    """All connections are in use, and none was given back in time."""


class Connections:
    """At most `max_size` open connections, a few of them being opened at a time. Taking an idle one needs no await.

    A connection that is given back must be at rest, or closed. `on_wait` is told the seconds that it took to get one
    where none was idle, also in vain.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], max_size: int) -> None:
        self._connect = connect
        self.max_size = max_size
        self.on_wait: Callable[[float], None] = _nothing
        self._idle: deque[tuple[float, Connection]] = deque()
        self._busy: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    def sizes(self) -> tuple[int, int]:
        """Connections open, and of these idle."""
        return len(self._idle) + len(self._busy), len(self._idle)

    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def take_idle(self) -> Connection | None:
        """A connection, if one is idle."""
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.is_closed():
                self._busy.add(connection)
                return connection
        return None

    async def take(self, seconds: float) -> Connection:
        """A connection: idle, new, or, within so many seconds, given back by another or opened after others.

        Raises:
            AllBusy: none was given back.
            those of asyncpg and OSError (TimeoutError is one): a new one could not be opened.
        """
        connection = self.take_idle()
        if connection is not None:
            return connection
        begun = monotonic()
        try:
            if self._may_open():
                self._opening += 1
                return await self._open()
            async with asyncio.timeout(seconds):
                return await self._wait() or await self._open()
        except TimeoutError:
            if self._is_full():
                raise AllBusy from None
            raise
        finally:
            self.on_wait(monotonic() - begun)

    def give(self, connection: Connection) -> None:
        """Give a connection back. The next in line gets it; in place of a closed one, the right to open another."""
        self._busy.discard(connection)
        if connection.is_closed():
            self._let_open()
        elif self._hand_on(connection):
            self._busy.add(connection)
        else:
            self._idle.append((monotonic(), connection))
            self._drop_unused()

    async def close(self, seconds: float) -> None:
        """Close what is idle at once; what is busy gets so many seconds to finish."""
        async with asyncio.timeout(seconds):
            while self._busy or self._idle:
                while (connection := self.take_idle()) is not None:
                    self._busy.discard(connection)
                    await connection.close()
                if self._busy:
                    await asyncio.sleep(0.05)

    def terminate(self) -> None:
        """Cut off everything."""
        for connection in [*self._busy, *(connection for _, connection in self._idle)]:
            connection.terminate()
        self._idle.clear()

    async def _open(self) -> Connection:
        """Open a connection in the place that was counted for it.

        It outlives the request that it is opened for: what it does later is to know nothing of that request.
        """
        opening = asyncio.create_task(self._connected(), context=Context())
        try:
            connection = await opening
        except BaseException:
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().terminate()  # we were cancelled just as it was there
            self._opening -= 1
            self._let_open()
            raise
        self._opening -= 1
        self._busy.add(connection)
        self._let_open()
        return connection

    async def _connected(self) -> Connection:
        return await self._connect()

    async def _wait(self) -> Connection | None:
        future: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return await future
        except BaseException:
            self._stop_waiting(future)
            raise

    def _stop_waiting(self, future: asyncio.Future[Connection | None]) -> None:
        if future in self._waiting:
            self._waiting.remove(future)
        elif future.cancelled():
            return
        # It came just as we stopped waiting.
        elif (connection := future.result()) is not None:
            self.give(connection)
        else:
            self._opening -= 1
            self._let_open()

    def _may_open(self) -> bool:
        """Asked where none is idle."""
        return self._opening < _MOST_OPENING and not self._is_full()

    def _is_full(self) -> bool:
        return len(self._busy) + self._opening >= self.max_size

    def _let_open(self) -> None:
        """Let the next in line open a connection, as many of them as may."""
        while self._may_open() and self._hand_on(None):
            self._opening += 1

    def _hand_on(self, connection: Connection | None) -> bool:
        """To the next in line; None: a place to open one in."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(connection)
                return True
        return False

    def _drop_unused(self) -> None:
        """Close what has not been needed for long: with the last one out first, it lies at the other end."""
        while self._idle[0][0] < monotonic() - _IDLE_SECONDS:
            _, connection = self._idle.popleft()
            connection.terminate()


def _nothing(_: float) -> None:
    """Nobody wants to know."""
