"""Feeds of changes: the same events as Server-Sent Events, by WebSocket, and by long poll."""

from collections.abc import Sequence

import orjson
from starlette.types import Receive, Scope, Send

from service.api.v1.exchange import Answer, client_address, headers_of
from service.api.v1.feed_end import Events
from service.api.v1.feed_poll import Poll
from service.api.v1.feed_stream import Socket, send_stream
from service.api.v1.paths import ChangesPath
from service.auth.principal import Principal
from service.core.errors import MethodNotAllowed
from service.core.settings import Settings
from service.db.runner import Row
from service.events.event import Event, Kind
from service.events.follow_request import FollowRequest, make_feed, parse_follow, read_plans
from service.events.log import Feed
from service.events.position import Cursor, Position
from service.events.session import Session
from service.query.compile.read import compile_rows
from service.query.parse.parameters import Bounds
from service.query.plan import ReadPlan
from service.query.soft_delete import without_deleted
from service.runtime import Runtime

_SSE = b"text/event-stream"
_METHODS = ("GET", "HEAD", "OPTIONS")


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
        plans = self._plans(request, principal)
        hub = self._runtime.hub
        cursor = None if request.cursor is None else hub.log.cursors.read(request.cursor)
        # Anonymous callers are told apart by their addresses alone.
        client = f"{principal.actor} {client_address(scope)}" if principal.is_anonymous else principal.actor
        with hub.admitted(client):
            session = await self._session(request, plans, principal)
            session.write = scope.get("rowhouse.write", session.write)  # other servers than ours have none
            scope["rowhouse.is_stream"] = True
            with self._runtime.guard.watching(session):
                events = self._events(request, plans, session, cursor)
                if scope["type"] == "websocket":
                    await Socket(scope, receive, send, self._settings.security.allowed_origins).run(events)
                elif _SSE in headers.get(b"accept", b""):
                    await send_stream(scope, receive, send, events)
                else:
                    most_rows = self._settings.api.api_max_rows
                    poll = Poll(session, request.cursor is not None, request.wait, most_rows)
                    answer = await poll.answer(receive, events)
                    await answer.send(send, is_head=scope["method"] == "HEAD")

    async def _session(self, request: FollowRequest, plans: list[ReadPlan], principal: Principal) -> Session:
        runtime = self._runtime
        async with runtime.hub.beginning.take():
            tracked = [await runtime.hub.log.tracked(plan.resource) for plan in plans]

            def rebuild() -> Feed:
                return make_feed(self._plans(request, principal), tracked, runtime.policy, principal)

            generation = runtime.policy.generation  # before it is used: what changes from now on is seen
            feed = make_feed(plans, tracked, runtime.policy, principal)
            await runtime.hub.log.check(feed)
        entries = tuple(entry for logged in tracked for entry in logged.entries)
        return Session(runtime.hub, principal, feed, entries, generation, rebuild)

    def _plans(self, request: FollowRequest, principal: Principal) -> list[ReadPlan]:
        plans = read_plans(request.parameters, self._runtime.policy, principal, self._bounds)
        return [without_deleted(plan) for plan in plans]

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
                    session.require_going()
                    yield [_of_rows(plan.resource.name, rows)]
        async for events in session.events(Cursor(pool.epoch, session.feed.digest, Position.at(snapshot.name))):
            yield events


def _of_rows(table: str, rows: Sequence[Row]) -> Event:
    shown = b",".join(row[0] for row in rows)
    body = b'{"type":"rows","table":%s,"rows":[%s]}' % (orjson.dumps(table), shown)
    return Event("", Kind.ROWS, body, rows=len(rows))
