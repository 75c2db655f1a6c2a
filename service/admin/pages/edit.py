"""Editing a row: only what was changed is written, and never over what the operator has not seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import FormData
from starlette.responses import Response

from service.admin.controls import Control, control_of
from service.admin.fields import Field, field_of, fields_of
from service.admin.pages.row import Seen, read_row, row_url
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import key_text
from service.catalog.resource import Resource
from service.core.errors import Forbidden, PreconditionFailed, RowhouseError
from service.core.types import Action

_VERSION = "version"


@dataclass(frozen=True, slots=True)
class Sent:
    """A form as it was sent, by column: what it showed, and what it holds now. A column that is not there was not in
    the form, and is left alone.
    """

    was: Mapping[str, str | None]
    now: Mapping[str, str | None]

    @property
    def changed(self) -> dict[str, str | None]:
        """What the operator has changed."""
        return {name: value for name, value in self.now.items() if name not in self.was or self.was[name] != value}


@dataclass(frozen=True, slots=True)
class Difference:
    """A column on which the operator and somebody else disagree, or which one of them has changed."""

    field: Field
    was: str | None
    theirs: str | None
    yours: str | None

    @property
    def is_conflict(self) -> bool:
        """Whether both have changed it, to different values."""
        return self.theirs not in (self.was, self.yours) and self.yours != self.was


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a form: of single fields, by column, and of all of it."""

    message: str = ""
    hint: str | None = None
    of_fields: Mapping[str, str] = field(default_factory=dict)


def writable(resource: Resource, action: Action = Action.UPDATE) -> list[Field]:
    """The columns that a form has controls for: of a row that is there, those that it can show."""
    is_new = action is Action.CREATE
    columns = resource.writable(action).items()
    return [field_of(resource, column) for name, column in columns if is_new or name in resource.columns]


def sent_of(fields: list[Field], form: FormData) -> Sent:
    """Read a form.

    Raises:
        InvalidBody: a control holds what its column cannot take at all.
    """
    was: dict[str, str | None] = {}
    now: dict[str, str | None] = {}
    for one in fields:
        control = control_of(one)
        if control.is_in(form):
            now[one.name] = control.value(form)
        if control.was_in(form):
            was[one.name] = control.was(form)
    return Sent(was, now)


async def show(visit: Visit) -> Response:
    """The form of a row."""
    resource, key = visit.resource, visit.key
    _require(visit, resource)
    seen = await read_row(visit, resource, key)
    return await _form(visit, resource, key, seen, Sent({}, {}), Faults())


async def save(visit: Visit) -> Response:
    """Write what was changed, if the row is still as it was shown."""
    return await _save(visit, sent_of(writable(visit.resource), visit.form))


async def _save(visit: Visit, sent: Sent) -> Response:
    resource, key = visit.resource, visit.key
    _require(visit, resource)
    version = visit.form.get(_VERSION)
    if not sent.changed:
        return visit.go(visit.of_row(resource, "details", key), "Nothing was changed.")
    try:
        await write(visit, resource, key, sent.changed, str(version) if version else None)
    except PreconditionFailed:
        return await _conflict(visit, resource, key, sent)
    except RowhouseError as error:
        if status_of(error) in (403, 404, 503):
            raise
        seen = await read_row(visit, resource, key)
        return await _form(visit, resource, key, seen, sent, faults_of(error, resource))
    new_key = _key_after(resource, key, sent)
    page = "edit" if visit.form.get("then") == "stay" else "details"
    return visit.go(visit.of_row(resource, page, new_key), f"Saved: {', '.join(sent.changed)}.")


async def write(
    visit: Visit, resource: Resource, key: str, values: Mapping[str, str | None], version: str | None
) -> None:
    """Set these columns of a row.

    Raises:
        PreconditionFailed: the row is not in that version any more.
        RowhouseError: as the API.
    """
    fields = {one.name: one for one in writable(resource)}
    body = {name: control_of(fields[name]).as_json(value) for name, value in values.items()}
    headers = {"prefer": "return=minimal"}
    if version is not None:
        headers["if-match"] = f'"{version}"'
    await visit.plane.ask("PATCH", row_url(resource, key), "", body, headers)


def faults_of(error: RowhouseError, resource: Resource) -> Faults:
    """An error as the form shows it: at its fields where it names some."""
    named = {item.field: item.message for item in error.fields if item.field in resource.columns}
    return Faults(error.message, error.hint, named)


async def _conflict(visit: Visit, resource: Resource, key: str, sent: Sent) -> Response:
    """Somebody else was faster: theirs, yours and what it was, field by field."""
    seen = await read_row(visit, resource, key)
    differences = [
        Difference(one, sent.was.get(one.name), seen.values[one.name], sent.now.get(one.name, sent.was.get(one.name)))
        for one in fields_of(resource)
        if one.name in sent.was or one.name in sent.now
    ]
    shown = [one for one in differences if not one.was == one.theirs == one.yours]
    return await visit.page(
        "conflict.html",
        409,
        title=f"{resource.name} {key}",
        resource=resource,
        key=key,
        seen=seen,
        differences=shown,
        control_of=control_of,
    )


async def _form(visit: Visit, resource: Resource, key: str, seen: Seen, sent: Sent, faults: Faults) -> Response:
    """The form, with what was typed in where it could not be saved."""
    controls: list[tuple[Control, str | None, str | None, str | None]] = []
    labels = {one.name: cell.label for one, cell in zip(fields_of(resource), seen.cells, strict=True)}
    for one in writable(resource):
        shown = sent.was.get(one.name, seen.values[one.name])
        controls.append((control_of(one), sent.now.get(one.name, shown), shown, labels.get(one.name)))
    version = visit.form.get(_VERSION) or seen.version
    return await visit.page(
        "edit.html",
        422 if faults.message else 200,
        title=f"{resource.name} {key}",
        resource=resource,
        key=key,
        controls=controls,
        version=version,
        faults=faults,
        may={action.value: visit.may(resource, action) for action in Action},
    )


def _require(visit: Visit, resource: Resource) -> None:
    if not visit.may(resource, Action.UPDATE):
        raise Forbidden(f"You may not change rows of {resource.name!r}.")


def _key_after(resource: Resource, key: str, sent: Sent) -> str:
    """The key that the row has now."""
    if not any(name in sent.changed for name in resource.key):
        return key
    return key_text(tuple(sent.now.get(name) or sent.was.get(name) or "" for name in resource.key))


async def merge(visit: Visit) -> Response:
    """Write what was chosen field by field, if the row is still as the choice showed it."""
    sent = sent_of(writable(visit.resource), visit.form)
    chosen = {name: value for name, value in sent.now.items() if visit.form.get(f"take.{name}") == "yours"}
    return await _save(visit, Sent(sent.was, chosen))
