"""Deleting a row: what it takes with it is shown before."""

from starlette.responses import Response

from service.admin.forms import Faults, if_match
from service.admin.pages.consequences import consequences_of
from service.admin.pages.row import read_row
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import row_url
from service.catalog.resource import Resource
from service.core.errors import Conflict, Forbidden, PreconditionFailed, RowhouseError, RowNotFound
from service.core.types import Action


async def show(visit: Visit) -> Response:
    """Ask whether to delete it."""
    resource, key = visit.resource, visit.key
    _require(visit, resource)
    return await _ask(visit, resource, key, Faults())


async def delete(visit: Visit) -> Response:
    """Delete it, if it is still as it was shown."""
    resource, key = visit.resource, visit.key
    _require(visit, resource)
    try:
        headers = {"if-match": if_match(visit.form.get("version"))}
        await visit.plane.ask("DELETE", row_url("", resource, key), headers=headers)
    except PreconditionFailed:
        changed = Faults("Somebody has changed this row since you looked at it. Nothing was deleted: look again.")
        return await _ask(visit, resource, key, changed)
    except RowNotFound:
        return visit.go(visit.of_table(resource, "list"), f"{key} was gone already.")
    except RowhouseError as error:
        if status_of(error) in (403, 404, 503):
            raise
        return await _ask(visit, resource, key, Faults(f"It was not deleted. {error.message}", error.hint))
    return visit.go(visit.of_table(resource, "list"), f"Deleted {key}.")


async def _ask(visit: Visit, resource: Resource, key: str, faults: Faults) -> Response:
    seen = await read_row(visit, resource, key)
    return await visit.page(
        "delete.html",
        409 if faults.message else 200,
        title=f"Delete {key}",
        resource=resource,
        key=key,
        seen=seen,
        faults=faults,
        consequences=await consequences_of(visit, resource, seen.values),
        is_tracked=await _is_tracked(visit, resource),
    )


async def _is_tracked(visit: Visit, resource: Resource) -> bool:
    try:
        await visit.runtime.hub.log.tracked(resource)
    except Conflict:
        return False
    return True


def _require(visit: Visit, resource: Resource) -> None:
    if not visit.may(resource, Action.DELETE):
        raise Forbidden(f"You may not delete rows of {resource.name!r}.")
