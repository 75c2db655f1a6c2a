"""The registry of everything that is served."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from service.catalog.resource import Relation, Resource
from service.core.errors import AmbiguousRelation, RelationNotFound, TableNotFound, UnknownColumn


class Catalog:
    """Resources by name. Frozen: another catalog takes its place when the tables change."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._resources: Mapping[str, Resource] = MappingProxyType({item.name: item for item in resources})

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def __contains__(self, name: str) -> bool:
        return name in self._resources

    def find(self, name: str) -> Resource | None:
        return self._resources.get(name)

    def get(self, name: str) -> Resource:
        """The resource of that name.

        Raises:
            TableNotFound: there is none.
        """
        resource = self._resources.get(name)
        if resource is None:
            raise TableNotFound(f"There is no table {name!r} here.", hint=suggest(name, self._resources))
        return resource

    def only(self, names: Collection[str]) -> "Catalog":
        """The catalog of those resources alone, with the ways between them."""
        return Catalog(
            replace(item, relations=tuple(way for way in item.relations if way.target in names))
            for item in self
            if item.name in names
        )

    def relation(self, resource: Resource, target: str, hint: str | None) -> Relation:
        """The one way from `resource` that `target` (a table or the name of a way) and `hint` pick.

        Raises:
            RelationNotFound: there is none.
            AmbiguousRelation: there are several; the details list them.
        """
        named = [way for way in resource.relations if way.name == target and hint is None]
        ways = named or [way for way in resource.relations if target in (way.target, way.name)]
        if hint is not None:
            ways = [way for way in ways if way.is_meant_by(hint)]
        if not ways:
            names = {name for way in resource.relations for name in (way.name, way.target)}
            raise RelationNotFound(
                f"No relationship leads from {resource.name!r} to {target!r}"
                + (f" by {hint!r}." if hint is not None else "."),
                hint=suggest(target, names),
            )
        if len(ways) > 1:
            raise AmbiguousRelation(
                f"More than one relationship leads from {resource.name!r} to {target!r}.",
                details="; ".join(f"{way.name} ({', '.join(here for here, _ in way.pairs)})" for way in ways),
                hint=f"Name one of them: {', '.join(f'{way.target}!{way.name}(…)' for way in ways)}.",
            )
        return ways[0]


def unknown_column(resource: Resource, name: str) -> UnknownColumn:
    """The error for a column that the table does not have, with the nearest one that it has."""
    return UnknownColumn(
        f"Table {resource.name!r} has no column {name!r}.",
        hint=suggest(name, [*resource.columns, *(way.name for way in resource.relations)]),
    )


def suggest(wrong: str, known: Iterable[str]) -> str | None:
    """`Perhaps you meant …`, or None where nothing is near."""
    near = difflib.get_close_matches(wrong[:64], list(known), n=1, cutoff=0.5)
    return f"Perhaps you meant {near[0]!r}." if near else None
