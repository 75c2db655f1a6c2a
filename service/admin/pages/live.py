"""What pages need to follow the rows that they show: a feed with a ticket, and who has changed a row last."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from service.admin.filters import quoted_name
from service.admin.pages.changes import read_log, who_is
from service.admin.reading import encode
from service.admin.visit import Visit
from service.api.v1.paths import key_values, row_url, table_url
from service.catalog.resource import Resource
from service.core.errors import Conflict, InvalidQuery
from service.core.types import Action
from service.events.follow_request import parse_follow, read_plans
from service.query.parse.parameters import Bounds

Pair = tuple[str, str]


def live_path(visit: Visit, resource: Resource, key: str | None = None, filters: Iterable[Pair] = ()) -> str | None:
    """Where a page asks for the feed of a row, or of the rows that meet filters; None where there can be none."""
    if not resource.key or not visit.may(resource, Action.READ):
        return None
    if key is not None:
        return visit.of_row(resource, "live", key)
    return visit.of_table(resource, "live", filters)


async def table(visit: Visit) -> Response:
    """The feed of a table: of the rows that meet the filters, unless a feed has none of the kind."""
    resource, filters = visit.resource, parse_qsl(visit.request.url.query, keep_blank_values=True)
    api = visit.state.settings.api
    bounds = Bounds(api.api_max_rows, api.api_max_depth, allows_aggregates=False)
    try:
        asked = parse_follow(resource.name, encode(filters).encode(), None)
        read_plans(asked.parameters, visit.runtime.policy, visit.session.principal, bounds)
    except InvalidQuery:
        filters = []
    return await _feed(visit, resource, filters)


async def row(visit: Visit) -> Response:
    """The feed of a row."""
    resource = visit.resource
    values = key_values(resource, visit.key)
    filters = [(quoted_name(name), f"eq.{value}") for name, value in zip(resource.key, values, strict=True)]
    return await _feed(visit, resource, filters)


async def _feed(visit: Visit, resource: Resource, filters: list[Pair]) -> Response:
    """Its address, with a ticket that is good once; null where the table is not tracked."""
    try:
        await visit.runtime.hub.log.tracked(resource)
    except Conflict:
        return JSONResponse({"feed": None})
    ticket = await visit.runtime.tickets.issue(visit.session.principal)
    select = ",".join(f"{quoted_name(name)}::text" for name in resource.key)
    query = encode([*filters, ("select", select), ("ticket", ticket)])
    prefix = visit.root.removesuffix("/admin")
    return JSONResponse({"feed": f"{table_url(prefix, resource)}/-/changes?{query}", "key": list(resource.key)})


async def last_change(visit: Visit) -> Response:
    """Who has changed the row last, and into which version."""
    resource = visit.resource
    log = await read_log(visit, f"{row_url('', resource, visit.key)}/-/history", [])
    if not log.changes:
        return JSONResponse({"who": None})
    latest = log.changes[0]
    is_own = latest.who == who_is(visit.session.principal.actor)
    return JSONResponse({"who": "You" if is_own else latest.who, "type": latest.kind, "at": latest.at})
