"""The hub: all feeds of a process, on one follower."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.core.background import Background
from service.core.errors import TooManyRequests
from service.core.settings import FeedSettings
from service.core.slots import Slots
from service.events.channel import Channel, End, FeedEnded, Give, Subscriber
from service.events.follow import Batch, Follower
from service.events.log import ChangeLog, Feed
from service.observability.metrics import FeedMetrics

_RECONNECT_SECONDS = 1


class Hub(Background):
    """Channels by feed, and who is on them. It is the follower's audience.

    `beginning` is held by feeds while they ask what they need to begin. `watchers` are called whenever a process of the
    service has committed something.
    """

    def __init__(self, log: ChangeLog, beginning: Slots, settings: FeedSettings, metrics: FeedMetrics) -> None:
        self.log = log
        self.beginning = beginning
        self.settings = settings
        self.metrics = metrics
        self.is_draining = False
        self.follower: Follower | None = None
        self.watchers: list[Callable[[], None]] = []
        self._channels: dict[Feed, Channel] = {}
        self._connections: Counter[str] = Counter()
        self._life: str | None = None
        metrics.watch(self)

    @property
    def is_listening(self) -> bool:
        return bool(self._channels)

    @property
    def has_past(self) -> bool:
        """Whether somebody follows already, and must not miss what happens between two looks."""
        return any(channel.position is not None for channel in self._channels.values())

    @property
    def refuses(self) -> End | None:
        """Why nobody can follow anything now."""
        if self.is_draining:
            return End.SHUTDOWN
        is_on_standby = self.follower is not None and self.follower.is_on_standby
        return End.STANDBY if is_on_standby else None

    @contextmanager
    def admitted(self, client: str) -> Iterator[None]:
        """Count a connection of a client while the block lasts.

        Raises:
            TooManyRequests: the caller has too many.
        """
        if self._connections[client] >= self.settings.feed_max_connections:
            raise TooManyRequests(
                f"More than {self.settings.feed_max_connections} feeds at once.", retry_after=_RECONNECT_SECONDS
            )
        self._connections[client] += 1
        try:
            yield
        finally:
            self._connections[client] -= 1
            if not self._connections[client]:
                del self._connections[client]

    def join(self, feed: Feed, give: Give) -> Subscriber:
        """A subscriber whose live events begin behind this moment, once it has joined.

        Raises:
            FeedEnded: the service is shutting down, or the database is a standby.
        """
        if (reason := self.refuses) is not None:
            raise FeedEnded(reason)
        channel = self._channels.get(feed)
        if channel is None or channel.is_closed:
            channel = self._channels[feed] = Channel(feed, self.log, self.metrics.count_gap, self.metrics.count_events)
        assert self.follower is not None
        subscriber = Subscriber(self.settings.feed_queue, self.follower.request(), give)
        channel.join(subscriber)
        return subscriber

    def leave(self, feed: Feed, subscriber: Subscriber) -> None:
        channel = self._channels.get(feed)
        if channel is None:
            return
        channel.leave(subscriber)
        if channel.is_empty:
            channel.close(End.SHUTDOWN)
            del self._channels[feed]

    def take(self, batch: Batch, lag: float) -> None:
        if batch.first is not None:
            self.metrics.observe_lag(lag)
        for channel in list(self._channels.values()):
            channel.announce(batch)

    def begin_life(self, life: str) -> None:
        if self._life is not None and life != self._life:
            self._end_all(End.REFETCH)
        self._life = life

    def stand_by(self) -> None:
        self._end_all(End.STANDBY)

    def wake(self) -> None:
        """A process of the service has committed something."""
        if self.follower is not None and self._channels:
            self.follower.wake()
        for watcher in self.watchers:
            watcher()

    async def drain(self) -> None:
        """Send everybody away, to come back to another process."""
        self.is_draining = True
        self._end_all(End.SHUTDOWN)
        await asyncio.sleep(0)

    def subscribers(self) -> list[Subscriber]:
        return [one for channel in self._channels.values() for one in channel.everybody()]

    async def _run(self) -> None:
        """One timer for all who wait, rather than one each."""
        while True:
            await asyncio.sleep(self.settings.feed_heartbeat_seconds)
            for subscriber in self.subscribers():
                subscriber.nudge()

    def _end_all(self, reason: End) -> None:
        for channel in self._channels.values():
            channel.close(reason)
        self._channels.clear()
