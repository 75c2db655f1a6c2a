"""Editing one cell of a list: a form of its own, shown in the cell by a script, and on a page without one.

It carries the row's version, as every form does: what somebody else has changed meanwhile is shown, and never written
over unseen.
"""

from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from service.admin.controls import Control, control_of
from service.admin.fields import fields_of
from service.admin.forms import Faults, Sent, Shown, faults_of, sent_of, writable
from service.admin.gate import safe_target
from service.admin.pages.edit import write
from service.admin.pages.row import Seen, read_row
from service.admin.visit import Visit
from service.api.problem import status_of
from service.core.errors import Forbidden, InvalidQuery, PreconditionFailed, RowhouseError, RowNotFound, UnknownColumn
from service.core.types import Action

_VERSION = "version"
_NONE = Faults()


@dataclass(frozen=True, slots=True)
class Draft:
    """What the form holds: a value, what it showed before, and the version that it was read in."""

    value: str | None
    was: str | None
    version: str | None


async def show(visit: Visit) -> Response:
    """The form of a cell."""
    control = _control(visit, visit.request.query_params.get("column", ""))
    seen = await read_row(visit, visit.resource, visit.key)
    was = seen.values[control.field.name]
    known = visit.request.query_params.get(_VERSION)
    has_moved = bool(known and seen.version and known != seen.version)
    return await _form(visit, control, seen, Draft(was, control.trace(was), seen.version), has_moved=has_moved)


async def save(visit: Visit) -> Response:
    """Write it, if the row is still as it was shown."""
    control = _control(visit, str(visit.form.get("column", "")))
    sent = sent_of([control.field], visit.form)
    given = visit.form.get(_VERSION)
    version = str(given) if given else None
    if visit.form.get("then") == "theirs" or not sent.changed:
        return await _saved(visit, control, "Nothing was changed.")
    try:
        await write(visit, visit.resource, visit.key, sent.changed, version)
    except PreconditionFailed:
        return await _conflict(visit, control, sent)
    except RowhouseError as error:
        if status_of(error) in (403, 404, 503):
            raise
        seen = await read_row(visit, visit.resource, visit.key)
        name = control.field.name
        draft = Draft(sent.now[name], sent.was.get(name), version)
        return await _form(visit, control, seen, draft, faults=faults_of(error, visit.resource, sent.changed))
    return await _saved(visit, control, f"Saved: {control.field.name}.")


async def _conflict(visit: Visit, control: Control, sent: Sent) -> Response:
    """Somebody else was faster: what the cell holds now, and what was typed in."""
    name = control.field.name
    seen = await read_row(visit, visit.resource, visit.key)
    theirs = seen.values[name]
    draft = Draft(sent.now[name], control.trace(theirs), seen.version)
    return await _form(visit, control, seen, draft, conflict=(theirs,))


async def _form(
    visit: Visit,
    control: Control,
    seen: Seen,
    draft: Draft,
    *,
    faults: Faults = _NONE,
    conflict: tuple[str | None, ...] = (),
    has_moved: bool = False,
) -> Response:
    name = control.field.name
    cells = {one.name: cell for one, cell in zip(fields_of(visit.resource), seen.cells, strict=True)}
    is_same = draft.value == seen.values[name]
    return await visit.page(
        "cell.html",
        409 if conflict else 422 if faults.message else 200,
        title=f"{visit.resource.name} {visit.key}: {name}",
        resource=visit.resource,
        key=visit.key,
        name=name,
        shown=Shown(
            control,
            draft.value,
            draft.was,
            cells[name].label if is_same else None,
            cells[name].path if is_same else None,
        ),
        version=draft.version,
        faults=faults,
        conflict=conflict,
        has_moved=has_moved,
        back=_back(visit),
    )


async def _saved(visit: Visit, control: Control, note: str) -> Response:
    """The row as it is now, for the script that shows it; else the way back to the list."""
    if "application/json" not in visit.request.headers.get("accept", ""):
        return visit.go(_back(visit), note)
    try:
        seen = await read_row(visit, visit.resource, visit.key)
    except RowNotFound:  # it was written, and is not the operator's to see any more
        return JSONResponse({"note": f"{note} The row is not yours to see any more.", "version": "", "cells": {}})
    template = visit.office.templates.env.get_template("rowhouse/_cell.html")
    names = (one.name for one in fields_of(visit.resource))
    drawn = [await template.render_async(one=cell) for cell in seen.cells]
    return JSONResponse({"note": note, "version": seen.version or "", "cells": dict(zip(names, drawn, strict=True))})


def _control(visit: Visit, name: str) -> Control:
    """The control of the cell's column.

    Raises:
        Forbidden, UnknownColumn, InvalidQuery: it is not the operator's to change, or is the row's key.
    """
    resource = visit.resource
    if not visit.may(resource, Action.UPDATE):
        raise Forbidden(f"You may not change rows of {resource.name!r}.")
    field = next((one for one in fields_of(resource) if one.name == name), None)
    if field is None:
        raise UnknownColumn(f"There is no column {name!r}.")
    control = control_of(field)
    if field.is_key or control.is_file or not any(one.name == name for one in writable(resource)):
        raise InvalidQuery(f"{name!r} cannot be edited here.", hint="The page of the row has a form for all of it.")
    return control


def _back(visit: Visit) -> str:
    """The list that the cell is of."""
    given = visit.form.get("back") or visit.request.query_params.get("back")
    start = visit.of_table(visit.resource, "list")
    target = safe_target(visit.request, str(given) if given else start)
    return target if target.startswith(start) else start
