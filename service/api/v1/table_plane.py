"""The table plane: one lean dispatcher in front of FastAPI.

A table is found in a dict, so a request costs the same with five tables as with four hundred. What is not a table's
path goes on to the control plane.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problem import send_problem
from service.api.v1.exchange import Answer, Request, headers_of
from service.api.v1.paths import PREFIX, TablePath, parse_path
from service.api.v1.read import ReadHandlers
from service.api.v1.write_item import ItemWriteHandlers
from service.api.v1.write_table import TableWriteHandlers
from service.api.v1.writing import WriteTools
from service.catalog.resource import Resource
from service.core.errors import AuthenticationFailed, LimitExceeded, MethodNotAllowed, NotAcceptable, RowhouseError
from service.core.settings import ApiSettings
from service.query.parse.cache import QueryCache
from service.query.parse.request import Bounds
from service.state import Runtime, ServiceState

TableHandler = Callable[[Request, Resource], Awaitable[Answer]]
ItemHandler = Callable[[Request, Resource, str], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Handlers:
    """Handlers by method."""

    of_table: Mapping[str, TableHandler]
    of_item: Mapping[str, ItemHandler]

    @classmethod
    def build(cls, runtime: Runtime, settings: ApiSettings) -> "Handlers":
        queries = QueryCache(Bounds(settings.api_max_rows, settings.api_max_depth))
        tools = WriteTools(
            runtime.pool, runtime.policy, runtime.reader, runtime.writer, queries, settings.api_max_body_bytes
        )
        reads = ReadHandlers(runtime.policy, runtime.reader, queries)
        tables, items = TableWriteHandlers(tools), ItemWriteHandlers(tools)
        return cls(
            {
                "GET": reads.page,
                "HEAD": reads.page,
                "POST": tables.insert,
                "PATCH": tables.update,
                "DELETE": tables.delete,
            },
            {
                "GET": reads.item,
                "HEAD": reads.item,
                "PATCH": items.update,
                "PUT": items.replace,
                "DELETE": items.delete,
            },
        )


class TablePlane:
    """Serves `/api/v1/{table}…` and passes on the rest."""

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        self._app = app
        self._state = state
        self._made_for: Runtime | None = None
        self._handlers: Handlers | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            path = self._path(scope)
            answer = None if path is None else await self._serve(path, scope, receive)
        except RowhouseError as error:
            # Answered here and not raised: the middleware around us treats it like any other answer.
            await send_problem(error, scope, send)
            return
        if answer is None:
            await self._app(scope, receive, send)
        else:
            await answer.send(send, is_head=scope["method"] == "HEAD")

    def _path(self, scope: Scope) -> TablePath | None:
        """The table's path, or None for the control plane's."""
        if scope["type"] != "http":
            return None
        raw_path = _raw_path(scope)
        if len(raw_path) + len(scope["query_string"]) > self._state.settings.api.api_max_url_bytes:
            raise LimitExceeded("Path and query string are too long.", code="url_too_long")
        return parse_path(raw_path)

    async def _serve(self, path: TablePath, scope: Scope, receive: Receive) -> Answer:
        scope["rowhouse.route"] = PREFIX + "{table}"
        runtime = self._state.connected()
        request = await self._admit(runtime, scope, receive)
        await runtime.policy.refresh()
        resource = runtime.policy.resource(request.principal, path.table)
        scope["rowhouse.route"] = path.route
        handlers = self._handlers_of(runtime)
        methods = handlers.of_table if path.key is None else handlers.of_item
        if request.method == "OPTIONS":
            return Answer(204, headers=[(b"allow", _allow(methods).encode())])
        if request.method not in methods:
            raise MethodNotAllowed(f"This does not take {request.method}.", allow=_allow(methods))
        _check_acceptable(request)
        if path.key is None:
            return await handlers.of_table[request.method](request, resource)
        return await handlers.of_item[request.method](request, resource, path.key)

    async def _admit(self, runtime: Runtime, scope: Scope, receive: Receive) -> Request:
        """Who is calling, and not too often."""
        headers = headers_of(scope)
        authorization, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        address = scope["client"][0] if scope.get("client") else ""
        try:
            principal = await runtime.authenticator.authenticate(
                None if authorization is None else authorization.decode("latin-1"),
                None if api_key is None else api_key.decode("latin-1"),
            )
        except AuthenticationFailed:
            self._state.limiter.count("refused", address)
            raise
        scope["rowhouse.principal"] = principal.actor
        self._state.limiter.count(principal.actor, address)
        return Request(scope, receive, principal, headers)

    def _handlers_of(self, runtime: Runtime) -> Handlers:
        if self._handlers is None or self._made_for is not runtime:
            self._handlers, self._made_for = Handlers.build(runtime, self._state.settings.api), runtime
        return self._handlers


def _raw_path(scope: Scope) -> bytes:
    """The path as sent, without the prefix under which the service is published."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    prefix = scope.get("root_path", "").encode()
    return raw[len(prefix) :] if prefix and raw.startswith(prefix + b"/") else raw


def _allow(methods: Mapping[str, object]) -> str:
    return ", ".join([*methods, "OPTIONS"])


def _check_acceptable(request: Request) -> None:
    accept = request.headers.get(b"accept")
    if accept is None or b"*/*" in accept or b"application/json" in accept or b"application/*" in accept:
        return
    raise NotAcceptable("Rows are served as application/json.", hint="Send Accept: application/json.")
