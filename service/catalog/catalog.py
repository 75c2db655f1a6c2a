"""The registry of everything that is served."""

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from sqlalchemy import Table

from service.catalog.embedding import pick
from service.catalog.function import Function
from service.catalog.resource import ColumnRights, Relation, Resource
from service.core.errors import (
    AmbiguousRelation,
    FieldError,
    Forbidden,
    InvalidBody,
    RelationNotFound,
    RowhouseError,
    TableNotFound,
    UnknownColumn,
)
from service.core.types import Action


class Catalog:
    """Resources and functions by name. Frozen: another catalog takes its place when the tables change.

    The first of `schemas` is the one of tables that name none, and the one whose names go bare.
    """

    def __init__(
        self,
        resources: Iterable[Resource],
        functions: Iterable[Function] = (),
        schemas: Sequence[str] = ("public",),
    ) -> None:
        self.schemas = tuple(schemas)
        self._resources: Mapping[str, Resource] = MappingProxyType({item.name: item for item in resources})
        self._placed = {(self.schema_of(item), item.table.name): item for item in self}
        self._functions = self._by_name(functions)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def __contains__(self, name: str) -> bool:
        return name in self._resources

    def find(self, name: str, schema: str | None = None) -> Resource | None:
        """The resource of that name; with a schema, the one of that table of the schema."""
        return self._resources.get(name) if schema is None else self._placed.get((schema, name))

    def get(self, name: str, schema: str | None = None) -> Resource:
        """The resource of that name; with a schema, the one of that table of the schema.

        Raises:
            TableNotFound: there is none.
        """
        resource = self.find(name, schema)
        if resource is None:
            known = self._resources if schema is None else [table for place, table in self._placed if place == schema]
            near = nearest(name, known)
            place = schema or self.schemas[0]
            raise TableNotFound(
                f"Could not find the table '{place}.{name}' in the schema cache",
                hint=f"Perhaps you meant the table '{place}.{near}'" if near else None,
            )
        return resource

    def schema_of(self, resource: Resource) -> str:
        return resource.table.schema or self.schemas[0]

    def functions(self, name: str, schema: str | None = None) -> tuple[Function, ...]:
        """The overloads of a function, by its path or, with a schema, by its name there; none where it is not."""
        return self._functions.get((schema, name), ())

    def all_functions(self) -> tuple[Function, ...]:
        """Every function, overloads side by side."""
        return tuple(one for (schema, _), overloads in self._functions.items() if schema is None for one in overloads)

    def only(self, tables: Mapping[str, ColumnRights], functions: Collection[str]) -> "Catalog":
        """The catalog of those resources, as far as these rights go, and functions alone, with the ways between them.

        Computed columns and relationships are functions of the row, and go with these.
        """
        calls = [item for item in self.all_functions() if item.name in functions]
        places = {(item.schema, item.sql_name) for item in calls}
        narrowed = {item.name: item.narrowed(tables[item.name]) for item in self if item.name in tables}
        return Catalog((_within(item, narrowed, places) for item in narrowed.values()), calls, self.schemas)

    def relation(self, resource: Resource, target: str, hint: str | None) -> Relation:
        """The one way from `resource` that `target` and `hint` pick, as PostgREST picks it.

        Raises:
            RelationNotFound: there is none.
            AmbiguousRelation: there are several; the details list them.
        """
        ways = pick(resource, target, hint, self._resources)
        if not ways:
            raise self._not_found(resource, target, hint)
        if len(ways) > 1:
            raise _ambiguous(resource, target, ways)
        return ways[0]

    def _not_found(self, resource: Resource, target: str, hint: str | None) -> RelationNotFound:
        name = resource.table.name
        by_hint = f" using the hint '{hint}'" if hint is not None else ""
        near = nearest(target, {name for way in resource.relations for name in (way.name, way.target)} - {target})
        return RelationNotFound(
            f"Could not find a relationship between '{name}' and '{target}' in the schema cache",
            details=f"Searched for a foreign key relationship between '{name}' and '{target}'{by_hint} in the "
            f"schema '{self.schema_of(resource)}', but no matches were found.",
            hint=f"Perhaps you meant '{near}' instead of '{target}'." if near else None,
        )

    def _by_name(self, functions: Iterable[Function]) -> Mapping[tuple[str | None, str], tuple[Function, ...]]:
        """Functions by path and by place, with results that are resources of this very catalog.

        A result that is not served here leads only to what is: a function opens no way to a table that is hidden.
        """
        served: dict[Table, Resource] = {item.table: item for item in self}
        named: dict[tuple[str | None, str], list[Function]] = defaultdict(list)
        for function in functions:
            result = function.result
            if result is not None:
                result = served.get(result.table) or _within(result, self._resources, ())
                function = replace(function, result=result)
            named[None, function.name].append(function)
            named[function.schema, function.sql_name].append(function)
        return {place: tuple(overloads) for place, overloads in named.items()}


