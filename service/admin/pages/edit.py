"""Editing a row: only what was changed is written, and never over what the operator has not seen."""

from collections.abc import Mapping

from starlette.responses import Response

from service.admin.controls import control_of
from service.admin.fields import Field, fields_of
from service.admin.forms import Faults, Sent, Shown, as_body, faults_of, if_match, sent_of, writable
from service.admin.pages import conflict
from service.admin.pages.row import Seen, read_row
from service.admin.reading import Cell
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import key_text, key_values, row_url
from service.catalog.resource import Resource
from service.core.errors import Forbidden, PreconditionFailed, RowhouseError, RowNotFound
from service.core.types import Action

_VERSION = "version"


async def show(visit: Visit) -> Response:
    """The form of a row."""
    resource, key = visit.resource, visit.key
    _require(visit, resource)
    seen = await read_row(visit, resource, key)
    return await _form(visit, resource, key, seen, Sent({}, {}), Faults())


async def save(visit: Visit) -> Response:
    """Write what was changed, if the row is still as it was shown."""
    return await _save(visit, sent_of(writable(visit.resource), visit.form))


async def merge(visit: Visit) -> Response:
    """Write what was chosen field by field, if the row is still as the choice showed it."""
    resource, key = visit.resource, visit.key
    sent = sent_of(writable(resource), visit.form)
    _require(visit, resource)
    if open_fields := [
        name for name in sent.changed if visit.form.get(f"take.{name}") not in (conflict.YOURS, conflict.THEIRS)
    ]:
        return await conflict.show(visit, resource, key, sent, f"Choose what is to become of {', '.join(open_fields)}.")
    chosen = {name: value for name, value in sent.now.items() if visit.form.get(f"take.{name}") == conflict.YOURS}
    return await _save(visit, Sent(sent.was, chosen))


async def _save(visit: Visit, sent: Sent) -> Response:
    resource, key = visit.resource, visit.key
    _require(visit, resource)
    version = visit.form.get(_VERSION)
    if not sent.changed:
        return visit.go(visit.of_row(resource, "details", key), "Nothing was changed.")
    try:
        await write(visit, resource, key, sent.changed, version)
    except PreconditionFailed:
        return await conflict.show(visit, resource, key, sent)
    except RowNotFound:
        return await conflict.show_gone(visit, resource, key, sent)
    except RowhouseError as error:
        if status_of(error) in (403, 404, 503):
            raise
        return await _refused(visit, resource, key, sent, error)
    new_key = _key_after(resource, key, sent)
    page = "edit" if visit.form.get("then") == "stay" else "details"
    return visit.go(visit.of_row(resource, page, new_key), f"Saved: {', '.join(sent.changed)}.")


async def _refused(visit: Visit, resource: Resource, key: str, sent: Sent, error: RowhouseError) -> Response:
    """The form again, with what was typed in, and what is wrong with it."""
    try:
        seen = await read_row(visit, resource, key)
    except RowNotFound:
        return await conflict.show_gone(visit, resource, key, sent)
    return await _form(visit, resource, key, seen, sent, faults_of(error, resource, sent.changed))


async def write(visit: Visit, resource: Resource, key: str, values: Mapping[str, str | None], version: object) -> None:
    """Set these columns of a row, in the version that the form carries.

    Raises:
        PreconditionFailed: the row is not in that version any more, or the form carries none.
        RowhouseError: as the API.
    """
    headers = {"prefer": "return=minimal", "if-match": if_match(version)}
    await visit.plane.ask("PATCH", row_url("", resource, key), "", as_body(resource, values), headers)


async def _form(visit: Visit, resource: Resource, key: str, seen: Seen, sent: Sent, faults: Faults) -> Response:
    """The form, with what was typed in where it could not be saved."""
    fields = fields_of(resource)
    cells = {one.name: cell for one, cell in zip(fields, seen.cells, strict=True)}
    settable = {one.name for one in writable(resource)}
    return await visit.page(
        "edit.html",
        422 if faults.message else 200,
        title=f"{resource.name} {key}",
        resource=resource,
        key=key,
        controls=[_shown(one, seen, sent, cells[one.name]) for one in fields if one.name in settable],
        fixed=[(one, cells[one.name]) for one in fields if one.name not in settable],
        version=visit.form.get(_VERSION) or seen.version,
        faults=faults,
    )


def _shown(one: Field, seen: Seen, sent: Sent, cell: Cell) -> Shown:
    control, name = control_of(one), one.name
    was = sent.was[name] if name in sent.was else control.trace(seen.values[name])
    if name in sent.changed:
        value = sent.now[name]
    else:
        value = was if name in sent.was and not control.is_file else seen.values[name]
    is_same = value == seen.values[name]
    is_new = control.is_file and name in sent.changed
    return Shown(control, value, was, cell.label if is_same else None, cell.path if is_same else None, is_new)


def _require(visit: Visit, resource: Resource) -> None:
    if not visit.may(resource, Action.UPDATE):
        raise Forbidden(f"You may not change rows of {resource.name!r}.")


def _key_after(resource: Resource, key: str, sent: Sent) -> str:
    """The key that the row has now."""
    if not any(name in sent.changed for name in resource.key):
        return key
    was = dict(zip(resource.key, key_values(resource, key), strict=True))
    return key_text(tuple(sent.changed.get(name) or was[name] for name in resource.key))
