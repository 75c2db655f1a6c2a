"""Everybody's sessions, for administrators."""

from starlette.responses import Response

from service.admin.pages.system.browser_name import browser_name
from service.admin.pages.system.sent import id_in
from service.admin.visit import Visit


async def show(visit: Visit) -> Response:
    """Who is logged in to the back-office."""
    sessions = await visit.runtime.sessions.of_user(None)
    return await visit.page("system/sessions.html", title="Sessions", sessions=sessions, browser_name=browser_name)


async def end(visit: Visit) -> Response:
    """End one."""
    await visit.runtime.sessions.end(id_in(visit, "session"), by=visit.by)
    return visit.go(visit.at("-", "sessions"), "The session has ended.")
