"""The way in and out: password, then the second factor of those who have one."""

from contextlib import suppress

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.admin.back_office import BackOffice
from service.admin.gate import (
    CSRF_FIELD,
    SESSION_COOKIE,
    VISITOR_COOKIE,
    admin_root,
    cookie,
    drop_cookie,
    of_visitor,
    require_own,
    safe_target,
    set_cookie,
    visitor,
)
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.exchange import client_address
from service.auth.security_events import By, EventKind
from service.core.errors import RowhouseError, RowNotFound

_LONGEST = 1000


def add_login(office: BackOffice) -> None:
    office.add_open_page("/login", "GET", show)
    office.add_open_page("/login", "POST", log_in)
    office.add_open_page("/login/code", "GET", show_code)
    office.add_open_page("/login/code", "POST", confirm)
    office.add_action("/logout", log_out)


async def show(office: BackOffice, request: Request) -> Response:
    """The form, or on to the back-office for whoever is in."""
    session = await office.gate.session(request)
    if session is not None and session.is_complete:
        return RedirectResponse(safe_target(request, request.query_params.get("next")), status_code=303)
    return await _form(office, request, "login.html")


async def log_in(office: BackOffice, request: Request) -> Response:
    """Check name and password, and open a session."""
    runtime = office.state.connected()
    form = await _sent(request)
    try:
        require_own(request, runtime, of_visitor(visitor(request)), form.get(CSRF_FIELD))
        user = await runtime.logins.verify(_text(form, "email"), _text(form, "password"), client_address(request.scope))
    except RowhouseError as error:
        return await _form(office, request, "login.html", error, email=_text(form, "email"))
    # A session that this browser had, or was made to have, is not taken over.
    if (old := await office.gate.session(request)) is not None:
        with suppress(RowNotFound):  # the form was sent twice
            await runtime.sessions.end(old.id, by=By(old.principal.actor, client_address(request.scope)))
    token, is_complete = await runtime.sessions.open(
        user.id, client_address(request.scope), request.headers.get("user-agent", "")
    )
    target = safe_target(request, request.query_params.get("next"))
    if not is_complete:
        target = f"{admin_root(request)}/login/code?{request.url.query}".rstrip("?")
    response = RedirectResponse(target, status_code=303)
    set_cookie(request, response, SESSION_COOKIE, token, office.state.settings.security.session_seconds)
    drop_cookie(request, response, VISITOR_COOKIE)
    return response


async def show_code(office: BackOffice, request: Request) -> Response:
    """Ask for the second factor."""
    session = await office.gate.session(request)
    if session is None or session.is_complete:
        return RedirectResponse(f"{admin_root(request)}/login", status_code=303)
    return await _form(office, request, "login_code.html", whose=str(session.id))


async def confirm(office: BackOffice, request: Request) -> Response:
    """Check the second factor; the session goes on under another cookie."""
    runtime = office.state.connected()
    session = await office.gate.session(request)
    if session is None or session.is_complete:
        return RedirectResponse(f"{admin_root(request)}/login", status_code=303)
    form = await _sent(request)
    try:
        require_own(request, runtime, str(session.id), form.get(CSRF_FIELD))
        await runtime.logins.verify_factor(
            session.user_id, session.email, _text(form, "code"), client_address(request.scope)
        )
        token = await runtime.sessions.complete(session.id)
    except RowhouseError as error:
        return await _form(office, request, "login_code.html", error, whose=str(session.id))
    response = RedirectResponse(safe_target(request, request.query_params.get("next")), status_code=303)
    set_cookie(request, response, SESSION_COOKIE, token, office.state.settings.security.session_seconds)
    return response


async def log_out(visit: Visit) -> Response:
    """End the session."""
    with suppress(RowNotFound):  # the form was sent twice
        await visit.runtime.sessions.end(visit.session.id, by=visit.by, kind=EventKind.LOGGED_OUT)
    response = RedirectResponse(visit.at("login"), status_code=303)
    drop_cookie(visit.request, response, SESSION_COOKIE)
    return response


async def _sent(request: Request) -> FormData:
    """What was typed in; nothing where it cannot be read."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return FormData()
    return await request.form(max_fields=10)


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value[:_LONGEST].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


async def _form(
    office: BackOffice,
    request: Request,
    template: str,
    error: RowhouseError | None = None,
    *,
    whose: str | None = None,
    email: str = "",
) -> Response:
    known = cookie(request, VISITOR_COOKIE)
    own = known or visitor(request)
    context = {
        "csrf": office.state.connected().csrf.token(whose or of_visitor(own)),
        "root": admin_root(request),
        "query": request.url.query,
        "error": error,
        "email": email,
    }
    status = 200 if error is None else status_of(error)
    response = await office.render(request, template, status, "Log in", context)
    if whose is None and known is None:
        set_cookie(request, response, VISITOR_COOKIE, own, None)
    return response
