"""How a feed begins and ends, by whichever transport."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import orjson
from starlette.types import Receive

from service.core.errors import AuthenticationFailed, DatabaseUnavailable, Forbidden, RowhouseError
from service.events.channel import End, FeedEnded
from service.events.event import Event, Kind

Events = AsyncGenerator[list[Event], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """How an end is told: the code that closes a WebSocket, and the event before it."""

    close: int
    code: str
    message: str

    def event(self) -> Event:
        body = orjson.dumps({"type": self.code, "code": self.code, "message": self.message})
        return Event("", Kind.END, body)


ENDINGS: Mapping[End, Ending] = MappingProxyType(
    {
        End.SHUTDOWN: Ending(1012, "reconnect", "The service is restarting: come back with the last id."),
        End.STANDBY: Ending(1013, "standby", "The database is a standby: changes are followed at the primary."),
        End.REVOKED: Ending(4401, "revoked", "The credential no longer holds."),
        End.FORBIDDEN: Ending(4403, "forbidden", "You may no longer read this."),
        End.REFETCH: Ending(4410, "must-refetch", "What you may see has changed: read the rows again."),
        End.FAILED: Ending(1011, "failed", "The feed cannot be read; its filter may not fit the rows."),
    }
)


async def first_of(events: Events) -> list[Event]:
    """The first events, before anything is sent: what goes wrong until then has an answer of its own.

    Raises:
        DatabaseUnavailable: the service is shutting down, or the database is a standby.
    """
    try:
        return await anext(events)
    except FeedEnded as ended:
        raise refusal(ended.reason) from None


def refusal(reason: End) -> RowhouseError:
    ending = ENDINGS[reason]
    match reason:
        case End.REVOKED:
            return AuthenticationFailed(ending.message)
        case End.FORBIDDEN | End.REFETCH:
            return Forbidden(ending.message)
        case End.STANDBY:
            return DatabaseUnavailable(ending.message, code=ending.code)
    return DatabaseUnavailable(ending.message, retry_after=1)


@asynccontextmanager
async def until_gone(receive: Receive, message_type: str) -> AsyncIterator[None]:
    """Do it until the client has gone."""
    serving = asyncio.current_task()
    is_gone = False

    async def watch() -> None:
        nonlocal is_gone
        while (await receive())["type"] != message_type:
            pass
        is_gone = True
        assert serving is not None
        serving.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
        if is_gone:  # just now: here it is told so
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        if not is_gone:
            raise
        assert serving is not None
        serving.uncancel()
    finally:
        watcher.cancel()
