"""One client's feed: what it missed, read from the log, and then what comes."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field

from service.auth.principal import Principal
from service.core.errors import DatabaseUnavailable, RowhouseError
from service.events.channel import End, FeedEnded, Subscriber
from service.events.event import Event, Kind
from service.events.hub import Hub
from service.events.log import Feed, Page
from service.events.logged import Entry
from service.events.position import Cursor, Position


def _cannot(_frames: bytes) -> bool:
    return False


@dataclass(slots=True, eq=False)
class Session:
    """A client's feed. `rebuild` makes the feed again as policy now has it; `generation` is that of the policy.
    `entries` is how its tables were tracked when it began. `write` writes WebSocket frames past `events`, where that
    can be done at once.
    """

    hub: Hub
    principal: Principal
    feed: Feed
    entries: tuple[Entry, ...]
    generation: int
    rebuild: Callable[[], Feed]
    write: Callable[[bytes], bool] = _cannot
    _subscriber: Subscriber | None = field(default=None)
    _last: str = ""
    _end: End | None = None

    @property
    def cursor(self) -> str:
        """What the client has been given."""
        return self._last

    def end(self, reason: End) -> None:
        """Stop it, from outside."""
        self._end = self._end or reason
        if self._subscriber is not None:
            self._subscriber.end(reason)

    async def events(self, cursor: Cursor | None) -> AsyncGenerator[list[Event], None]:
        """The events from a cursor on, or from now. An empty list stands for a while in which nothing happened.

        Raises:
            FeedEnded: it is over.
        """
        while True:
            subscriber = self._join()
            try:
                while not await subscriber.has_joined(self.hub.settings.feed_heartbeat_seconds):
                    yield []
                position = await self._place(cursor)
                if position is None and cursor is not None:
                    yield [self._told(Kind.MUST_REFETCH, subscriber.start)]
                start = position or subscriber.start
                if not self._last or position is None:
                    yield [self._told(Kind.READY, start)]
                try:
                    async for page in self._missed(start, subscriber.start):
                        self.require_going()
                        self._last = page.cursor
                        self.hub.metrics.count_events(len(page.events))
                        yield page.events
                except DatabaseUnavailable:
                    raise
                except RowhouseError:  # what was logged does not fit the table any more; what it holds now can be read
                    position = None
                    yield [self._told(Kind.MUST_REFETCH, subscriber.start)]
                # Retention may have dropped some of it while it was read.
                if position is not None and not await self._can_follow(position):
                    position = None
                    yield [self._told(Kind.MUST_REFETCH, subscriber.start)]
                yield [self._told(Kind.UP_TO_DATE, subscriber.start)]
                while True:
                    events = await subscriber.take()
                    if subscriber.has_gap:  # the channel has gone on without this client
                        break
                    if events:
                        self._last = events[-1].id
                        yield events
                    else:
                        yield self._idle()
            finally:
                self.hub.leave(self.feed, subscriber)
            cursor = self.hub.log.cursors.read(self._last)
            yield [Event.of_feed(Kind.GAP, self._last)]

    def require_going(self) -> None:
        """Raise FeedEnded where it was stopped from outside, or the hub refuses everybody."""
        self._end = self._end or self.hub.refuses
        if self._end is not None:
            raise FeedEnded(self._end)

    def _join(self) -> Subscriber:
        self.require_going()
        self._subscriber = self.hub.join(self.feed, self._give)
        return self._subscriber

    async def _place(self, cursor: Cursor | None) -> Position | None:
        """Where to go on from; None where that is from now on, and what was before has to be read again."""
        if cursor is None or not await self._can_follow(cursor.position):
            return None
        is_known = (cursor.life, cursor.feed) == (self.hub.log.life, self.feed.digest)
        return cursor.position if is_known else None

    async def _can_follow(self, position: Position) -> bool:
        async with self.hub.beginning.take():
            return await self.hub.log.can_follow(self.feed, position)

    async def _missed(self, position: Position, until: Position) -> AsyncIterator[Page]:
        """What lies between two positions: the rest of a batch, and all that came after it."""
        log = self.hub.log
        if position.seen != position.until:
            async for page in log.between(self.feed, position):
                yield page
        async for page in log.between(self.feed, Position(position.until, until.seen)):
            yield page

    def _give(self, page: Page) -> bool:
        """Give live events to a client that has all others."""
        if not self.write(page.frames):
            return False
        self._last = page.events[-1].id
        return True

    def _idle(self) -> list[Event]:
        """Nothing has happened: the client stands where the channel does."""
        channel = None if self._subscriber is None else self._subscriber.channel
        boundary = None if channel is None else channel.boundary
        if boundary is not None:
            self._last = boundary
        return []

    def _told(self, kind: Kind, position: Position) -> Event:
        self._last = self._write(position)
        return Event.of_feed(kind, self._last)

    def _write(self, position: Position) -> str:
        return self.hub.log.cursors.write(Cursor(self.hub.log.life, self.feed.digest, position))
