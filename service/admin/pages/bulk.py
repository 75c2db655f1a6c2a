"""What is done to many rows at once: first it is said what and to how many, then it is done to just so many in one
transaction, or to none.
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from service.admin.controls import Control, control_of
from service.admin.filters import conditions_of
from service.admin.forms import Faults, Shown, as_body, faults_of, writable
from service.admin.gate import CSRF_FIELD
from service.admin.listing import QUERY
from service.admin.pages.export import export_selected
from service.admin.reading import encode
from service.admin.selection import Selection, selection_of
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import table_url
from service.catalog.resource import Resource
from service.core.errors import (
    Forbidden,
    InvalidBody,
    InvalidQuery,
    PreconditionFailed,
    RowhouseError,
    UnfilteredWrite,
)
from service.core.types import Action

_TAKE, _CONFIRMED = "take.", "confirmed"
# Rows that are named one by one; of more, the first.
_NAMED = 20


async def choose(visit: Visit) -> Response:
    """What a list's form leads to: the page of what is to be done with the rows that were selected."""
    match visit.form.get("do"):
        case "export":
            return await export_selected(visit)
        case "delete":
            _require(visit, Action.DELETE)
            return await _ask(visit, "bulk_delete.html", await selection_of(visit))
        case "edit":
            _require(visit, Action.UPDATE)
            return await _edit_form(visit, await selection_of(visit), {}, Faults())
    raise InvalidQuery("The form does not say what to do with the rows.")


async def edit(visit: Visit) -> Response:
    """Set the columns that were ticked; what is typed in is shown again before that."""
    _require(visit, Action.UPDATE)
    selection = await selection_of(visit)
    values = {one.field.name: one.value(visit.form) for one in _controls(visit) if _TAKE + one.field.name in visit.form}
    try:
        body = as_body(visit.resource, values)
        if not body:
            raise InvalidBody("No column was ticked.", hint="Tick the columns that are to be set.")
        if _CONFIRMED not in visit.form:
            return await _ask(visit, "bulk_confirm.html", selection, values=values, sent=_sent(visit))
        await _write(visit, "PATCH", selection, body)
    except (PreconditionFailed, UnfilteredWrite) as error:
        return await _refused(visit, selection, error)
    except RowhouseError as error:
        if status_of(error) in (403, 404, 503):
            raise
        return await _edit_form(visit, selection, values, faults_of(error, visit.resource, values))
    return _done(visit, selection, f"Changed {_rows(selection.count)}: {', '.join(values)}.")


async def delete(visit: Visit) -> Response:
    """Delete the rows."""
    _require(visit, Action.DELETE)
    selection = await selection_of(visit)
    try:
        await _write(visit, "DELETE", selection, None)
    except (PreconditionFailed, UnfilteredWrite) as error:
        return await _refused(visit, selection, error)
    return _done(visit, selection, f"Deleted {_rows(selection.count)}.")


async def _write(visit: Visit, method: str, selection: Selection, body: Mapping[str, object] | None) -> None:
    path = table_url("", visit.resource)
    await visit.plane.ask(method, path, encode(selection.conditions), body, selection.headers)


def _sent(visit: Visit) -> list[tuple[str, str]]:
    """The form as it came, to be sent again."""
    fields = visit.form.multi_items()
    return [(name, value) for name, value in fields if isinstance(value, str) and name != CSRF_FIELD]


async def _ask(visit: Visit, template: str, selection: Selection, **context: Any) -> Response:
    resource = visit.resource
    return await visit.page(
        template, title=f"{resource.name}: {_rows(selection.count)}", **_told(visit, selection), **context
    )


async def _edit_form(visit: Visit, selection: Selection, values: Mapping[str, str | None], faults: Faults) -> Response:
    shown = [
        (
            Shown(one, values.get(one.field.name, ""), is_empty=values.get(one.field.name) == ""),
            one.field.name in values,
        )
        for one in _controls(visit)
    ]
    return await visit.page(
        "bulk_edit.html",
        422 if faults.message else 200,
        title=f"Edit {_rows(selection.count)} of {visit.resource.name}",
        controls=shown,
        faults=faults,
        **_told(visit, selection),
    )


def _controls(visit: Visit) -> list[Control]:
    """Of the columns that can be set; a file is of one row."""
    controls = (control_of(one) for one in writable(visit.resource))
    return [one for one in controls if not one.is_file]


async def _refused(visit: Visit, selection: Selection, error: RowhouseError) -> Response:
    """Nothing was done: which rows stood in the way."""
    moved = {} if selection.is_all else await selection.moved(visit)
    return await visit.page(
        "bulk_refused.html",
        409,
        title=f"{visit.resource.name}: nothing was changed",
        error=error,
        moved=moved,
        paths={key: visit.of_row(visit.resource, "details", key) for key in moved},
        **_told(visit, selection),
    )


def _told(visit: Visit, selection: Selection) -> dict[str, Any]:
    """What each of these pages says of the rows."""
    listing = selection.listing
    return {
        "resource": visit.resource,
        "selection": selection,
        "rows": _rows(selection.count),
        "named": list(selection.rows)[:_NAMED],
        "conditions": conditions_of(visit.resource, listing.filters),
        "search": listing.given(QUERY) or "",
        "address": encode(listing.without()),
        "back": listing.path(visit, listing.without()),
        "referring": _referring(visit, visit.resource),
    }


def _referring(visit: Visit, resource: Resource) -> list[str]:
    """The tables, as far as the operator knows them, whose rows may refer to these."""
    return sorted({way.target for way in resource.relations if way.is_back and way.constraint})


def _rows(count: int) -> str:
    return f"{count:,} rows".replace(",", " ") if count != 1 else "1 row"


def _done(visit: Visit, selection: Selection, note: str) -> Response:
    return visit.go(selection.listing.path(visit, selection.listing.without()), note)


def _require(visit: Visit, action: Action) -> None:
    """Raises: Forbidden; InvalidQuery where what is shown is past."""
    if not visit.may(visit.resource, action):
        raise Forbidden(f"You may not {'change' if action is Action.UPDATE else 'delete'} rows of this table.")
    if "as_of=" in visit.request.url.query:
        raise InvalidQuery("What was cannot be written.", hint="Leave the past first.")
