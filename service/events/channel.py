"""A channel: one feed, read once and encoded once for all its subscribers."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from enum import Enum

import structlog

from service.core.errors import DatabaseUnavailable, RowhouseError
from service.events.event import Event
from service.events.follow import Batch
from service.events.log import PAGE, PAGE_BYTES, ChangeLog, Feed, Page
from service.events.position import Cursor, Position

_log = structlog.get_logger()
_RETRY_SECONDS = 0.25
# How long a channel that has much to send waits for those that are still reading.
_PATIENCE_SECONDS = 2.0
_PATIENCE_STEP = 0.01
# What may wait for one client, besides the number of events.
_MOST_BYTES = 4 * PAGE_BYTES
# More than this is written by a task for each client, which has its turn among the others.
_AT_ONCE_BYTES = 65_536


Give = Callable[[Page], bool]


class End(Enum):
    """Why a feed ends."""

    SHUTDOWN = "shutdown"
    STANDBY = "standby"
    REVOKED = "revoked"
    FORBIDDEN = "forbidden"
    REFETCH = "refetch"
    FAILED = "failed"


class FeedEnded(Exception):
    """The feed is over for this subscriber."""

    def __init__(self, reason: End) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Subscriber:
    """The events that wait for one client, at most so many and so large. `start` is where its live events begin.
    `give` is tried with what is small where nothing waits: whether the client could be given it at once.

    One that falls behind is taken off the channel (`has_gap`): what it has not read, it reads from the log.
    """

    __slots__ = (
        "_end", "_is_nudged", "_joined", "_most", "_queue", "_size", "_waiter", "after", "channel", "give", "has_gap",
        "start",
    )  # fmt: skip

    def __init__(self, most: int, after: int, give: Give) -> None:
        self.give = give
        self._queue: list[Event] = []
        self._size = 0
        self._most = most
        self._waiter: asyncio.Future[None] | None = None
        self._is_nudged = False
        self._end: End | None = None
        self.channel: Channel | None = None
        self.after = after
        self.has_gap = False
        self.start = Position.at("1:1:")
        self._joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def depth(self) -> int:
        return len(self._queue)

    @property
    def is_behind(self) -> bool:
        """Whether half a page is too much for it now."""
        return self.depth > PAGE // 2 or self._size > PAGE_BYTES // 2

    def join(self, start: Position) -> None:
        """It gets what comes from here on."""
        self.start = start
        if not self._joined.done():
            self._joined.set_result(None)

    async def has_joined(self, seconds: float) -> bool:
        """Wait for that so long at most.

        Raises:
            FeedEnded: it will not.
        """
        done, _ = await asyncio.wait({self._joined}, timeout=seconds)
        for joined in done:
            joined.result()
        return bool(done)

    def offer(self, page: Page) -> bool:
        """Let it have these; False where it had too many already, and has to read the log."""
        events, size = page.events, page.size
        if self._is_at_rest and size <= _AT_ONCE_BYTES and self.give(page):
            return True
        is_too_much = bool(self._queue) and self._size + size > _MOST_BYTES
        if is_too_much or len(self._queue) + len(events) > self._most:
            self.has_gap = True
            self._queue, self._size = [], 0
        else:
            self._queue = self._queue + events if self._queue else events
            self._size += size
        self._wake()
        return not self.has_gap

    def nudge(self) -> None:
        """It has waited for long: let it show that it is there."""
        self._is_nudged = True
        self._wake()

    def end(self, reason: End) -> None:
        """It gets nothing more."""
        self._end = self._end or reason
        self._wake()
        if not self._joined.done():
            self._joined.set_exception(FeedEnded(reason))
            self._joined.exception()  # seen, whether or not somebody still waits

    async def take(self) -> list[Event]:
        """What waits, as soon as something does; nothing after a nudge, or where there is a gap.

        Raises:
            FeedEnded: it is over.
        """
        if not (self._queue or self.has_gap or self._end or self._is_nudged):
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._end is not None:
            raise FeedEnded(self._end)
        self._is_nudged = False
        events, self._queue, self._size = self._queue, [], 0
        return events

    @property
    def _is_at_rest(self) -> bool:
        """Whether it has all that there was, and waits for more."""
        return self._waiter is not None and not self._waiter.done()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Channel:
    """Reads a feed's changes as they come, and hands them to its subscribers.

    `position` is a boundary between batches: a subscriber joins there, and reads what is before from the log.
    """

    def __init__(self, feed: Feed, log: ChangeLog, on_gap: Callable[[], None], on_sent: Callable[[int], None]) -> None:
        self.feed = feed
        self.members: set[Subscriber] = set()
        self.position: str | None = None
        self._joining: list[Subscriber] = []
        self._tracked = frozenset(feed.tracked)
        self._log = log
        self._on_gap = on_gap
        self._on_sent = on_sent
        self._pending: Batch | None = None
        self._boundary: tuple[str, str] | None = None
        self._announced = asyncio.Event()
        self._is_reading = False
        self.is_closed = False
        # Of nobody's request, though the first one's begins it.
        self._task = asyncio.create_task(self._run(), context=Context())

    @property
    def is_empty(self) -> bool:
        return not (self.members or self._joining)

    def everybody(self) -> list[Subscriber]:
        return [*self.members, *self._joining]

    def join(self, subscriber: Subscriber) -> None:
        """Let it have what comes after a boundary that lies behind this moment."""
        subscriber.channel = self
        self._joining.append(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        self.members.discard(subscriber)
        if subscriber in self._joining:
            self._joining.remove(subscriber)

    @property
    def boundary(self) -> str | None:
        """The cursor of where the channel stands while it reads nothing: all that was before has been handed out.

        It is written once for all subscribers, who ask for it at the same moment.
        """
        if self._is_reading or self._pending is not None or self.position is None:
            return None
        if self._boundary is None or self._boundary[0] != self.position:
            cursor = Cursor(self._log.life, self.feed.digest, Position.at(self.position))
            self._boundary = (self.position, self._log.cursors.write(cursor))
        return self._boundary[1]

    def close(self, reason: End) -> None:
        self.is_closed = True
        for subscriber in self.everybody():
            subscriber.end(reason)
        if asyncio.current_task() is not self._task:
            self._task.cancel()

    def announce(self, batch: Batch) -> None:
        """Somebody has looked at the log."""
        if self.position is None:  # nobody was here before
            batch = Batch(batch.number, batch.until, None, 0, frozenset())
        is_concerned = batch.first is not None and not self._tracked.isdisjoint(batch.tracked)
        if not is_concerned and not self._is_reading and self._pending is None:
            self._arrive(batch)
            return
        self._pending = _joined(self._pending, batch, is_concerned=is_concerned)
        self._announced.set()

    async def _run(self) -> None:
        while True:
            await self._announced.wait()
            self._announced.clear()
            batch, self._pending = self._pending, None
            if batch is None:
                continue
            self._is_reading = True
            try:
                if batch.first is not None:
                    await self._read(batch, batch.first)
            except RowhouseError as error:
                _log.warning("feed_failed", tables=self.feed.names, message=error.message)
                self.close(End.FAILED)
                return
            except Exception:
                _log.exception("feed_failed", tables=self.feed.names)
                self.close(End.FAILED)
                return
            self._is_reading = False
            self._arrive(batch)

    async def _read(self, batch: Batch, first: int) -> None:
        assert self.position is not None
        done = first - 1
        while True:
            try:
                async for page in self._log.pages(self.feed, Position(self.position, batch.until, done), batch.last):
                    done = page.seq
                    if page.events:
                        self._hand_out(page)
                    if page.is_full:
                        await self._pace()
                return
            except DatabaseUnavailable:  # it goes on behind what was handed out
                await asyncio.sleep(_RETRY_SECONDS)

    def _hand_out(self, page: Page) -> None:
        self._on_sent(len(page.events) * len(self.members))
        for subscriber in [one for one in self.members if not one.offer(page)]:
            self.members.discard(subscriber)
            self._on_gap()

    async def _pace(self) -> None:
        """Let clients read what they have before more comes; those that are too slow are left behind."""
        waited = 0.0
        while waited < _PATIENCE_SECONDS and any(one.is_behind for one in self.members):
            await asyncio.sleep(_PATIENCE_STEP)
            waited += _PATIENCE_STEP

    def _arrive(self, batch: Batch) -> None:
        """At a boundary: those who wait for it join."""
        self.position = batch.until
        for subscriber in [one for one in self._joining if one.after <= batch.number]:
            self._joining.remove(subscriber)
            self.members.add(subscriber)
            subscriber.join(Position.at(batch.until))


def _joined(before: Batch | None, batch: Batch, *, is_concerned: bool) -> Batch:
    """Two batches as one, of which only those that concern the channel have changes."""
    first, last = (batch.first, batch.last) if is_concerned else (None, 0)
    if before is None or before.first is None:
        return Batch(batch.number, batch.until, first, last, batch.tracked)
    first = before.first if first is None else min(first, before.first)
    return Batch(batch.number, batch.until, first, max(last, before.last), batch.tracked)
