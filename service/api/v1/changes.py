"""Feeds of changes: the same events as Server-Sent Events, by WebSocket, and by long poll."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

import orjson
from starlette.types import Receive, Scope, Send

from service.api.v1.exchange import Answer, client_address, headers_of
from service.api.v1.follow_request import FollowRequest, make_feed, parse_follow, read_plans
from service.api.v1.paths import ChangesPath
from service.auth.principal import Principal
from service.core.errors import (
    AuthenticationFailed,
    DatabaseUnavailable,
    Forbidden,
    LimitExceeded,
    MethodNotAllowed,
    MustRefetch,
    RowhouseError,
)
from service.core.settings import Settings
from service.db.runner import Row
from service.events.channel import End, FeedEnded
from service.events.event import Event, Kind
from service.events.log import Feed
from service.events.position import Cursor, Position
from service.events.session import Session
from service.query.compile.read import compile_rows
from service.query.parse.parameters import Bounds
from service.query.plan import ReadPlan
from service.state import Runtime

Events = AsyncGenerator[list[Event], None]
_SSE = b"text/event-stream"
_METHODS = ("GET", "HEAD", "OPTIONS")
_RETRY_MS = 1000
# So many changes are enough for one answer to a poll: the next one gets the rest.
_MOST_POLLED = 5000
_CHANGES = (Kind.INSERT, Kind.UPDATE, Kind.DELETE)
_SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy must not hold events back
]


@dataclass(frozen=True, slots=True)
class Ending:
    """How an end is told: the code that closes a WebSocket, and the event before it."""

    close: int
    code: str
    message: str

    of: ClassVar[dict[End, "Ending"]]

    def event(self) -> Event:
        body = orjson.dumps({"type": self.code, "code": self.code, "message": self.message})
        return Event("", Kind.END, body)


Ending.of = {
    End.SHUTDOWN: Ending(1012, "reconnect", "The service is restarting: come back with the last id."),
    End.REVOKED: Ending(4401, "revoked", "The credential no longer holds."),
    End.FORBIDDEN: Ending(4403, "forbidden", "You may no longer read this."),
    End.REFETCH: Ending(4410, "must-refetch", "What you may see has changed: read the rows again."),
    End.FAILED: Ending(1011, "failed", "The feed cannot be read; its filter may not fit the rows."),
}


class Changes:
    """Serves `/api/v1/{table}/-/changes` and `/api/v1/-/changes`."""

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self._runtime = runtime
        self._settings = settings
        api = settings.api
        self._bounds = Bounds(api.api_max_rows, api.api_max_depth, allows_aggregates=False)

    async def serve(self, path: ChangesPath, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, for as long as it takes.

        Raises:
            RowhouseError: before anything was sent.
        """
        headers = headers_of(scope)
        if scope["type"] == "http" and scope["method"] not in _METHODS:
            raise MethodNotAllowed(f"This does not take {scope['method']}.", allow=", ".join(_METHODS))
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await Answer(204, headers=[(b"allow", ", ".join(_METHODS).encode())]).send(send, is_head=False)
            return
        last_id = headers.get(b"last-event-id", b"").decode("latin-1") or None
        request = parse_follow(path.table, scope["query_string"], last_id)
        plans = read_plans(request, self._runtime.policy, principal, self._bounds)
        runtime = self._runtime
        tracked = [await runtime.hub.log.tracked(plan.resource) for plan in plans]
        cursor = None if request.cursor is None else runtime.hub.log.cursors.read(request.cursor)

        def rebuild() -> Feed:
            again = read_plans(request, runtime.policy, principal, self._bounds)
            return make_feed(again, tracked, runtime.policy, principal)

        feed = make_feed(plans, tracked, runtime.policy, principal)
        await runtime.hub.log.check(feed)
        session = Session(runtime.hub, principal, feed, runtime.policy.generation, rebuild)
        scope["rowhouse.is_stream"] = True
        async with self._watched(session, f"{principal.actor} {client_address(scope)}"):
            events = self._events(request, plans, session, cursor)
            if scope["type"] == "websocket":
                await _Socket(scope, receive, send, self._settings.security.allowed_origins).run(events)
            elif _SSE in headers.get(b"accept", b""):
                await _stream(scope, receive, send, events)
            else:
                answer = await self._poll(request, session, events)
                await answer.send(send, is_head=scope["method"] == "HEAD")

    @asynccontextmanager
    async def _watched(self, session: Session, client: str) -> AsyncIterator[None]:
        hub = self._runtime.hub
        hub.admit(client)
        self._runtime.guard.watch(session)
        try:
            yield
        finally:
            self._runtime.guard.forget(session)
            hub.release(client)

    def _events(self, request: FollowRequest, plans: list[ReadPlan], session: Session, cursor: Cursor | None) -> Events:
        if request.has_snapshot and cursor is None:
            return self._rows_first(plans, session)
        return session.events(cursor)

    async def _rows_first(self, plans: list[ReadPlan], session: Session) -> Events:
        """The rows as they are at one moment, and what happens from there on."""
        pool = self._runtime.pool
        async with pool.snapshot() as snapshot:
            for plan in plans:
                restricted = self._runtime.policy.restrict(plan, session.principal)
                statement = self._runtime.statements.get(compile_rows, restricted)
                async for rows in snapshot.rows(statement.sql, statement.arguments(restricted, pool.epoch)):
                    yield [_of_rows(plan.resource.name, rows)]
        async for events in session.events(Cursor(pool.epoch, Position.at(snapshot.name))):
            yield events

    async def _poll(self, request: FollowRequest, session: Session, events: Events) -> Answer:
        """What has happened, or what happens next.

        Raises:
            MustRefetch: some of it is gone.
        """
        found: list[Event] = []
        is_live = False
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as patience:
                try:
                    async for page in events:
                        if any(event.kind is Kind.MUST_REFETCH for event in page):
                            raise MustRefetch(
                                "Some of the changes since this cursor are gone.",
                                hint="Read the rows again: snapshot=true, without a cursor.",
                            )
                        found += [event for event in page if event.kind in _CHANGES or event.kind is Kind.ROWS]
                        if len(found) > self._settings.api.api_max_rows:
                            raise LimitExceeded(
                                "There are too many rows for one answer.",
                                hint="Accept: text/event-stream has no limit.",
                            )
                        if not is_live and any(event.kind is Kind.UP_TO_DATE for event in page):
                            is_live = True  # only now is there something to wait for
                            patience.reschedule(asyncio.get_running_loop().time() + request.wait)
                        is_enough = len(found) >= _MOST_POLLED and not _has_rows(page)
                        if is_enough or (is_live and (found or request.cursor is None)):
                            break
                except FeedEnded as ended:
                    if not found:  # and the client keeps its cursor
                        raise _refusal(ended.reason) from None
        await events.aclose()
        body = b'{"events":[%s],"cursor":%s}' % (
            b",".join(event.body for event in found),
            orjson.dumps(session.cursor),
        )
        return Answer(200, body, [(b"cache-control", b"no-store")])


