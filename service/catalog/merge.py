"""Found tables with what the code declares of them."""

from collections.abc import Mapping
from dataclasses import replace

from service.catalog.catalog import Catalog
from service.catalog.found import Found
from service.catalog.resource import Relation, Resource


def merge(found: Found, declared: Catalog) -> tuple[Resource, ...]:
    """The found resources, with the declared names of their relations.

    A table is as it is found: its declaration adds names for the foreign keys that it has, and relations that no
    foreign key keeps. What is declared and not found is left out. Declared tables without a schema are of the first.
    """
    places = {(item.table.schema, item.table.name): item for item in found.resources}
    matched = {
        item.name: places[place]
        for item in declared
        if (place := (item.table.schema or found.schemas[0], item.table.name)) in places
    }
    by_found = {resource.name: declared.get(name) for name, resource in matched.items()}
    return tuple(
        _named(resource, by_found[resource.name], matched) if resource.name in by_found else resource
        for resource in found.resources
    )


def _named(resource: Resource, declared: Resource, matched: Mapping[str, Resource]) -> Resource:
    ways = list(resource.relations)
    for way in declared.relations:
        target = matched.get(way.target)
        if target is not None and _has_columns(way, resource, target):
            _put(replace(way, target=target.name), ways)
    return replace(resource, relations=tuple(ways))


def _has_columns(way: Relation, resource: Resource, target: Resource) -> bool:
    return all(here in resource.columns and there in target.columns for here, there in way.pairs)


def _put(way: Relation, ways: list[Relation]) -> None:
    """Name the found way that it is, or add it. The foreign key knows better whether one row refers or many."""
    for place, other in enumerate(ways):
        if other.target == way.target and set(other.pairs) == set(way.pairs) and other.is_back == way.is_back:
            ways[place] = replace(other, name=way.name)
            return
    ways.append(replace(way, constraint=None))
