"""The first page."""

from starlette.responses import Response

from service.admin.visit import Visit


async def show(visit: Visit) -> Response:
    """Whether it is well."""
    return await visit.page("home.html", title="Home")
