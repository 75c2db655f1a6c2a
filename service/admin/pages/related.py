"""What refers to a row, and what it is tied to by tables between: the first of them, and the way to all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.admin.fields import label_column
from service.admin.filters import quoted_name
from service.admin.plane import header
from service.admin.reading import Pairs, encode
from service.admin.visit import Visit
from service.api.v1.paths import table_url
from service.catalog.indexed import Finds
from service.catalog.resource import Junction, Relation, Resource
from service.core.errors import RowhouseError
from service.core.types import Action

_SHOWN = 10
# Of larger tables rows are looked for only where an index leads to them.
_SMALL = 50_000
Values = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Related:
    """Rows of another table that belong to one: the first of them, and the ways to all and to another one. They are not
    read where that would mean to read the whole table.
    """

    resource: Resource
    by: str
    rows: Sequence[tuple[str, str]]
    has_more: bool
    is_read: bool
    path: str
    add_path: str | None
    add_words: str


async def related_rows(visit: Visit, resource: Resource, values: Values) -> list[Related]:
    """What belongs to a row of these values, as far as the operator may read it."""
    found = [
        await _across(visit, way, way.junction, values) if way.junction else await _referring(visit, way, values)
        for way in resource.relations
        if way.is_direct and ((way.is_back and way.constraint) or way.junction is not None)
    ]
    return [one for one in found if one is not None]


def readable(visit: Visit, name: str) -> Resource | None:
    """A table, if the operator may read it."""
    policy, principal = visit.runtime.policy, visit.session.principal
    resource = policy.visible(principal).find(name)
    return resource if resource is not None and policy.may(principal, resource, Action.READ) else None


def conditions(pairs: Sequence[tuple[str, str]], values: Values) -> Pairs | None:
    """The filters that rows meet which refer to these values; None where a value is missing, so that none does."""
    found = [(quoted_name(there), values.get(here)) for here, there in pairs]
    return None if any(value is None for _, value in found) else [(name, f"eq.{value}") for name, value in found]


async def is_quick(visit: Visit, resource: Resource, columns: Sequence[str]) -> bool:
    """Whether rows can be found by these columns without reading a large table: it is small, or they begin an index."""
    if any(one.name in columns and Finds.EQUAL in one.finds for one in resource.indexed):
        return True
    return await is_small(visit, resource)


async def is_small(visit: Visit, resource: Resource) -> bool:
    """Whether all of a table may be read, by PostgreSQL's estimate."""
    query = encode([("select", quoted_name(next(iter(resource.columns)))), ("limit", "1")]) if resource.columns else ""
    try:
        answer = await visit.plane.ask("GET", table_url("", resource), query, headers={"prefer": "count=planned"})
    except RowhouseError:
        return False
    total = (header(answer, b"content-range") or "*/*").partition("/")[2]
    return total.isdigit() and int(total) <= _SMALL


async def _referring(visit: Visit, way: Relation, values: Values) -> Related | None:
    """The rows that refer to this one by a foreign key."""
    target, filters = readable(visit, way.target), conditions(way.pairs, values)
    if target is None or filters is None:
        return None
    columns = [there for _, there in way.pairs]
    rows = await _first(visit, target, filters, columns)
    add = None
    if visit.may(target, Action.CREATE):
        add = visit.of_table(target, "create", [(f"was.{there}", values[here] or "") for here, there in way.pairs])
    return _made(visit, target, f"by {', '.join(columns)}", rows, visit.of_table(target, "list", encode(filters)), add)


async def _across(visit: Visit, way: Relation, junction: Junction, values: Values) -> Related | None:
    """The rows that a table between ties to this one: read from there, by its foreign key."""
    target, between = readable(visit, way.target), readable(visit, junction.name)
    filters = conditions(junction.pairs, values)
    if target is None or between is None or filters is None or not target.key:
        return None
    rows = await _first(visit, between, filters, [there for _, there in junction.pairs], (target, junction))
    add = None
    if visit.may(between, Action.CREATE):
        add = visit.of_table(
            between, "create", [(f"was.{there}", values[here] or "") for here, there in junction.pairs]
        )
    path = visit.of_table(between, "list", encode(filters))
    return _made(visit, target, f"tied by {between.name}", rows, path, add, "Link")


async def _first(
    visit: Visit,
    resource: Resource,
    filters: Pairs,
    columns: Sequence[str],
    beyond: tuple[Resource, Junction] | None = None,
) -> list[dict[str, str | None]] | None:
    """The keys and labels of the first rows, of the table itself or of those that it leads to; None where they are not
    looked for, or take too long.
    """
    shown = beyond[0] if beyond else resource
    label = label_column(shown)
    select = ",".join(f"{quoted_name(name)}::text" for name in dict.fromkeys([*shown.key, *([label] if label else [])]))
    if beyond:
        select = f"_row:{quoted_name(shown.name)}!{quoted_name(beyond[1].constraints[1])}!inner({select})"
    if not select or not await is_quick(visit, resource, columns):
        return None if select else []
    try:
        query = encode([*filters, ("select", select), ("limit", str(_SHOWN + 1))])
        rows = await visit.plane.read(table_url("", resource), query)
    except RowhouseError:  # one that takes too long must not take the page with it
        return None
    return [row["_row"] for row in rows] if beyond else rows


def _made(
    visit: Visit,
    target: Resource,
    by: str,
    rows: list[dict[str, str | None]] | None,
    path: str,
    add: str | None,
    words: str = "Add",
) -> Related:
    listed = [
        (
            ", ".join(str(value) for value in row.values() if value is not None),
            visit.of_row(target, "details", [str(row[name]) for name in target.key]) if target.key else "",
        )
        for row in (rows or [])[:_SHOWN]
    ]
    return Related(target, by, listed, len(rows or ()) > _SHOWN, rows is not None, path, add, words)