def _has_rows(page: list[Event]) -> bool:
    return any(event.kind is Kind.ROWS for event in page)


def _of_rows(table: str, rows: Sequence[Row]) -> Event:
    shown = b",".join(row[0] for row in rows)
    return Event("", Kind.ROWS, b'{"type":"rows","table":%s,"rows":[%s]}' % (orjson.dumps(table), shown))


async def _stream(scope: Scope, receive: Receive, send: Send, events: Events) -> None:
    """Server-Sent Events (HTML standard, section 9.2)."""
    first = await _first(events)
    await send({"type": "http.response.start", "status": 200, "headers": list(_SSE_HEADERS)})

    async def write(data: bytes) -> None:
        await send({"type": "http.response.body", "body": data, "more_body": True})

    await write(b"retry: %d\n\n" % _RETRY_MS)
    if scope["method"] != "HEAD":
        async with _until_gone(receive, "http.disconnect"):
            try:
                await write(b"".join(event.frame for event in first))
                async for page in events:
                    await write(b"".join(event.frame for event in page) or b": still here\n\n")
            except FeedEnded as ended:
                await write(Ending.of[ended.reason].event().frame)
            except RowhouseError:  # the stream has begun: the client comes back by itself, and is told then
                await write(Ending.of[End.FAILED].event().frame)
            finally:
                await events.aclose()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _first(events: Events) -> list[Event]:
    """The first events, before anything is sent: what goes wrong until then has an answer of its own.

    Raises:
        DatabaseUnavailable: the service is shutting down.
    """
    try:
        return await anext(events)
    except FeedEnded as ended:
        raise _refusal(ended.reason) from None


def _refusal(reason: End) -> RowhouseError:
    ending = Ending.of[reason]
    match reason:
        case End.REVOKED:
            return AuthenticationFailed(ending.message)
        case End.FORBIDDEN | End.REFETCH:
            return Forbidden(ending.message)
    return DatabaseUnavailable(ending.message, retry_after=1)


@asynccontextmanager
async def _until_gone(receive: Receive, message_type: str) -> AsyncIterator[None]:
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
    except asyncio.CancelledError:
        if not is_gone:
            raise
        assert serving is not None
        serving.uncancel()
    finally:
        watcher.cancel()


class _Socket:
    """A WebSocket (RFC 6455): one text message an event."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, origins: tuple[str, ...]) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._origins = origins

    async def run(self, events: Events) -> None:
        self._require_origin()
        await self._receive()  # websocket.connect
        first = await _first(events)
        await self._send({"type": "websocket.accept"})
        ending = Ending.of[End.SHUTDOWN]
        async with _until_gone(self._receive, "websocket.disconnect"):
            try:
                await self._write(first)
                async for page in events:
                    await self._write(page or [Event("", Kind.HEARTBEAT, b'{"type":"heartbeat"}')])
            except FeedEnded as ended:
                ending = Ending.of[ended.reason]
            except RowhouseError:
                ending = Ending.of[End.FAILED]
            finally:
                await events.aclose()
            await self._write([ending.event()])
            await self._send({"type": "websocket.close", "code": ending.close, "reason": ending.code})

    async def _write(self, page: list[Event]) -> None:
        for event in page:
            await self._send({"type": "websocket.send", "text": event.text})

    def _require_origin(self) -> None:
        """Browsers let any page open a WebSocket: CORS does not hold there.

        Raises:
            Forbidden: the page is of another origin, and not one of those allowed.
        """
        headers = headers_of(self._scope)
        origin = headers.get(b"origin")
        if origin is None:
            return
        text = origin.decode("latin-1")
        is_own = urlsplit(text).netloc.encode() == headers.get(b"host")
        if not is_own and text not in self._origins:
            raise Forbidden(f"The origin {text!r} is not allowed.", hint="ALLOWED_ORIGINS names those that are.")
