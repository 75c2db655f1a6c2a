"""The rows that a foreign key can refer to, as a picker asks for them: twenty at most, found by key and label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from service.admin.fields import Kind, kind_of, label_column
from service.admin.filters import quoted_name
from service.admin.pages.related import is_small, readable
from service.admin.reading import Pairs, encode
from service.admin.visit import Visit
from service.api.v1.paths import table_url
from service.catalog.indexed import Finds
from service.catalog.resource import Column, Relation, Resource
from service.core.errors import InvalidQuery, TableNotFound

_MOST = 20
_LONGEST = 200
_NUMBERS = (Kind.INTEGER, Kind.NUMBER)


@dataclass(frozen=True, slots=True)
class Picker:
    """What is picked for a foreign key: the columns there, each with its column here, and the one that people read."""

    target: Resource
    way: Relation
    label: str | None

    @property
    def columns(self) -> list[str]:
        return [there for _, there in self.way.pairs]

    @property
    def select(self) -> str:
        names = dict.fromkeys([*self.columns, *self.target.key, *([self.label] if self.label else [])])
        return ",".join(f"{quoted_name(name)}::text" for name in names)


async def show(visit: Visit) -> Response:
    """Rows for `q`, what was typed; or the one that the parameters `is.column` name."""
    resource, given = visit.resource, visit.request.query_params
    way = next(
        (
            one
            for one in sorted(resource.relations, key=lambda one: not one.is_direct)
            if one.constraint == given.get("constraint") and one.pairs and not one.is_back
        ),
        None,
    )
    target = readable(visit, way.target) if way is not None else None
    if way is None or target is None:
        raise TableNotFound("There is no such foreign key, or its rows are not yours to see.")
    picker = Picker(target, way, label_column(target))
    exact = [(quoted_name(there), f"eq.{given[f'is.{here}']}") for here, there in way.pairs if f"is.{here}" in given]
    typed = given.get("q", "").strip()[:_LONGEST]
    note = ""
    if len(exact) == len(way.pairs):
        rows = await _read(visit, picker, exact, 1)
    elif not typed:
        rows = await _read(visit, picker, [("order", ",".join(map(quoted_name, _order(picker))))], _MOST)
    else:
        rows, note = await _search(visit, picker, typed)
    return JSONResponse({"items": [_item(visit, picker, row) for row in rows], "note": note})


def _order(picker: Picker) -> Sequence[str]:
    return picker.target.key or picker.columns


async def _search(visit: Visit, picker: Picker, typed: str) -> tuple[list[dict[str, Any]], str]:
    """Rows whose key is, or whose key or label begins with or holds, what was typed: as far as indexes lead there, or
    the table is small enough to be read. And what was left out, in words.
    """
    target = picker.target
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    is_whole = await is_small(visit, target)
    left_out = []
    for name in dict.fromkeys([*picker.columns, *([picker.label] if picker.label else [])]):
        conditions = _conditions(target.columns[name], typed, _finds(target, name), is_whole=is_whole)
        if not conditions:
            left_out.append(name)
        for condition in conditions:
            for row in await _read(visit, picker, [(quoted_name(name), condition)], _MOST - len(found)):
                found.setdefault(tuple(row.values()), row)
            if len(found) >= _MOST:
                return list(found.values()), "There are more: type more of it."
    note = f"Not searched, for want of an index: {', '.join(left_out)}." if left_out and not is_whole else ""
    return list(found.values()), note


def _finds(target: Resource, name: str) -> frozenset[Finds]:
    return frozenset().union(*(one.finds for one in target.indexed if one.name == name))


def _conditions(column: Column, typed: str, finds: frozenset[Finds], *, is_whole: bool) -> list[str]:
    """What to ask of a column, what fits best first."""
    kind = kind_of(column)
    conditions = []
    if (is_whole or finds) and not (kind in _NUMBERS and not typed.lstrip("-").replace(".", "", 1).isdigit()):
        conditions.append(f"eq.{typed}")
    if kind is not Kind.TEXT:
        return conditions
    escaped = typed.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    if is_whole or Finds.SUBSTRING in finds:
        return [*conditions, f"ilike.{escaped}*", f"ilike.*{escaped}*"]
    return [*conditions, f"like.{escaped}*"] if Finds.PREFIX in finds else conditions


async def _read(visit: Visit, picker: Picker, pairs: Pairs, most: int) -> list[dict[str, Any]]:
    query = encode([*pairs, ("select", picker.select), ("limit", str(most))])
    try:
        rows: list[dict[str, Any]] = await visit.plane.read(table_url("", picker.target), query)
    except InvalidQuery:  # what was typed is no value of the column
        return []
    return rows


def _item(visit: Visit, picker: Picker, row: Mapping[str, Any]) -> dict[str, Any]:
    key = ", ".join(str(row[name]) for name in picker.columns)
    path = visit.of_row(picker.target, "details", [str(row[name]) for name in picker.target.key])
    return {
        "values": {here: row[there] for here, there in picker.way.pairs},
        "key": key,
        "label": row.get(picker.label) if picker.label else None,
        "path": path if picker.target.key else None,
    }
