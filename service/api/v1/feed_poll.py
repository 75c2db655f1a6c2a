"""A feed by long poll: what has happened since a cursor, or what happens next."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
from starlette.types import Receive

from service.api.v1.exchange import Answer
from service.api.v1.feed_end import Events, refusal, until_gone
from service.core.errors import DatabaseUnavailable, LimitExceeded, MustRefetch
from service.events.channel import End, FeedEnded
from service.events.event import Event, Kind
from service.events.session import Session

# So many changes are enough for one answer: the next one gets the rest.
_MOST_POLLED = 5000
# And so long may it look for them.
_MOST_SECONDS = 20
_CHANGES = (Kind.INSERT, Kind.UPDATE, Kind.DELETE)


@dataclass(slots=True)
class Poll:
    """One poll: `has_begun` with a cursor; it waits so many seconds for something to happen."""

    session: Session
    has_begun: bool
    wait: float
    most_rows: int
    _found: list[Event] = field(default_factory=list)
    _is_live: bool = False

    async def answer(self, receive: Receive, events: Events) -> Answer:
        """What was found, and the cursor for the next poll.

        Raises:
            DatabaseUnavailable: it could not begin.
            MustRefetch: some of it is gone.
            LimitExceeded: it began with more rows than one answer may have.
        """
        try:
            async with until_gone(receive, "http.disconnect"):
                with suppress(TimeoutError):
                    await self._gather(events)
        except FeedEnded as ended:
            # A service that stops gives what it has; the next poll goes to another.
            if ended.reason is not End.SHUTDOWN or not self.session.cursor:
                raise refusal(ended.reason) from None
        finally:
            await events.aclose()
        if not self.session.cursor and not self._found:
            raise DatabaseUnavailable("The feed could not begin; try again.", retry_after=1)
        bodies = b",".join(event.body for event in self._found)
        body = b'{"events":[%s],"cursor":%s}' % (bodies, orjson.dumps(self.session.cursor))
        return Answer(200, body, [(b"cache-control", b"no-store")])

    async def _gather(self, events: Events) -> None:
        now = asyncio.get_running_loop().time
        latest = now() + _MOST_SECONDS
        async with asyncio.timeout(None) as patience:
            async for page in events:
                self._take(page)
                if not self._is_live and any(event.kind is Kind.UP_TO_DATE for event in page):
                    self._is_live = True  # only now is there something to wait for
                    patience.reschedule(now() + self.wait)
                if self._has_enough(page) or (now() > latest and self._may_stop()):
                    return

    def _may_stop(self) -> bool:
        """Whether there is a cursor to go on from with the next poll, or nothing at all."""
        return not self._is_live and (bool(self.session.cursor) or not self._found)

    def _take(self, page: list[Event]) -> None:
        if any(event.kind is Kind.MUST_REFETCH for event in page):
            raise MustRefetch(
                "Some of the changes since this cursor are gone.",
                hint="Read the rows again: snapshot=true, without a cursor.",
            )
        self._found += [event for event in page if event.kind in _CHANGES or event.kind is Kind.ROWS]
        if any(event.kind is Kind.ROWS for event in page) and self._rows() > self.most_rows:
            raise LimitExceeded(
                "There are too many rows for one answer.", hint="Accept: text/event-stream has no limit."
            )

    def _rows(self) -> int:
        return sum(event.rows for event in self._found)

    def _has_enough(self, page: list[Event]) -> bool:
        if self._is_live:
            return bool(self._found) or not self.has_begun
        return len(self._found) >= _MOST_POLLED and all(event.kind is not Kind.ROWS for event in page)
