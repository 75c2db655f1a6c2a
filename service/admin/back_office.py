"""The back-office: SQLAdmin's application with pages of our own, which read and write by way of the table plane.

SQLAdmin gives the mounted application, the templates' environment and their base page. Its own handlers are not routed:
they read and write rows by themselves, without versions and without the policy (decision 21).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import structlog
from fastapi import FastAPI
from jinja2 import StrictUndefined
from sqladmin import Admin
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from service import __version__
from service.admin import formats
from service.admin.gate import (
    CSRF_FIELD,
    CSRF_HEADER,
    SESSION_COOKIE,
    Gate,
    admin_root,
    cookie,
    drop_cookie,
    require_own,
    set_cookie,
)
from service.admin.menu import Section
from service.admin.plane import Answering, Plane
from service.admin.slug import to_slug
from service.admin.visit import Visit
from service.api.caller import remember_caller
from service.api.files import Files
from service.api.problem import status_of
from service.api.v1.exchange import client_address
from service.auth.sessions import OpenSession
from service.core.errors import InvalidBody, RowhouseError
from service.state import ServiceState

_HERE = Path(__file__).parent
_NOTE_COOKIE = "rowhouse_note"
_LONGEST_NOTE = 500
# Neither script nor style stands in a page itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FIELDS_AT_MOST = 5000

_error_log = structlog.get_logger("error")

Serve = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Visit], Awaitable[Response]]
OpenHandler = Callable[["BackOffice", Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Titled:
    title: str
    favicon_url: None = None


class BackOffice(Admin):
    """Pages for operators, at `/admin`."""

    def __init__(self, app: FastAPI, state: ServiceState, answering: Answering) -> None:
        self.state = state
        self.gate = Gate(state)
        self._answering = answering
        super().__init__(
            app,
            base_url="/admin",
            title="Rowhouse",
            templates_dir=str(_HERE / "templates"),
        )
        self.templates.env.undefined = StrictUndefined
        self.templates.env.globals |= {"version": __version__, "slug": to_slug, "sections": self.sections}
        self.templates.env.filters |= formats.FILTERS
        self.sections_made: list[Callable[[Visit], Section | None]] = []
        statics = Files(directory=_HERE / "static")
        self.admin.router.routes = [Mount("/static", app=statics, name="static")]
        self.admin.router.redirect_slashes = False
        self.admin.exception_handlers = {HTTPException: self._on_http_error, RowhouseError: self._on_error}

    def sections(self, visit: Visit) -> list[Section]:
        """The menu of an operator."""
        made = (make(visit) for make in self.sections_made)
        return [section for section in made if section is not None and section.entries]

    def add_page(self, path: str, handler: Handler) -> None:
        """A page for whoever is logged in, which changes nothing."""
        self._add(path, "GET", self._page(handler))

    def add_action(self, path: str, handler: Handler) -> None:
        """What changes something, for whoever is logged in and sends the token of a form that was made here."""
        self._add(path, "POST", self._action(handler))

    def add_upload(self, path: str, handler: Handler) -> None:
        """The same, whose body the handler reads itself: the token comes as a header."""
        self._add(path, "POST", self._action(handler, reads_form=False))

    def add_open_page(self, path: str, method: str, handler: OpenHandler) -> None:
        """A page for anybody: the way in."""

        async def serve(request: Request) -> Response:
            return _secured(await handler(self, request))

        self._add(path, method, serve)

    def _add(self, path: str, method: str, serve: Serve) -> None:
        async def endpoint(request: Request) -> Response:
            request.scope["rowhouse.route"] = f"/admin{path}"
            try:
                return await serve(request)
            except (RowhouseError, HTTPException):
                raise
            except Exception as error:  # answered here: Starlette would answer in plain text
                request_id = request.scope["rowhouse.request_id"]
                _error_log.exception("unforeseen_error", error=type(error).__name__)
                hint = f"The request id {request_id} finds it in the log."
                return await self._plain_error(
                    request, HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here.", hint
                )

        self.admin.router.routes.append(Route(path, endpoint, methods=[method]))

    async def render(
        self, request: Request, template: str, status: int, title: str, context: dict[str, Any]
    ) -> Response:
        """A page from its template, under a title of its own."""
        # SQLAdmin's base page has one title for all, that of its application.
        context |= {"title": title, "admin": _Titled(f"{title} · Rowhouse")}
        return await self.templates.TemplateResponse(request, f"rowhouse/{template}", context, status_code=status)

    def leave_note(self, request: Request, response: Response, note: str) -> None:
        """Say something on the next page."""
        set_cookie(request, response, _NOTE_COOKIE, quote(note[:_LONGEST_NOTE]), 60)

    def _page(self, handler: Handler) -> Serve:
        async def serve(request: Request) -> Response:
            session = await self._admitted(request)
            if isinstance(session, Response):
                return _secured(session)
            try:
                response = await handler(self._visit(request, session, FormData()))
            except RowhouseError as error:
                response = await self._error_page(request, session, error)
            return self._finished(request, response)

        return serve

    def _action(self, handler: Handler, *, reads_form: bool = True) -> Serve:
        async def serve(request: Request) -> Response:
            session = await self._admitted(request)
            if isinstance(session, Response):
                return _secured(session)
            form = FormData()
            try:
                if reads_form:
                    form = await _form_of(request, self.state.settings.api.api_max_body_bytes)
                token = request.headers.get(CSRF_HEADER) or form.get(CSRF_FIELD)
                require_own(request, self.state.connected(), str(session.id), token)
                response = await handler(self._visit(request, session, form))
            except RowhouseError as error:
                response = await self._error_page(request, session, error)
            finally:
                await form.close()  # its files
            return self._finished(request, response)

        return serve

    async def _admitted(self, request: Request) -> OpenSession | Response:
        """Whose request it is; or the way to the login."""
        session = await self.gate.session(request)
        if session is None or not session.is_complete:
            return self._to_login(request)
        request.state.session_token = session.token
        remember_caller(request.scope, session.principal)
        self.state.limiter.count(session.principal.actor, client_address(request.scope))
        await self.state.connected().policy.refresh()
        return session

    def _to_login(self, request: Request) -> Response:
        if _wants_json(request):
            return JSONResponse({"message": "Your login has ended. Load the page again."}, status_code=401)
        target = f"?next={quote(_target(request), safe='/')}" if request.method == "GET" else ""
        return RedirectResponse(f"{admin_root(request)}/login{target}", status_code=303)

    def _visit(self, request: Request, session: OpenSession, form: FormData) -> Visit:
        plane = Plane(self._answering, request.scope, session.principal)
        request.state.note = unquote(cookie(request, _NOTE_COOKIE) or "")
        return Visit(request, session, self, self.state.connected(), plane, form)

    def _finished(self, request: Request, response: Response) -> Response:
        if (token := request.state.session_token) is not None:
            set_cookie(request, response, SESSION_COOKIE, token, self.state.settings.security.session_seconds)
        if cookie(request, _NOTE_COOKIE) and response.status_code != HTTPStatus.SEE_OTHER and not _wants_json(request):
            drop_cookie(request, response, _NOTE_COOKIE)
        return _secured(response)

    async def _error_page(self, request: Request, session: OpenSession, error: RowhouseError) -> Response:
        status = status_of(error)
        if _wants_json(request):
            fields = {item.field: item.message for item in error.fields}
            return JSONResponse(
                {"message": error.message, "hint": error.hint, "code": error.stable_code, "fields": fields},
                status_code=status,
            )
        visit = self._visit(request, session, FormData())
        return await visit.page("error.html", status, title=status.phrase, error=error)

    async def _on_http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return await self._plain_error(request, HTTPStatus(error.status_code), "There is no such page.", None)

    async def _on_error(self, request: Request, error: Exception) -> Response:
        """An error before it is known who asks: the database is down, or too many requests come."""
        assert isinstance(error, RowhouseError)
        return await self._plain_error(request, status_of(error), error.message, error.hint)

    async def _plain_error(self, request: Request, status: HTTPStatus, message: str, hint: str | None) -> Response:
        if _wants_json(request):
            return _secured(JSONResponse({"message": message, "hint": hint}, status_code=status))
        context = {"message": message, "hint": hint, "root": admin_root(request)}
        return _secured(await self.render(request, "plain_error.html", status, status.phrase, context))


async def _form_of(request: Request, longest: int) -> FormData:
    """What the form holds.

    Raises:
        InvalidBody: it cannot be read.
    """
    try:
        form = await request.form(max_fields=_FIELDS_AT_MOST, max_part_size=longest)
        for name, value in form.multi_items():
            if "\x00" in name or (isinstance(value, str) and "\x00" in value):
                raise InvalidBody("A text has a NUL character, which PostgreSQL cannot store.")
            (name + (value if isinstance(value, str) else "")).encode()
    except (HTTPException, UnicodeError, ValueError) as error:
        reason = error.detail if isinstance(error, HTTPException) else "it is not UTF-8"
        raise InvalidBody(f"The form cannot be read: {reason}") from None
    return form


def _target(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    path: str = request.scope["path"]
    return path + (f"?{query}" if query else "")


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _secured(response: Response) -> Response:
    response.headers["content-security-policy"] = _POLICY
    response.headers.setdefault("cache-control", "no-store")
    return response
