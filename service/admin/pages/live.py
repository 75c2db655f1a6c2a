"""What pages need to follow the rows that they show: a feed with a ticket, and who has changed a row last."""

from starlette.responses import JSONResponse, Response

from service.admin.filters import quoted_name
from service.admin.pages.changes import read_log, who_is
from service.admin.pages.row import row_url
from service.admin.reading import encode
from service.admin.visit import Visit
from service.api.v1.paths import key_values, table_url
from service.catalog.resource import Resource
from service.core.errors import Conflict
from service.core.types import Action


def live_path(visit: Visit, resource: Resource, key: str | None = None) -> str | None:
    """Where a page asks for the feed of a table or a row; None where there can be none."""
    if not resource.key or not visit.may(resource, Action.READ):
        return None
    return visit.of_table(resource, "live") if key is None else visit.of_row(resource, "live", key)


async def table(visit: Visit) -> Response:
    """The feed of a table."""
    return await _feed(visit, visit.resource, [])


async def row(visit: Visit) -> Response:
    """The feed of a row."""
    resource = visit.resource
    values = key_values(resource, visit.key)
    filters = [(quoted_name(name), f"eq.{value}") for name, value in zip(resource.key, values, strict=True)]
    return await _feed(visit, resource, filters)


async def _feed(visit: Visit, resource: Resource, filters: list[tuple[str, str]]) -> Response:
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
    log = await read_log(visit, f"{row_url(resource, visit.key)}/-/history", [])
    if not log.changes:
        return JSONResponse({"who": None})
    latest = log.changes[0]
    is_own = latest.who == who_is(visit.session.principal.actor)
    return JSONResponse({"who": "You" if is_own else latest.who, "type": latest.kind, "at": latest.at})
