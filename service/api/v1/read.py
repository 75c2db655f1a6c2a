"""GET and HEAD of a table and of a row."""

from urllib.parse import quote, unquote_to_bytes

from service.api.v1.conditional import entity_tag, is_version, matches
from service.api.v1.exchange import Answer, Request, refuse_paging
from service.api.v1.paths import key_predicate, key_values, table_url
from service.api.v1.preferences import parse_preferences
from service.auth.policy import Policy
from service.catalog.resource import Resource
from service.core.errors import PreconditionFailed, RangeNotSatisfiable
from service.crud.read import Page, Reader
from service.query import cursor
from service.query.parse.cache import QueryCache
from service.query.parse.request import Query
from service.query.plan import ReadPlan, all_of

_OF_THIS_PAGE = (b"cursor", b"offset", b"limit")
# What may stand in a query string as it is (RFC 3986, section 3.4).
_WRITTEN = "%=+!$'()*,;:@/?-._~"


class ReadHandlers:
    """Reads for HTTP: pages with their range and next link, rows with their entity tag."""

    def __init__(self, policy: Policy, reader: Reader, queries: QueryCache) -> None:
        self._policy = policy
        self._reader = reader
        self._queries = queries

    async def page(self, request: Request, resource: Resource) -> Answer:
        preferences = parse_preferences(request.header(b"prefer"))
        catalog = self._policy.visible(request.principal)
        query = self._queries.page(catalog, resource, request.query_string, wants_count=preferences.wants_count)
        page = await self._reader.page(query.plan, request.principal)
        answer = Answer(200, page.body)
        if page.total is not None:
            if query.position > page.total:
                raise RangeNotSatisfiable("The page begins behind the last row.", total=page.total)
            answer.status = 206 if page.rows < page.total else 200
        answer.add(b"content-range", _content_range(query.position, page))
        if link := _next_link(request, resource, query, page):
            answer.add(b"link", link)
        if applied := preferences.applied("count"):
            answer.add(b"preference-applied", applied)
        return answer

    async def item(self, request: Request, resource: Resource, key: str) -> Answer:
        refuse_paging(request, "A row")
        preferences = parse_preferences(request.header(b"prefer"))
        asked = self._queries.item(self._policy.visible(request.principal), resource, request.query_string)
        plan = item_plan(asked, resource, key)
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


def item_plan(asked: ReadPlan, resource: Resource, key: str) -> ReadPlan:
    """What is asked of one row: the row that has the key, if it meets the filters besides."""
    where = all_of(key_predicate(resource, key_values(resource, key)), asked.where)
    return ReadPlan(resource, asked.select, where)


def _content_range(position: int, page: Page) -> str:
    rows = f"{position}-{position + page.rows - 1}" if page.rows else "*"
    return f"{rows}/{'*' if page.total is None else page.total}"


def _next_link(request: Request, resource: Resource, query: Query, page: Page) -> str | None:
    """The next page (RFC 8288). Without a count, a full page may turn out to have been the last."""
    end = query.position + page.rows
    if page.rows < query.limit or not page.rows or page.last_key is None or end == page.total:
        return None
    token = cursor.encode(query.bound_to, page.last_key, end)
    kept = "".join(f"{part}&" for part in _kept(request.query_string))
    return f'<{table_url(request.prefix, resource)}?{kept}limit={query.limit}&cursor={token}>; rel="next"'


def _kept(query_string: bytes) -> list[str]:
    """The parameters that a next page has as well, as they were written."""
    parts = (part for part in query_string.split(b"&") if part)
    return [
        quote(part, safe=_WRITTEN) for part in parts if unquote_to_bytes(part.partition(b"=")[0]) not in _OF_THIS_PAGE
    ]
