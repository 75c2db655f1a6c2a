"""The table plane: one lean dispatcher in front of FastAPI.

A table is found in a dict, so a request costs the same with five tables as with four hundred. What is not a table's
path goes on to the control plane.
"""

from collections.abc import Awaitable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.caller import remember_caller
from service.api.problem import refuse
from service.api.v1.batch import Batch, Operation, operations_of, require_all
from service.api.v1.changes import Changes
from service.api.v1.dispatch import Dispatch, ImportTools
from service.api.v1.exchange import Answer, Request, client_address, headers_of, replayed
from service.api.v1.export import Exports
from service.api.v1.history import HistoryHandlers, asks_for_history
from service.api.v1.link import link_digest, target_of, without_link
from service.api.v1.once import serve_once
from service.api.v1.paths import (
    PREFIX,
    BatchPath,
    ChangesPath,
    DispatchedPath,
    FunctionPath,
    HistoryPath,
    Path,
    TablePath,
    UndoPath,
    parse_any_path,
    parse_changes_path,
)
from service.api.v1.preferences import Preferences, parse_preferences
from service.api.v1.undo import UndoHandlers
from service.auth.policy import FUNCTIONS, Policy
from service.auth.principal import Principal
from service.core.errors import AuthenticationFailed, InvalidQuery, LimitExceeded, RowhouseError
from service.core.types import Action
from service.crud.work import Work
from service.db.runner import Runner
from service.events.history import History
from service.events.past import TimeMachine
from service.observability.trail import current_trail, recorded
from service.query.parse.cache import QueryCache
from service.query.parse.parameters import Bounds, decode_parameters
from service.runtime import Runtime
from service.state import ServiceState

_WRITES = ("POST", "PATCH", "PUT", "DELETE")
_ACTIONS = {
    "GET": Action.READ,
    "POST": Action.CREATE,
    "PATCH": Action.UPDATE,
    "PUT": Action.UPDATE,
    "DELETE": Action.DELETE,
}


