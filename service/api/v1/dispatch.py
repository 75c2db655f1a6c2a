"""From a path to the handler of its table, row or function."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import orjson

from service.api.v1.exchange import Answer, Request
from service.api.v1.export import Exports
from service.api.v1.history import HistoryHandlers
from service.api.v1.import_rows import ImportHandlers
from service.api.v1.paths import DispatchedPath, FunctionPath, HistoryPath, SchemaPath, TablePath
from service.api.v1.read import ReadHandlers
from service.api.v1.rpc import CallHandlers
from service.api.v1.write_item import ItemWriteHandlers
from service.api.v1.write_table import TableWriteHandlers
from service.api.v1.writing import WriteTools
from service.auth.policy import Policy
from service.catalog.resource import Resource
from service.core.errors import MethodNotAllowed, NotAcceptable
from service.core.settings import ApiSettings, ImportSettings
from service.core.slots import Slots
from service.crud.statements import StatementCache
from service.crud.work import Work
from service.events.past import TimeMachine
from service.imports.importer import Importer
from service.jobs.imports import Bodies
from service.query.parse.cache import QueryCache
from service.schemas.table_schema import table_schema

TableHandler = Callable[[Request, Resource], Awaitable[Answer]]
ItemHandler = Callable[[Request, Resource, str], Awaitable[Answer]]
Handler = TypeVar("Handler")
FunctionHandler = Callable[[Request, str, str | None], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class ImportTools:
    """What imports work with besides."""

    settings: ImportSettings
    statements: StatementCache
    slots: Slots
    bodies: Bodies


@dataclass(frozen=True, slots=True)
class Handlers:
    """Handlers by method."""

    of_table: Mapping[str, TableHandler]
    of_item: Mapping[str, ItemHandler]
    of_function: Mapping[str, FunctionHandler]

    @classmethod
    def build(
        cls,
        work: Work,
        policy: Policy,
        queries: QueryCache,
        settings: ApiSettings,
        calls: CallHandlers,
        time_machine: TimeMachine,
        exports: Exports | None,
        imports: ImportTools,
    ) -> "Handlers":
        tools = WriteTools(work.runner, policy, work.reader, work.writer, queries, settings)
        reads = ReadHandlers(
            policy, work.reader, queries, time_machine, exports, may_roll_back=settings.api_tx_override
        )
        items = ItemWriteHandlers(tools)
        importer = Importer(policy, work.writer, imports.statements, imports.settings)
        tables = TableWriteHandlers(
            tools, items, ImportHandlers(tools, importer, imports.slots, imports.bodies, imports.settings)
        )
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


_READS = ("GET", "HEAD")


class Dispatch:
    """Finds the handler in a dict: a request costs the same with five tables as with four hundred."""

    def __init__(
        self,
        work: Work,
        policy: Policy,
        queries: QueryCache,
        settings: ApiSettings,
        time_machine: TimeMachine,
        history: HistoryHandlers,
        exports: Exports | None,
        imports: ImportTools,
    ) -> None:
        """Without `exports`, rows come in pages alone."""
        self._policy = policy
        self._history = history
        self._calls = CallHandlers(policy, work.caller, queries.bounds, settings)
        self._handlers = Handlers.build(work, policy, queries, settings, self._calls, time_machine, exports, imports)

    async def serve(self, path: DispatchedPath, request: Request) -> Answer:
        """The answer to a request.

        Raises: as the handlers; TableNotFound; MethodNotAllowed; NotAcceptable for a schema that is not exposed.
        """
        schemas = self._policy.catalog.schemas
        schema = _profile(request, schemas)
        if isinstance(path, SchemaPath):
            answer = self._describe(path, request, schema)
        elif isinstance(path, FunctionPath):
            answer = await self._call(path, request, schema)
        elif isinstance(path, HistoryPath):
            request.scope["rowhouse.route"] = path.route
            answer = await self._history.serve(path, request)
        else:
            answer = await self._use(path, request, schema)
        if len(schemas) > 1:
            answer.add(b"content-profile", schema or schemas[0])
        return answer

    async def _use(self, path: TablePath, request: Request, schema: str | None) -> Answer:
        resource = self._policy.resource(request.principal, path.table, schema)
        request.scope["rowhouse.route"] = path.route
        if path.key is None:
            of_table = _handler(self._handlers.of_table, request)
            if of_table is None:
                return _options(_able(resource, self._handlers.of_table))
            return await of_table(request, resource)
        of_item = _handler(self._handlers.of_item, request)
        if of_item is None:
            return _options(_able(resource, self._handlers.of_item))
        return await of_item(request, resource, path.key)

    def _describe(self, path: SchemaPath, request: Request, schema: str | None) -> Answer:
        resource = self._policy.resource(request.principal, path.table, schema)
        request.scope["rowhouse.route"] = path.route
        if request.method not in _READS:
            raise MethodNotAllowed(f"This does not take {request.method}.", allow=", ".join(_READS))
        return Answer(200, orjson.dumps(table_schema(resource)))

    async def _call(self, path: FunctionPath, request: Request, schema: str | None) -> Answer:
        handler = self._handlers.of_function.get(request.method)
        if handler is None:
            methods = self._calls.methods(request, path.function, schema)
            if request.method == "OPTIONS":
                return _options(methods)
            raise MethodNotAllowed(
                f"Cannot use the {request.method} method on RPC", allow=_allow(methods), code="PGRST101"
            )
        answer = await handler(request, path.function, schema)
        request.scope["rowhouse.route"] = path.route  # only of one that is there: labels stay few
        return answer


def _able(resource: Resource, methods: Iterable[str]) -> list[str]:
    """The methods among these that PostgreSQL can serve for the rows of a table or view."""
    able = resource.abilities
    can = {
        "POST": able.can_insert,
        "PUT": able.can_insert and able.can_update and bool(resource.key),
        "PATCH": able.can_update,
        "DELETE": able.can_delete,
    }
    return [method for method in methods if can.get(method, True)]


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


def _options(methods: Iterable[str]) -> Answer:
    return Answer(204, headers=[(b"allow", _allow(methods).encode())])


def _allow(methods: Iterable[str]) -> str:
    return ", ".join([*methods, "OPTIONS"])
