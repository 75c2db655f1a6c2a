"""A new row."""

from urllib.parse import parse_qsl

from starlette.datastructures import FormData
from starlette.responses import Response

from service.admin.controls import control_of
from service.admin.fields import fields_of
from service.admin.filters import quoted_name
from service.admin.forms import Faults, Sent, Shown, as_body, faults_of, sent_of, writable
from service.admin.pages.row import read_row
from service.admin.plane import loaded
from service.admin.reading import encode, key_in
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import table_url
from service.catalog.resource import Resource
from service.core.errors import Forbidden, RowhouseError
from service.core.types import Action

COPY = "-copy"


async def show(visit: Visit) -> Response:
    """An empty form; the address may say what some fields begin with (`was.column=value`), or of which row they are a
    copy.
    """
    resource = visit.resource
    _require(visit, resource)
    given = dict(parse_qsl(visit.request.url.query, keep_blank_values=True))
    fields = writable(resource, Action.CREATE)
    begun = await _copied(visit, resource, given[COPY]) if COPY in given else {}
    begun |= {one.name: given[f"was.{one.name}"] for one in fields if f"was.{one.name}" in given}
    return await _form(visit, resource, Sent({}, begun), Faults())


async def _copied(visit: Visit, resource: Resource, key: str) -> dict[str, str | None]:
    """The values of a row, but for its key and its files. Raises: RowNotFound."""
    seen = await read_row(visit, resource, key)
    controls = (control_of(one) for one in writable(resource, Action.CREATE) if not one.is_key)
    names = (one.field.name for one in controls if not one.is_file)
    return {name: seen.values[name] for name in names if name in seen.values}


async def save(visit: Visit) -> Response:
    """Insert it. A field that is left as it came takes its default."""
    resource = visit.resource
    _require(visit, resource)
    sent = _sent(resource, visit.form)
    try:
        names = [f"{quoted_name(name)}::text" for name in resource.key]
        query = encode([("select", ",".join(names))]) if names and visit.may(resource, Action.READ) else ""
        prefer = "return=representation" if query else "return=minimal"
        answer = await visit.plane.ask(
            "POST", table_url("", resource), query, as_body(resource, sent.now), {"prefer": prefer}
        )
    except RowhouseError as error:
        if status_of(error) in (403, 404, 503):
            raise
        return await _form(visit, resource, sent, faults_of(error, resource, sent.now))
    if visit.form.get("then") == "another":
        return visit.go(visit.of_table(resource, "create"), "Added.")
    row = loaded(answer.body) if query and answer.body else None
    if isinstance(row, list):
        row = row[0] if row else None
    if row is None:
        return visit.go(visit.of_table(resource, "list"), "Added.")
    key = key_in(resource, row)
    return visit.go(visit.of_row(resource, "details", key), "Added.")


def _sent(resource: Resource, form: FormData) -> Sent:
    """What was typed in; fields that hold nothing take their defaults, unless NULL or an empty text is ticked."""
    fields = writable(resource, Action.CREATE)
    now = sent_of(fields, form).now
    kept: dict[str, str | None] = {}
    for one in fields:
        control = control_of(one)
        if one.name in now and (control.name("null") in form or not control.is_blank(form)):
            kept[one.name] = now[one.name]
        elif control.name("empty") in form and control.can_be_empty:
            kept[one.name] = ""
    return Sent({}, kept)


async def _form(visit: Visit, resource: Resource, sent: Sent, faults: Faults) -> Response:
    return await visit.page(
        "create.html",
        422 if faults.message else 200,
        title=f"New row of {resource.name}",
        resource=resource,
        controls=[
            Shown(
                control_of(one),
                sent.now.get(one.name, ""),
                is_new=control_of(one).is_file and one.name in sent.now,
                is_empty=sent.now.get(one.name) == "",
            )
            for one in writable(resource, Action.CREATE)
        ],
        fixed=[one for one in fields_of(resource) if not one.column.is_writable],
        faults=faults,
    )


def _require(visit: Visit, resource: Resource) -> None:
    if not visit.may(resource, Action.CREATE):
        raise Forbidden(f"You may not add rows to {resource.name!r}.")
