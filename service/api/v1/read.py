"""GET and HEAD of a table and of a row."""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, unquote_to_bytes

from service.api.v1.conditional import entity_tag, is_version, matches
from service.api.v1.exchange import Answer, Request, refuse_paging
from service.api.v1.export import Exports, without_format
from service.api.v1.media import EXPORTS, PLANS, Accepted, Media, accepted, csv_header
from service.api.v1.paths import key_predicate, key_values, table_url
from service.api.v1.preferences import Preferences, parse_preferences
from service.api.v1.request_settings import of_request, say
from service.api.v1.window import content_range, narrowed, status_of
from service.auth.policy import Policy
from service.catalog.handler import Handler
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery, NotAcceptable, PreconditionFailed
from service.core.types import Role
from service.crud.read import Page, Reader
from service.db.runner import Unit
from service.events.past import TimeMachine
from service.formats.format import Format
from service.query import cursor
from service.query.parse.cache import QueryCache
from service.query.parse.request import Query, decode_parameters, parse_export, plan_of_export
from service.query.plan import AllColumns, ReadPlan, all_of

_OF_THIS_PAGE = (b"cursor", b"offset", b"limit")
# What may stand in a query string as it is (RFC 3986, section 3.4).
_PLAIN = re.compile(rb"[A-Za-z0-9%=+!$'()*,;:@/?._~-]*")
_WRITTEN = "%=+!$'()*,;:@/?-._~"


class ReadHandlers:
    """Reads for HTTP: pages with their range and next link, rows with their entity tag."""

    def __init__(
        self,
        policy: Policy,
        reader: Reader,
        queries: QueryCache,
        time_machine: TimeMachine,
        exports: Exports | None,
        *,
        may_roll_back: bool,
    ) -> None:
        self._policy = policy
        self._reader = reader
        self._queries = queries
        self._time_machine = time_machine
        self._exports = exports
        self._may_roll_back = may_roll_back

    async def page(self, request: Request, resource: Resource) -> Answer:
        preferences = parse_preferences(request.header(b"prefer"), may_roll_back=self._may_roll_back)
        if (moment := _moment(request)) is not None:
            preferences = preferences.counting_exactly()  # what PostgreSQL estimates, it estimates of the present
        catalog = self._policy.visible(request.principal)
        query_string, accept = request.query_string, request.header(b"accept")
        if b"format=" in query_string:
            query_string, named = without_format(query_string)
            accept = named or accept
        query = self._queries.page(catalog, resource, query_string, count=preferences.count)
        query = narrowed(query, request)
        if moment is not None:
            query = replace(query, plan=await self._time_machine.at(query.plan, moment, request.principal))
        form = accepted(accept, handlers=self._handlers(request, query.plan), is_exported=True)
        if form.media in EXPORTS:
            return await self._exported(request, resource, query_string, EXPORTS[form.media])
        if form.media in PLANS:
            return await self._explained(query, request, form)
        unit = unit_of(preferences) if form.handler is None else _unit_of_handler(request, resource, preferences)
        page = await self._reader.page(
            query.plan, request.principal, render=form.of_pages, unit=unit, is_handled=form.handler is not None
        )
        answer = page_answer(page, query, form)
        if link := _next_link(request, resource, query, page):
            answer.add(b"link", link)
        if applied := preferences.applied("count", "timezone", "tx"):
            answer.add(b"preference-applied", applied)
        return say(answer, page.said)

    def _handlers(self, request: Request, plan: ReadPlan) -> Mapping[str, Handler]:
        """What can render these rows, of the database's own: what takes a table's rows takes whole ones alone."""
        if not plan.resource.handlers:
            return plan.resource.handlers
        return handlers_of(plan, self._policy.handlers(request.principal, plan.resource))

    async def _exported(self, request: Request, resource: Resource, query_string: bytes, form: Format) -> Answer:
        """All rows, as a file."""
        if self._exports is None:
            raise InvalidQuery("Rows of a batch come as JSON.", hint="Leave out `format`.")
        catalog = self._policy.visible(request.principal)
        query = narrowed(parse_export(catalog, resource, query_string, self._queries.bounds), request)
        plan = plan_of_export(query)
        if (moment := _moment(request)) is not None:
            plan = await self._time_machine.at(plan, moment, request.principal)
        return self._exports.answer(request, resource, plan, form)

    async def _explained(self, query: Query, request: Request, form: Accepted) -> Answer:
        """How PostgreSQL would run it."""
        body = await self._reader.explained(query.plan, request.principal, explain_options(request, form))
        return Answer(200, body, content_type=form.content_type)

    async def item(self, request: Request, resource: Resource, key: str) -> Answer:
        refuse_paging(request, "A row")
        preferences = parse_preferences(request.header(b"prefer"))
        asked = self._queries.item(self._policy.visible(request.principal), resource, request.query_string)
        plan = item_plan(asked, resource, key)
        if (moment := _moment(request)) is not None:
            plan = await self._time_machine.at(plan, moment, request.principal)
        form = accepted(request.header(b"accept"))
        if form.media not in (Media.JSON, Media.OBJECT):
            raise NotAcceptable(f"None of these media types are available: {form.media}")
        item = await self._reader.item(plan, request.principal)
        tag = entity_tag(item.version, item.body, is_whole_row=plan.is_whole_row)
        answer = Answer(200, item.body)
        answer.add(b"etag", tag)
        if applied := preferences.applied():
            answer.add(b"preference-applied", applied)
        if_match = request.header(b"if-match")
        if if_match is not None and not is_version(if_match, item.version):
            raise PreconditionFailed("The row is not in the version that If-Match names.", version=item.version)
        none_match = request.header(b"if-none-match")
        if none_match is not None and matches(none_match, tag):
            answer.status, answer.body = 304, None
        return answer


