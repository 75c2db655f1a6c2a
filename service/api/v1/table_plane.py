"""The table plane: one lean dispatcher in front of FastAPI.

A table is found in a dict, so a request costs the same with five tables as with four hundred. What is not a table's
path goes on to the control plane.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problem import send_problem
from service.api.v1.exchange import Answer, Request, headers_of
from service.api.v1.paths import PREFIX, FunctionPath, TablePath, parse_function_path, parse_path
from service.api.v1.read import ReadHandlers
from service.api.v1.rpc import CallHandlers
from service.api.v1.write_item import ItemWriteHandlers
from service.api.v1.write_table import TableWriteHandlers
from service.api.v1.writing import WriteTools
from service.catalog.resource import Resource
from service.core.errors import (
    AuthenticationFailed,
    LimitExceeded,
    MethodNotAllowed,
    NotAcceptable,
    RowhouseError,
)
from service.core.settings import ApiSettings
from service.query.parse.cache import QueryCache
from service.query.parse.request import Bounds
from service.state import Runtime, ServiceState

TableHandler = Callable[[Request, Resource], Awaitable[Answer]]
ItemHandler = Callable[[Request, Resource, str], Awaitable[Answer]]
Handler = TypeVar("Handler")
FunctionHandler = Callable[[Request, str, str | None], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Handlers:
    """Handlers by method."""

    of_table: Mapping[str, TableHandler]
    of_item: Mapping[str, ItemHandler]
    of_function: Mapping[str, FunctionHandler]

    @classmethod
    def build(cls, runtime: Runtime, settings: ApiSettings) -> "Handlers":
        bounds = Bounds(settings.api_max_rows, settings.api_max_depth, settings.api_aggregates)
        queries = QueryCache(bounds)
        tools = WriteTools(runtime.pool, runtime.policy, runtime.reader, runtime.writer, queries, settings)
        reads = ReadHandlers(runtime.policy, runtime.reader, queries)
        items = ItemWriteHandlers(tools)
        tables = TableWriteHandlers(tools, items)
        calls = CallHandlers(runtime.policy, runtime.caller, bounds, settings)
        return cls(
            {
                "GET": reads.page,
                "HEAD": reads.page,
                "POST": tables.insert,
                "PATCH": tables.update,
                "PUT": tables.upsert,
                "DELETE": tables.delete,
            },
            {
                "GET": reads.item,
                "HEAD": reads.item,
                "PATCH": items.update,
                "PUT": items.replace,
                "DELETE": items.delete,
            },
            {"GET": calls.get, "HEAD": calls.get, "POST": calls.post},
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

    def _path(self, scope: Scope) -> TablePath | FunctionPath | None:
        """The path of a table or function, or None for the control plane's."""
        if scope["type"] != "http":
            return None
        raw_path = _raw_path(scope)
        if len(raw_path) + len(scope["query_string"]) > self._state.settings.api.api_max_url_bytes:
            raise LimitExceeded("Path and query string are too long.", code="url_too_long")
        return parse_path(raw_path) or parse_function_path(raw_path)

    async def _serve(self, path: TablePath | FunctionPath, scope: Scope, receive: Receive) -> Answer:
        scope["rowhouse.route"] = PREFIX + "{table}"
        runtime = self._state.connected()
        request = await self._admit(runtime, scope, receive)
        await runtime.policy.refresh()
        schema = _profile(request, runtime.catalog.schemas)
        handlers = self._handlers_of(runtime)
        if isinstance(path, FunctionPath):
            answer = await self._call(path, request, schema, handlers)
        else:
            answer = await self._use(path, request, schema, handlers, runtime)
        if len(runtime.catalog.schemas) > 1:
            answer.add(b"content-profile", schema or runtime.catalog.schemas[0])
        return answer

    async def _use(
        self, path: TablePath, request: Request, schema: str | None, handlers: Handlers, runtime: Runtime
    ) -> Answer:
        resource = runtime.policy.resource(request.principal, path.table, schema)
        request.scope["rowhouse.route"] = path.route
        if path.key is None:
            of_table = _handler(handlers.of_table, request)
            return _options(handlers.of_table) if of_table is None else await of_table(request, resource)
        of_item = _handler(handlers.of_item, request)
        return _options(handlers.of_item) if of_item is None else await of_item(request, resource, path.key)

    async def _call(self, path: FunctionPath, request: Request, schema: str | None, handlers: Handlers) -> Answer:
        handler = _handler(handlers.of_function, request)
        if handler is None:
            return _options(handlers.of_function)
        answer = await handler(request, path.function, schema)
        request.scope["rowhouse.route"] = path.route  # only of one that is there: labels stay few
        return answer

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


def _profile(request: Request, schemas: Sequence[str]) -> str | None:
    """The schema that the request names; None for the first one.

    Raises:
        NotAcceptable: PGRST106, it is not exposed.
    """
    is_read = request.method in ("GET", "HEAD")
    schema = request.header(b"accept-profile" if is_read else b"content-profile")
    if schema is None:
        return None
    if schema not in schemas:
        raise NotAcceptable(
            f"Invalid schema: {schema}",
            hint=f"Only the following schemas are exposed: {', '.join(schemas)}",
            code="PGRST106",
        )
    return schema


def _handler(handlers: Mapping[str, Handler], request: Request) -> Handler | None:
    """The handler of the request's method; None for OPTIONS.

    Raises:
        MethodNotAllowed: there is none.
    """
    if request.method == "OPTIONS":
        return None
    if request.method not in handlers:
        raise MethodNotAllowed(f"This does not take {request.method}.", allow=_allow(handlers))
    return handlers[request.method]


def _options(handlers: Mapping[str, object]) -> Answer:
    return Answer(204, headers=[(b"allow", _allow(handlers).encode())])


def _allow(methods: Mapping[str, object]) -> str:
    return ", ".join([*methods, "OPTIONS"])
