"""One request of an operator who is logged in, with what a page is made from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.admin.gate import admin_root
from service.admin.plane import Plane
from service.admin.slug import from_slug, to_slug
from service.api.v1.exchange import client_address
from service.api.v1.paths import key_text
from service.auth.security_events import By
from service.auth.sessions import OpenSession
from service.catalog.resource import Resource
from service.core.errors import Forbidden, TableNotFound
from service.core.types import Action, Role
from service.events.event import Kind
from service.runtime import Runtime
from service.state import ServiceState

if TYPE_CHECKING:
    from service.admin.back_office import BackOffice


# What takes a change back, by what it did.
_INVERSE = {
    Kind.INSERT.value: Action.DELETE,
    Kind.UPDATE.value: Action.UPDATE,
    Kind.DELETE.value: Action.CREATE,
    "truncate": Action.CREATE,
}


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for what. `form` is what was sent, in a request that changes something."""

    request: Request
    session: OpenSession
    office: "BackOffice"
    runtime: Runtime
    plane: Plane
    form: FormData

    @property
    def state(self) -> ServiceState:
        return self.office.state

    @property
    def root(self) -> str:
        return admin_root(self.request)

    @property
    def is_admin(self) -> bool:
        return self.session.role is Role.ADMIN

    @property
    def by(self) -> By:
        """The operator, for the log of security events."""
        return By(self.session.principal.actor, client_address(self.request.scope))

    async def renew_session(self) -> None:
        """Go on under another cookie: how the operator logs in has changed."""
        self.request.state.session_token = await self.runtime.sessions.rotate(self.session.id)

    @property
    def resource(self) -> Resource:
        """The table that the address names.

        Raises:
            TableNotFound: there is none that the operator may know of.
        """
        name = from_slug(self.request.path_params["identity"])
        resource = self.runtime.policy.visible(self.session.principal).find(name)
        if resource is None:
            raise TableNotFound("There is no such table, or it is not yours to see.")
        return resource

    @property
    def key(self) -> str:
        """The key that the address names, as the API's paths write it."""
        return from_slug(self.request.path_params["pk"])

    def may(self, resource: Resource, action: Action) -> bool:
        """Whether policy and PostgreSQL let the operator do this to some rows of the table."""
        able = resource.abilities
        can = {
            Action.CREATE: able.can_insert,
            Action.UPDATE: able.can_update and bool(resource.key),
            Action.DELETE: able.can_delete and bool(resource.key),
        }
        return can.get(action, True) and self.runtime.policy.may(self.session.principal, resource, action)

    def may_undo(self, table: str, kind: str) -> bool:
        """Whether what takes such a change back may be done to some rows of the table."""
        resource = self.runtime.policy.visible(self.session.principal).find(table)
        return resource is not None and kind in _INVERSE and self.may(resource, _INVERSE[kind])

    def require_admin(self) -> None:
        """Raises: Forbidden, for whoever is no administrator."""
        if not self.is_admin:
            raise Forbidden("This page is for administrators.")

    def at(self, *segments: str, query: str | Iterable[tuple[str, str]] = "") -> str:
        """The path of a page of the back-office, with a query string or its parameters."""
        text = query if isinstance(query, str) else urlencode(list(query), quote_via=quote)
        path = "/".join((self.root, *segments))
        return f"{path}?{text}" if text else path

    def of_table(self, resource: Resource, page: str, query: str | Iterable[tuple[str, str]] = "") -> str:
        """The path of a page of a table."""
        return self.at(to_slug(resource.name), page, query=query)

    def of_row(self, resource: Resource, page: str, key: Iterable[str] | str) -> str:
        """The path of a page of a row, by the values of its key or by the key as the API's paths write it."""
        text = key if isinstance(key, str) else key_text(tuple(key))
        return self.at(to_slug(resource.name), page, to_slug(text))

    async def page(self, template: str, status: int = 200, *, title: str, **context: Any) -> Response:
        """A page."""
        context |= {"visit": self, "csrf": self.runtime.csrf.token(str(self.session.id))}
        return await self.office.render(self.request, template, status, title, context)

    def go(self, path: str, note: str = "") -> Response:
        """Send the browser on (303: by GET), with a note for the page that it comes to."""
        response = RedirectResponse(path, status_code=303)
        if note:
            self.office.leave_note(self.request, response, note)
        return response
