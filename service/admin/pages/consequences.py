"""What deleting a row takes with it, or what forbids it: foreign keys followed by what they do on a delete.

Only what the operator may read is followed and counted; that there may be more is said whether there is or not. So
many rows are counted at most, for a count must not cost more than the delete.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.admin.filters import quoted_name
from service.admin.pages.related import Values, readable
from service.admin.reading import encode
from service.admin.visit import Visit
from service.api.v1.paths import table_url
from service.catalog.resource import DELETED_AT, OnDelete, Relation, Resource
from service.core.errors import RowhouseError

MOST = 1000
_AT_ONCE = 50
_FORBIDDING = (OnDelete.RESTRICT, OnDelete.NO_ACTION)


@dataclass(slots=True)
class Consequence:
    """What becomes of rows of a table by one foreign key. `count` is None where they could not be counted in time."""

    resource: Resource
    columns: str
    does: OnDelete
    count: int | None = 0
    is_all: bool = True
    path: str = ""

    @property
    def is_any(self) -> bool:
        return self.count is None or self.count > 0


@dataclass(slots=True)
class Consequences:
    """What a delete would do. It `hides` rather than removes where the table marks rows as deleted."""

    hides: bool
    listed: list[Consequence] = field(default_factory=list)

    @property
    def cascades(self) -> list[Consequence]:
        return [one for one in self.listed if one.does is OnDelete.CASCADE and one.is_any]

    @property
    def changes(self) -> list[Consequence]:
        return [one for one in self.listed if one.does in (OnDelete.SET_NULL, OnDelete.SET_DEFAULT) and one.is_any]

    @property
    def forbidding(self) -> list[Consequence]:
        return [one for one in self.listed if one.does in _FORBIDDING and one.is_any]


async def consequences_of(visit: Visit, resource: Resource, values: Values) -> Consequences:
    """What deleting the row of these values would do, as far as the operator may see."""
    found = Consequences(resource.hides_deleted)
    if resource.hides_deleted:
        await _hidden(visit, resource, values, found)
    else:
        await _Walk(visit, found).run(resource, values)
    return found


async def _hidden(visit: Visit, resource: Resource, values: Values, found: Consequences) -> None:
    """A row is not hidden while others that are not refer to it, whatever the foreign key does on a delete."""
    for way, target in _referring(visit, resource):
        one = Consequence(target, _columns(way), OnDelete.RESTRICT)
        rows = await _read(visit, target, way, [values], MOST + 1, with_deleted=False)
        _count(one, rows, MOST)
        one.path = _path(visit, target, way, values)
        found.listed.append(one)


class _Walk:
    """Follows cascades, table by table, until there is nothing more or enough is counted."""

    def __init__(self, visit: Visit, found: Consequences) -> None:
        self._visit = visit
        self._found = found
        self._left = MOST
        self._gone: set[tuple[str, tuple[object, ...]]] = set()
        self._forbidding: list[tuple[Consequence, list[tuple[str, tuple[object, ...]]]]] = []
        self._by_key: dict[tuple[str, str, str], Consequence] = {}

    async def run(self, resource: Resource, values: Values) -> None:
        self._gone.add(_place(resource, values))
        level: list[tuple[Resource, list[Values]]] = [(resource, [values])]
        is_first = True
        while level:
            following: list[tuple[Resource, list[Values]]] = []
            for at, rows in level:
                for way, target in _referring(self._visit, at):
                    path = _path(self._visit, target, way, values) if is_first else ""
                    following += await self._follow(way, target, rows, path)
            level, is_first = following, False
        for one, places in self._forbidding:  # what goes itself does not stand in the way
            if one.does is OnDelete.NO_ACTION and one.count is not None:
                one.count -= len(self._gone.intersection(places))

    async def _follow(
        self, way: Relation, target: Resource, rows: Sequence[Values], path: str
    ) -> Iterable[tuple[Resource, list[Values]]]:
        place = (target.name, way.constraint or "", way.on_delete)
        one = self._by_key.get(place)
        if one is None:
            one = self._by_key[place] = Consequence(target, _columns(way), way.on_delete, path=path)
            self._found.listed.append(one)
        if self._left <= 0:
            one.is_all = False
            return []
        read: list[dict[str, Any]] | None = []
        for begin in range(0, len(rows), _AT_ONCE):
            part = await _read(
                self._visit, target, way, rows[begin : begin + _AT_ONCE], self._left + 1, with_deleted=True
            )
            if part is None:
                read = None
                break
            read = (read or []) + part
            if len(read) > self._left:
                break
        new = None if read is None else [row for row in read if _place(target, row) not in self._gone or not target.key]
        _count(one, new, self._left)
        if not new:
            return []
        new = new[: self._left]
        self._left -= len(new)
        places = [_place(target, row) for row in new]
        if way.on_delete is OnDelete.CASCADE:
            self._gone.update(places)
            return [(target, list(new))]
        if way.on_delete in _FORBIDDING:
            self._forbidding.append((one, places))
        return []


def _referring(visit: Visit, resource: Resource) -> Iterable[tuple[Relation, Resource]]:
    """The foreign keys of tables that the operator may read."""
    for way in resource.relations:
        if way.is_back and way.constraint and way.is_direct:
            target = readable(visit, way.target)
            if target is not None:
                yield way, target


async def _read(
    visit: Visit, target: Resource, way: Relation, rows: Sequence[Values], most: int, *, with_deleted: bool
) -> list[dict[str, Any]] | None:
    """Rows that refer to any of these: their keys, and what others may refer to. None where that takes too long."""
    names = dict.fromkeys([*target.key, *(there for _, there in way.pairs)])
    names |= dict.fromkeys(here for back in target.relations if back.is_back for here, _ in back.pairs)
    terms = [_term(way, row) for row in rows]
    conditions = [("or", f"({','.join(term for term in terms if term)})")]
    if not any(terms):
        return []
    if with_deleted and target.hides_deleted:
        name = quoted_name(DELETED_AT)
        conditions.append(("or", f"({name}.is.null,{name}.not.is.null)"))
    query = [*conditions, ("select", ",".join(f"{quoted_name(name)}::text" for name in names)), ("limit", str(most))]
    try:
        read: list[dict[str, Any]] = await visit.plane.read(table_url("", target), encode(query))
    except RowhouseError:
        return None
    return read


def _term(way: Relation, row: Values) -> str | None:
    """The condition of rows that refer to one row."""
    pairs = [(there, row.get(here)) for here, there in way.pairs]
    if any(value is None for _, value in pairs):
        return None
    return f"and({','.join(f'{quoted_name(there)}.eq.{_quoted(str(value))}' for there, value in pairs)})"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _count(one: Consequence, rows: Sequence[object] | None, most: int) -> None:
    if rows is None:
        one.count = None
    elif one.count is not None:
        one.count += min(len(rows), most)
        one.is_all = one.is_all and len(rows) <= most


def _place(resource: Resource, row: Values) -> tuple[str, tuple[object, ...]]:
    return resource.name, tuple(row.get(name) for name in resource.key)


def _columns(way: Relation) -> str:
    return ", ".join(there for _, there in way.pairs)


def _path(visit: Visit, target: Resource, way: Relation, values: Values) -> str:
    pairs = [(quoted_name(there), f"eq.{values.get(here)}") for here, there in way.pairs]
    return visit.of_table(target, "list", encode(pairs))