def _moment(request: Request) -> str | None:
    """The moment of the past that is asked for."""
    if b"as_of" not in request.query_string:
        return None
    return dict(decode_parameters(request.query_string)).get("as_of")


def explain_options(request: Request, form: Accepted) -> tuple[str, ...]:
    """What EXPLAIN is to tell. It tells of what the policy hides, so it is for administrators.

    Raises:
        NotAcceptable: the caller is none.
    """
    if request.principal.role is not Role.ADMIN:
        raise NotAcceptable(f"None of these media types are available: {form.media}")
    return (*form.options, "format json" if form.media is Media.JSON_PLAN else "format text")


def handlers_of(plan: ReadPlan, handlers: Mapping[str, Handler]) -> Mapping[str, Handler]:
    """Those of the handlers that can take what the plan selects."""
    if plan.select == (AllColumns(),):
        return handlers
    return {media_type: one for media_type, one in handlers.items() if one.rows_of is None}


def _unit_of_handler(request: Request, resource: Resource, preferences: Preferences) -> Unit:
    """The transaction of a read that runs functions of others."""
    settings = {**(unit_of(preferences) or Unit()).settings, **of_request(request, f"/{resource.table.name}")}
    return Unit(settings=settings, is_read_only=True, cleans=True)


def page_answer(page: Page, query: Query, form: Accepted) -> Answer:
    """The rows in the form asked for, and which they are of how many.

    Raises:
        RangeNotSatisfiable: the page begins behind the last row.
        NotAcceptable: PGRST116, one object was asked for and there are more or none.
    """
    status = status_of(query.position, page.rows, page.total)
    answer = Answer(status, page.body, content_type=form.content_type)
    if form.is_object:
        answer.body = single(page.body, page.rows)
    elif form.media is Media.CSV:
        answer.body = csv_header(query.plan) + page.body
    answer.add(b"content-range", content_range(query.position, page.rows, page.total))
    return answer


def single(body: bytes, rows: int) -> bytes:
    """The one object of an array.

    Raises:
        NotAcceptable: PGRST116, there are more or none.
    """
    require_one(rows)
    return body[1:-1]


def require_one(rows: int) -> None:
    """Refuse, with PGRST116, to show more rows or none as one object."""
    if rows != 1:
        raise NotAcceptable(
            "Cannot coerce the result to a single JSON object",
            details=f"The result contains {rows} rows",
            code="PGRST116",
        )


def unit_of(preferences: Preferences) -> Unit | None:
    """The transaction that a read needs, where it prefers a time zone."""
    if preferences.timezone is None:
        return None
    return Unit(settings={"timezone": preferences.timezone}, is_read_only=True)


def item_plan(asked: ReadPlan, resource: Resource, key: str) -> ReadPlan:
    """What is asked of one row: the row that has the key, if it meets the filters besides."""
    where = all_of(key_predicate(resource, key_values(resource, key)), asked.where)
    return ReadPlan(resource, asked.select, where)


def _next_link(request: Request, resource: Resource, query: Query, page: Page) -> str | None:
    """The next page (RFC 8288). Without a count, a full page may turn out to have been the last."""
    end = query.position + page.rows
    if page.rows < query.limit or not page.rows or end == page.total:
        return None
    if page.last_key is None:  # no order to hold a place in
        kept = "".join(f"{part}&" for part in kept_parameters(request.query_string))
        return f'<{table_url(request.prefix, resource)}?{kept}limit={query.limit}&offset={end}>; rel="next"'
    token = cursor.encode(query.bound_to, page.last_key, end)
    kept = "".join(f"{part}&" for part in kept_parameters(request.query_string))
    return f'<{table_url(request.prefix, resource)}?{kept}limit={query.limit}&cursor={token}>; rel="next"'


def kept_parameters(query_string: bytes) -> list[str]:
    """The parameters that a next page has as well, as they were written."""
    parts = [part for part in query_string.split(b"&") if part and _name(part) not in _OF_THIS_PAGE]
    if _PLAIN.fullmatch(b"".join(parts)):
        return [part.decode() for part in parts]
    return [quote(part, safe=_WRITTEN) for part in parts]


def _name(parameter: bytes) -> bytes:
    name = parameter.partition(b"=")[0]
    return unquote_to_bytes(name) if b"%" in name else name
