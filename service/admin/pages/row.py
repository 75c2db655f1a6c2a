"""The page of one row: every column, what it refers to, and what refers to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from service.admin.controls import control_of
from service.admin.fields import Field, fields_of
from service.admin.pages.related import related_rows
from service.admin.plane import header, loaded
from service.admin.reading import Cell, cells_of, encode, label_selects, labels_of, value_select, value_text
from service.admin.visit import Visit
from service.api.v1.paths import key_values, row_url
from service.catalog.resource import Resource
from service.core.errors import Conflict
from service.core.types import Action

_RELATED = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """A row as it was read: its values as PostgreSQL writes them, its version (None: it has none), and its cells in
    the order of the columns.
    """

    values: dict[str, str | None]
    version: str | None
    cells: list[Cell]


async def read_row(
    visit: Visit, resource: Resource, key: str, *, as_of: str | None = None, only: Sequence[Field] | None = None
) -> Seen:
    """The row, or `only` some of its columns, each value as PostgreSQL's own text.

    Raises:
        RowNotFound: there is none that the operator may see.
        Conflict: the table has no key.
    """
    if not resource.key:
        raise Conflict("This table has no key, so that its rows have no pages of their own.")
    key_values(resource, key)
    fields = fields_of(resource) if only is None else only
    labels = labels_of(visit, resource, fields)
    select = [value_select(field) for field in fields]
    select += label_selects(fields, labels)
    query = [("select", ",".join(select))] + ([("as_of", as_of)] if as_of else [])
    answer = await visit.plane.ask("GET", row_url("", resource, key), encode(query))
    row: dict[str, Any] = loaded(answer.body)
    tag = header(answer, b"etag")
    version = tag.strip('"').partition("-")[0] if tag else None
    return Seen({field.name: value_text(row[field.name]) for field in fields}, version, cells_of(visit, fields, row))


async def show(visit: Visit) -> Response:
    """The row."""
    resource, key = visit.resource, visit.key
    seen = await read_row(visit, resource, key)
    return await visit.page(
        "row.html",
        title=f"{resource.name} {key}",
        resource=resource,
        key=key,
        cells=list(zip(fields_of(resource), seen.cells, strict=True)),
        seen=seen,
        related=await related_rows(visit, resource, seen.values),
        may={action.value: visit.may(resource, action) for action in Action},
        copy_path=visit.of_table(resource, "create", [("-copy", key)]),
        control_of=control_of,
    )
