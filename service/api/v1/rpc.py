"""Calls of functions: `/api/v1/rpc/{function}`."""

import binascii
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

import orjson

from service.api.v1.call_body import read_call_body
from service.api.v1.exchange import Answer, Request
from service.api.v1.media import PLANS, Accepted, Media, accepted
from service.api.v1.preferences import Preferences, parse_preferences
from service.api.v1.read import explain_options, handlers_of, page_answer, require_one
from service.api.v1.request_settings import of_request, say
from service.api.v1.window import content_range, narrowed, status_of
from service.auth.policy import Policy
from service.catalog.catalog import Catalog
from service.catalog.function import Function, Volatility
from service.catalog.handler import Handler
from service.core.errors import (
    AuthenticationFailed,
    Forbidden,
    InvalidQuery,
    RaisedByFunction,
    UnfilteredWrite,
)
from service.core.settings import ApiSettings
from service.crud.call import Caller
from service.crud.read import Page
from service.db.runner import Row, Unit
from service.query.compile.columns import quoted
from service.query.parse.call import argument_names, choose_overload, no_function, parse_call
from service.query.parse.parameters import Bounds, decode_parameters
from service.query.parse.request import Query
from service.query.plan import CallPlan, Count

# PostgREST's name for the one column of values that have none.
_CSV_HEADER = b"pgrst_scalar\n"


class CallHandlers:
    """Functions for HTTP: arguments from the query string or the body, rows with filters and embedding."""

    def __init__(self, policy: Policy, caller: Caller, bounds: Bounds, settings: ApiSettings) -> None:
        self._policy = policy
        self._caller = caller
        self._bounds = bounds
        self._settings = settings

    async def get(self, request: Request, name: str, schema: str | None) -> Answer:
        """Call with the arguments in the query string. The function cannot write."""
        parameters = decode_parameters(request.query_string)
        catalog, functions = self._known(request, name, schema)
        if not functions:
            raise no_function(catalog, schema or catalog.schemas[0], name, argument_names((), parameters))
        function = choose_overload(functions, argument_names(functions, parameters))
        arguments, query = parse_call(catalog, function, parameters, self._bounds)
        return await self._answer(request, function, CallPlan(function, arguments), query, is_read_only=True)

    async def post(self, request: Request, name: str, schema: str | None) -> Answer:
        """Call with the arguments in the body."""
        catalog, functions = self._known(request, name, schema)
        parameters = decode_parameters(request.query_string)
        body = read_call_body(
            await request.body(self._settings.api_max_body_bytes), request.media_type, dict(parameters).get("columns")
        )
        if not functions:
            raise no_function(catalog, schema or catalog.schemas[0], name, body.names, body.types)
        plan = body.plan(functions)
        rest = tuple(item for item in parameters if item[0] != "columns")
        _, query = parse_call(catalog, plan.function, rest, self._bounds, takes_arguments=False)
        is_read_only = plan.function.volatility is not Volatility.VOLATILE
        return await self._answer(request, plan.function, plan, query, is_read_only=is_read_only)

    def methods(self, request: Request, name: str, schema: str | None) -> tuple[str, ...]:
        """The methods that a function is called by. One that may write is not offered to be read.

        Raises:
            TableNotFound: there is no such function that the caller may know of.
        """
        catalog, functions = self._known(request, name, schema)
        if not functions:
            raise no_function(catalog, schema or catalog.schemas[0], name, ())
        if all(function.volatility is Volatility.VOLATILE for function in functions):
            return ("POST",)
        return ("GET", "HEAD", "POST")

    def _known(self, request: Request, name: str, schema: str | None) -> tuple[Catalog, tuple[Function, ...]]:
        """What the caller may know of, and the functions of that name in it."""
        principal = request.principal
        if principal.role is None and principal.is_anonymous:
            raise AuthenticationFailed("This needs a credential.", hint="Send an API key or an access token.")
        catalog = self._policy.visible(principal)
        return catalog, catalog.functions(name, schema or catalog.schemas[0]) or catalog.functions(name, schema)

    async def _answer(
        self, request: Request, function: Function, plan: CallPlan, query: Query, *, is_read_only: bool
    ) -> Answer:
        preferences = parse_preferences(request.header(b"prefer"), may_roll_back=self._settings.api_tx_override)
        is_value = function.result is None and not function.is_set
        form = accepted(
            request.header(b"accept"), is_scalar=is_value, handlers=self._handlers(request, function, query)
        )
        query = narrowed(query, request)
        if function.result is not None:
            read = query.plan if function.is_set else replace(query.plan, limit=None, order=())
            # All of it is there once it was called, so that nothing is left to estimate.
            plan = replace(plan, answer=replace(read, count=preferences.count and Count.EXACT))
        elif function.is_set:
            plan = replace(plan, limit=query.plan.limit, offset=query.plan.offset)
        verify = _verification(function, preferences, form)
        unit = replace(_unit(request, function, preferences, is_read_only=is_read_only), verify=verify)
        try:
            if form.media in PLANS:
                body = await self._caller.explained(plan, request.principal, unit, explain_options(request, form))
                return Answer(200, body, content_type=form.content_type)
            page = await self._caller.call(plan, request.principal, unit, render=form.of_calls)
        except RaisedByFunction as error:
            if error.stable_code == Forbidden.code and request.principal.is_anonymous:
                error.status = HTTPStatus.UNAUTHORIZED
            raise
        answer = _rendered(function, page, query, form)
        if function.result is None and not function.is_void:
            total = page.total if preferences.count is not None else None
            answer.status = status_of(query.position, page.rows, total)
            answer.add(b"content-range", content_range(query.position, page.rows, total))
        if applied := preferences.applied("count", "tx", "timezone", "max-affected"):
            answer.add(b"preference-applied", applied)
        return say(answer, page.said)

    def _handlers(self, request: Request, function: Function, query: Query) -> Mapping[str, Handler]:
        """What renders the answer in other media types: the function itself, or what takes its rows."""
        if function.result is not None:
            return handlers_of(query.plan, self._policy.handlers(request.principal, function.result))
        return {} if function.handler is None else {function.handler.media_type: function.handler}


