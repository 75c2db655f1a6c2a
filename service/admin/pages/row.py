"""The page of one row: every column, what it refers to, and what refers to it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from service.admin.fields import Kind, fields_of, label_column
from service.admin.filters import quoted_name
from service.admin.plane import header, loaded
from service.admin.reading import Cell, cells_of, encode, label_selects, labels_of
from service.admin.visit import Visit
from service.api.v1.paths import key_values, table_url
from service.catalog.resource import Relation, Resource
from service.core.errors import Conflict, RowhouseError
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


@dataclass(frozen=True, slots=True)
class Related:
    """Rows of another table that refer to this one: the first of them, and the way to all and to another one."""

    resource: Resource
    column: str
    rows: list[tuple[str, str]]
    has_more: bool
    path: str
    add_path: str | None


def row_url(resource: Resource, key: str) -> str:
    """The row's address in the API."""
    return f"{table_url('', resource)}/{'%2D' if key == '-' else quote(key, safe=',:')}"


async def read_row(visit: Visit, resource: Resource, key: str, *, as_of: str | None = None) -> Seen:
    """The row, each value as PostgreSQL's own text.

    Raises:
        RowNotFound: there is none that the operator may see.
        Conflict: the table has no key.
    """
    if not resource.key:
        raise Conflict("This table has no key, so that its rows have no pages of their own.")
    key_values(resource, key)
    fields = fields_of(resource)
    labels = labels_of(visit, resource, fields)
    select = [f"{quoted_name(field.name)}::text" for field in fields]
    select += label_selects(fields, labels)
    query = [("select", ",".join(select))] + ([("as_of", as_of)] if as_of else [])
    answer = await visit.plane.ask("GET", row_url(resource, key), encode(query))
    row: dict[str, Any] = loaded(answer.body)
    tag = header(answer, b"etag")
    version = tag.strip('"').partition("-")[0] if tag else None
    return Seen({field.name: row[field.name] for field in fields}, version, cells_of(visit, fields, row))


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
        related=[one for way in _referring(visit, resource) if (one := await _related(visit, resource, way, seen))],
        may={action.value: visit.may(resource, action) for action in Action},
        Kind=Kind,
    )


def _referring(visit: Visit, resource: Resource) -> list[Relation]:
    """The ways to rows that refer to this one by a single column, as far as the operator may read them."""
    policy, principal = visit.runtime.policy, visit.session.principal
    visible = policy.visible(principal)
    return [
        way
        for way in resource.relations
        if way.is_back
        and way.constraint
        and len(way.pairs) == 1
        and (target := visible.find(way.target)) is not None
        and policy.may(principal, target, Action.READ)
    ]


async def _related(visit: Visit, resource: Resource, way: Relation, seen: Seen) -> Related | None:
    """The first rows of a way; None where they cannot be read."""
    here, there = way.pairs[0]
    target = visit.runtime.policy.visible(visit.session.principal).find(way.target)
    value = seen.values.get(here)
    if target is None or value is None:
        return None
    label = label_column(target)
    names = dict.fromkeys([*target.key, *([label] if label else [])])
    if not names:
        return None
    condition = (quoted_name(there), f"eq.{value}")
    select = ",".join(f"{quoted_name(name)}::text" for name in names)
    query = encode([condition, ("select", select), ("limit", str(_RELATED + 1))])
    try:
        rows = await visit.plane.read(table_url("", target), query)
    except RowhouseError:  # one that takes too long must not take the page with it
        rows = []
    listed = [
        (
            ", ".join(str(row[name]) for name in names if row[name] is not None),
            visit.of_row(target, "details", [row[name] for name in target.key]) if target.key else "",
        )
        for row in rows[:_RELATED]
    ]
    add = visit.of_table(target, "create", [(f"was.{there}", value)]) if visit.may(target, Action.CREATE) else None
    path = visit.of_table(target, "list", encode([condition]))
    return Related(target, there, listed, len(rows) > _RELATED, path, add)
