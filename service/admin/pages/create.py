"""A new row."""

from urllib.parse import parse_qsl

from starlette.datastructures import FormData
from starlette.responses import Response

from service.admin.controls import control_of
from service.admin.filters import quoted_name
from service.admin.pages.edit import Faults, Sent, faults_of, sent_of, writable
from service.admin.plane import loaded
from service.admin.reading import encode
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import key_text, table_url
from service.catalog.resource import Resource
from service.core.errors import Forbidden, RowhouseError
from service.core.types import Action


async def show(visit: Visit) -> Response:
    """An empty form; the address may say what some fields begin with (`was.column=value`)."""
    resource = visit.resource
    _require(visit, resource)
    given = dict(parse_qsl(visit.request.url.query, keep_blank_values=True))
    begun = {
        one.name: given[f"was.{one.name}"] for one in writable(resource, Action.CREATE) if f"was.{one.name}" in given
    }
    return await _form(visit, resource, Sent({}, begun), Faults())


async def save(visit: Visit) -> Response:
    """Insert it. A field that is left as it came takes its default."""
    resource = visit.resource
    _require(visit, resource)
    sent = _sent(resource, visit.form)
    fields = {one.name: one for one in writable(resource, Action.CREATE)}
    try:
        body = {name: control_of(fields[name]).as_json(value) for name, value in sent.now.items()}
        names = [f"{quoted_name(name)}::text" for name in resource.key]
        query = encode([("select", ",".join(names))]) if names and visit.may(resource, Action.READ) else ""
        prefer = "return=representation" if query else "return=minimal"
        answer = await visit.plane.ask("POST", table_url("", resource), query, body, {"prefer": prefer})
    except RowhouseError as error:
        if status_of(error) in (403, 404, 503):
            raise
        return await _form(visit, resource, sent, faults_of(error, resource))
    if visit.form.get("then") == "another":
        return visit.go(visit.of_table(resource, "create"), "Added.")
    row = loaded(answer.body) if query and answer.body else None
    if isinstance(row, list):
        row = row[0] if row else None
    if row is None:
        return visit.go(visit.of_table(resource, "list"), "Added.")
    key = key_text(tuple(row[name] for name in resource.key))
    return visit.go(visit.of_row(resource, "details", key), "Added.")


def _sent(resource: Resource, form: FormData) -> Sent:
    """What was typed in; fields that hold nothing are left to their defaults, unless NULL is ticked."""
    sent = sent_of(writable(resource, Action.CREATE), form)
    nulls = {one.name for one in writable(resource, Action.CREATE) if f"null.{one.name}" in form}
    empties = {one.name for one in writable(resource, Action.CREATE) if f"empty.{one.name}" in form}
    now = {name: value for name, value in sent.now.items() if value or name in nulls or name in empties}
    return Sent({}, now)


async def _form(visit: Visit, resource: Resource, sent: Sent, faults: Faults) -> Response:
    controls = [(control_of(one), sent.now.get(one.name, ""), None) for one in writable(resource, Action.CREATE)]
    return await visit.page(
        "create.html",
        422 if faults.message else 200,
        title=f"New row of {resource.name}",
        resource=resource,
        controls=controls,
        faults=faults,
    )


def _require(visit: Visit, resource: Resource) -> None:
    if not visit.may(resource, Action.CREATE):
        raise Forbidden(f"You may not add rows to {resource.name!r}.")
