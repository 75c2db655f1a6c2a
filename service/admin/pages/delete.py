"""Deleting a row: what it takes with it is shown before."""

from starlette.responses import Response

from service.admin.pages.row import read_row, row_url
from service.admin.visit import Visit
from service.core.errors import Forbidden
from service.core.types import Action


async def show(visit: Visit) -> Response:
    """Ask whether to delete it."""
    resource, key = visit.resource, visit.key
    if not visit.may(resource, Action.DELETE):
        raise Forbidden(f"You may not delete rows of {resource.name!r}.")
    seen = await read_row(visit, resource, key)
    return await visit.page("delete.html", title=f"Delete {key}", resource=resource, key=key, seen=seen)


async def delete(visit: Visit) -> Response:
    """Delete it, if it is still as it was shown."""
    resource, key = visit.resource, visit.key
    if not visit.may(resource, Action.DELETE):
        raise Forbidden(f"You may not delete rows of {resource.name!r}.")
    version = visit.form.get("version")
    headers = {"if-match": f'"{version}"'} if version else {}
    await visit.plane.ask("DELETE", row_url(resource, key), headers=headers)
    return visit.go(visit.of_table(resource, "list"), f"Deleted {key}.")