def _within(resource: Resource, others: Mapping[str, Resource], functions: Collection[tuple[str, str]]) -> Resource:
    """The resource with the ways that lead, and pass, through those resources and functions alone, by columns that
    are not hidden: to join rows by a column is to read it.
    """
    ways = tuple(
        way
        for way in resource.relations
        if (way.function is None or way.function in functions) and _is_open(way, resource, others)
    )
    computed = {name: column for name, column in resource.computed.items() if column.function in functions}
    return replace(resource, relations=ways, computed=computed)


def _is_open(way: Relation, resource: Resource, others: Mapping[str, Resource]) -> bool:
    target = others.get(way.target)
    if target is None:
        return False
    if way.junction is None:
        return all(here in resource.columns and there in target.columns for here, there in way.pairs)
    between = others.get(way.junction.name)
    return (
        between is not None
        and all(here in resource.columns and there in between.columns for here, there in way.junction.pairs)
        and all(here in between.columns and there in target.columns for here, there in way.junction.onward)
    )


def _ambiguous(resource: Resource, target: str, ways: Sequence[Relation]) -> AmbiguousRelation:
    picks = ", ".join(f"'{way.target}!{way.constraint or way.name}'" for way in ways)
    return AmbiguousRelation(
        f"Could not embed because more than one relationship was found for '{resource.name}' and '{target}'",
        details=[
            {
                "cardinality": way.cardinality,
                "embedding": f"{resource.name} with {way.target}",
                "relationship": _described(resource, way),
            }
            for way in ways
        ],
        hint=f"Try changing '{target}' to one of the following: {picks}. "
        "Find the desired relationship in the 'details' key.",
    )


def _described(resource: Resource, way: Relation) -> str:
    if way.junction is not None:
        near = ", ".join(there for _, there in way.junction.pairs)
        far = ", ".join(here for here, _ in way.junction.onward)
        first, second = way.junction.constraints
        return f"{way.junction.name} using {first}({near}) and {second}({far})"
    here, there = (", ".join(pair[end] for pair in way.pairs) for end in (0, 1))
    return f"{way.constraint or way.name} using {resource.name}({here}) and {way.target}({there})"


def unknown_column(resource: Resource, name: str) -> UnknownColumn:
    """The error for a column that the table does not have, with the nearest one that it has."""
    known = [*resource.columns, *resource.computed, *(way.name for way in resource.relations)]
    return UnknownColumn(f"Table {resource.name!r} has no column {name!r}.", hint=suggest(name, known))


def unwritable(
    resource: Resource, names: Iterable[str], actions: Sequence[Action], row: int | None = None
) -> RowhouseError | None:
    """The error for names in a body that are no columns of the table, columns that may not be set, or that PostgreSQL
    computes; None where all can be written.
    """
    known = list(names)
    columns = resource.in_bodies(*actions)
    if unknown := [FieldError(name, "is no column of this table", row) for name in known if name not in columns]:
        return InvalidBody(
            f"Could not find the '{unknown[0].field}' column of '{resource.table.name}' in the schema cache",
            hint=suggest(unknown[0].field, columns),
            fields=unknown[:20],
            code="PGRST204",
        )
    fixed = [FieldError(name, "is computed", row) for name in known if not columns[name].is_writable]
    if fixed:
        return InvalidBody("Computed columns cannot be written.", fields=fixed, code="428C9")
    return unsettable(resource, known, actions, row)


def unsettable(
    resource: Resource, names: Iterable[str], actions: Sequence[Action], row: int | None = None
) -> Forbidden | None:
    """The error for columns that the caller may not set; None where all may be. What is hidden is not named."""
    if not resource.settable:
        return None
    refused = [name for name in names if not all(resource.sets(name, action) for action in actions)]
    if not refused:
        return None
    named = [name for name in refused if name in resource.in_bodies(*actions)]
    which = ", ".join(map(repr, named[:20])) or "all columns that this needs"
    fields = [FieldError(name, "may not be set", row) for name in named[:20]]
    return Forbidden(f"Your role may not set {which} of {resource.name!r}.", fields=fields)


def suggest(wrong: str, known: Iterable[str]) -> str | None:
    """`Perhaps you meant …`, or None where nothing is near."""
    near = nearest(wrong, known)
    return f"Perhaps you meant {near!r}." if near else None


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    """The one that is most like it, or None where none is."""
    return next(iter(difflib.get_close_matches(wrong[:64], list(known), n=1, cutoff=0.5)), None)