class TablePlane:
    """Serves `/api/v1/{table}…` and passes on the rest."""

    def __init__(self, app: ASGIApp, state: ServiceState) -> None:
        settings = state.settings.api
        self._app = app
        self._state = state
        self._queries = QueryCache(Bounds(settings.api_max_rows, settings.api_max_depth, settings.api_aggregates))
        self._made_for: Runtime | None = None
        self._dispatch: Dispatch | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            raw_path = self._raw_path(scope)
            feed = None if raw_path is None else parse_changes_path(raw_path)
            if feed is not None and not (feed.table is None and asks_for_history(scope)):
                await self._follow(feed, scope, receive, send)
                return
            path = None if raw_path is None or scope["type"] != "http" else parse_any_path(raw_path)
            if feed is not None and raw_path is not None:
                path = HistoryPath(raw_path.decode("latin-1"), None)
            answer = None if path is None else await self._serve(path, scope, receive)
            if answer is not None:
                await answer.send(send, is_head=scope["method"] == "HEAD")
                return
        except RecursionError:
            deep = LimitExceeded("The request is nested more deeply, or embeds more tables, than the service allows.")
            await refuse(deep, scope, send)
            return
        except RowhouseError as error:
            # Answered here and not raised: the middleware around us treats it like any other answer.
            await refuse(error, scope, send)
            return
        await self._app(scope, receive, send)

    def _raw_path(self, scope: Scope) -> bytes | None:
        """The path as sent, or None where it cannot be one of ours."""
        if scope["type"] not in ("http", "websocket"):
            return None
        raw_path = _raw_path(scope)
        if len(raw_path) + len(scope["query_string"]) > self._state.settings.api.api_max_url_bytes:
            raise LimitExceeded("Path and query string are too long.", code="url_too_long")
        return raw_path

    async def _serve(self, path: Path, scope: Scope, receive: Receive) -> Answer:
        scope["rowhouse.route"] = PREFIX + "{table}"
        runtime = self._state.connected()
        request = await self._linked(runtime, path, scope, receive) or await self._admit(runtime, scope, receive)
        return await self.answer(path, request)

    async def answer(self, path: Path, request: Request) -> Answer:
        """The answer to a request of a caller who is known.

        Raises: what the handlers raise; DatabaseUnavailable.
        """
        runtime = self._state.connected()
        await runtime.policy.refresh()
        if request.method in _WRITES and (step := recorded()) is not None:
            await runtime.request_traces.note(request.request_id, step)
        if isinstance(path, UndoPath):
            request.scope["rowhouse.route"] = path.route
            return await UndoHandlers(runtime, self._state.settings.api, self._history(runtime)).serve(path, request)
        if request.header(b"idempotency-key") is not None and request.method in _WRITES:
            limit = self._state.settings.api.api_max_body_bytes
            await self._require(path, request, runtime.policy, limit)
            return await serve_once(
                request, runtime.pool, limit, lambda runner: self._answer(path, request, runtime, runner)
            )
        if isinstance(path, BatchPath):
            return await self._tried(path, request, runtime)
        return await self._dispatch_of(runtime).serve(path, request)

    async def _follow(self, path: ChangesPath, scope: Scope, receive: Receive, send: Send) -> None:
        scope["rowhouse.route"] = path.route
        runtime = self._state.connected()
        ticket = dict(decode_parameters(scope["query_string"])).get("ticket")
        if ticket is None:
            principal = (await self._admit(runtime, scope, receive)).principal
        else:
            principal = await self._counted(scope, runtime.tickets.redeem(ticket), "ticket")
        await runtime.policy.refresh()
        await Changes(runtime, self._state.settings).serve(path, principal, scope, receive, send)

    async def _require(self, path: Path, request: Request, policy: Policy, limit: int) -> None:
        """What was granted when a kept answer was made must still be, of each operation of a batch."""
        if not isinstance(path, BatchPath):
            _require_one(policy, request.principal, path, request.method, request.header(b"content-profile"))
            return
        if self._preferences(request).keeps is False:
            raise InvalidQuery("`tx=rollback` keeps nothing, so no answer can be kept: leave out Idempotency-Key.")
        body = await request.body(limit)
        request.receive = replayed(body)

        def require(operation: Operation) -> None:
            profile = operation.header("accept-profile" if operation.method == "GET" else "content-profile")
            _require_one(policy, request.principal, operation.target, operation.method, profile)

        if request.method == "POST":
            require_all(operations_of(body), require)

    def _preferences(self, request: Request) -> Preferences:
        may_roll_back = self._state.settings.api.api_tx_override
        return parse_preferences(request.header(b"prefer"), may_roll_back=may_roll_back)

    async def _tried(self, path: BatchPath, request: Request, runtime: Runtime) -> Answer:
        """A batch, undone in the end if that is preferred."""
        preferences = self._preferences(request)
        async with runtime.pool.transaction(keeps=preferences.keeps is not False) as transaction:
            answer = await self._answer(path, request, runtime, transaction)
        if applied := preferences.applied("tx"):
            answer.add(b"preference-applied", applied)
        return answer

    async def _answer(
        self, path: DispatchedPath | BatchPath, request: Request, runtime: Runtime, runner: Runner
    ) -> Answer:
        """The answer within a transaction."""
        dispatch = self._made(runtime, runner)
        if isinstance(path, BatchPath):
            return await Batch(dispatch, self._state.settings.api).serve(path, request)
        return await dispatch.serve(path, request)

    def _dispatch_of(self, runtime: Runtime) -> Dispatch:
        if self._dispatch is None or self._made_for is not runtime:
            self._dispatch, self._made_for = self._made(runtime, runtime.pool), runtime
        return self._dispatch

    def _made(self, runtime: Runtime, runner: Runner) -> Dispatch:
        settings = self._state.settings.api
        work = Work.on(runner, runtime.policy, runtime.statements, settings)
        log = runtime.hub.log
        # An export runs in a transaction of its own, and so in no other.
        exports = None
        if runner is runtime.pool:
            limits, metrics = self._state.settings.exports, self._state.metrics.exports
            exports = Exports(runtime.exporter, runtime.export_files, limits, metrics)
        else:
            log = log.within(runner)
        time_machine = TimeMachine(log, runner, runtime.policy)
        imports = ImportTools(
            self._state.settings.imports, runtime.statements, runtime.import_slots, runtime.import_bodies
        )
        history = self._history(runtime)
        return Dispatch(work, runtime.policy, self._queries, settings, time_machine, history, exports, imports)

    def _history(self, runtime: Runtime) -> HistoryHandlers:
        settings = self._state.settings.api
        history = History(runtime.pool, runtime.statements)
        return HistoryHandlers(history, runtime.hub.log, runtime.policy, settings.api_max_rows, settings.api_max_depth)

    async def _linked(self, runtime: Runtime, path: Path, scope: Scope, receive: Receive) -> Request | None:
        """The request of a signed link, for whom it stands; None where it is none."""
        query_string, link = without_link(scope["query_string"])
        if link is None:
            return None
        headers = headers_of(scope)
        scope["query_string"] = query_string
        principal = await self._counted(scope, self._redeemed(runtime, path, scope, headers, link), "link")
        scope["rowhouse.link"] = link_digest(link)
        return Request(scope, receive, principal, headers)

    async def _redeemed(
        self, runtime: Runtime, path: Path, scope: Scope, headers: Mapping[bytes, bytes], link: str
    ) -> Principal:
        is_read = isinstance(path, TablePath) and path.key is None and scope["method"] in ("GET", "HEAD")
        if not is_read or b"accept-profile" in headers:
            raise AuthenticationFailed("A link is good for one read of a table.")
        assert isinstance(path, TablePath)
        return await runtime.links.redeem(link, target_of(path.table, scope["query_string"]))

    async def _admit(self, runtime: Runtime, scope: Scope, receive: Receive) -> Request:
        """Who is calling, and not too often."""
        headers = headers_of(scope)
        authorization, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        principal = await self._counted(
            scope,
            runtime.authenticator.authenticate(
                None if authorization is None else authorization.decode("latin-1"),
                None if api_key is None else api_key.decode("latin-1"),
            ),
            "access_token" if api_key is None else "api_key",
        )
        return Request(scope, receive, principal, headers)

    async def _counted(self, scope: Scope, verified: Awaitable[Principal], kind: str) -> Principal:
        """The caller, where that is one, and not too often."""
        address = client_address(scope)
        trail = current_trail()
        try:
            if trail is None:
                principal = await verified
            else:
                with trail.stage("auth"):
                    principal = await verified
        except AuthenticationFailed:
            self._state.limiter.count_refused(kind, address)
            raise
        remember_caller(scope, principal)
        self._state.limiter.count(principal.actor, address)
        return principal


def _require_one(policy: Policy, principal: Principal, path: Path | None, method: str, schema: str | None) -> None:
    if isinstance(path, TablePath):
        policy.rows(principal, policy.resource(principal, path.table, schema), _ACTIONS[method])
    elif isinstance(path, FunctionPath):
        known = policy.visible(principal)
        found = known.functions(path.function, schema or known.schemas[0]) or known.functions(path.function, schema)
        policy.require(principal, FUNCTIONS + (found[0].name if found else path.function), Action.EXECUTE)


def _raw_path(scope: Scope) -> bytes:
    """The path as sent, without the prefix under which the service is published."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    prefix = scope.get("root_path", "").encode()
    return raw[len(prefix) :] if prefix and raw.startswith(prefix + b"/") else raw