def _verification(function: Function, preferences: Preferences, form: Accepted) -> Callable[[Row], None] | None:
    """What undoes the call: more rows than `max-affected`, or another number than the one that is asked for.

    Raises:
        InvalidQuery: PGRST128, with `handling=strict`, a bound for what returns no rows.
    """
    if preferences.max_affected is not None and preferences.is_strict and not function.is_set:
        raise InvalidQuery(
            "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
            code="PGRST128",
        )
    most = preferences.max_affected if function.is_set else None
    is_single = form.is_object and function.result is not None
    if most is None and not is_single:
        return None

    def verify(row: Row) -> None:
        if most is not None and row[1] > most:
            message = "The call would touch more rows than max-affected allows."
            raise UnfilteredWrite(message, details=f"The query affects {row[1]} rows", code="PGRST124")
        if is_single:
            require_one(row[1])

    return verify


def _unit(request: Request, function: Function, preferences: Preferences, *, is_read_only: bool) -> Unit:
    settings = {"rowhouse.actor": request.principal.actor, "rowhouse.request": request.request_id}
    settings |= of_request(request, f"/rpc/{function.sql_name}")
    if "." in function.name:  # perhaps of another schema than the first, whose names come before the others' in it
        settings["search_path"] = quoted(function.schema)
    if preferences.timezone is not None:
        settings["timezone"] = preferences.timezone
    return Unit(settings=settings, is_read_only=is_read_only, keeps=preferences.keeps is not False)


def _rendered(function: Function, page: Page, query: Query, form: Accepted) -> Answer:
    if function.is_void:
        return Answer(204)
    if function.result is None:
        return _scalar(function, page, form)
    answer = page_answer(page, query, form)
    if not function.is_set and not form.is_object and form.media is Media.JSON:
        answer.body = page.body[1:-1] if page.rows else b"null"
    return answer


def _scalar(function: Function, page: Page, form: Accepted) -> Answer:
    if form.media is Media.CSV:
        return Answer(200, _CSV_HEADER + page.body, content_type=form.content_type)
    if form.media not in (Media.TEXT, Media.BYTES, Media.OWN):
        body = page.body if function.is_set else page.body[1:-1]
        return Answer(200, body, content_type=Accepted().content_type)
    (value,) = orjson.loads(page.body)[:1] or [None]
    if value is None or isinstance(value, str):
        body = binascii.unhexlify((value or "")[2:]) if function.base_type == "bytea" else (value or "").encode()
    else:
        body = page.body[1:-1]
    return Answer(200, body, content_type=form.content_type)
