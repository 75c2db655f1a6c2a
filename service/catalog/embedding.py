"""Which way a request means that embeds one table in another: PostgREST's rules (its `Plan.findRel`)."""

from collections.abc import Mapping, Sequence

from service.catalog.resource import Relation, Resource


def pick(resource: Resource, target: str, hint: str | None, resources: Mapping[str, Resource]) -> Sequence[Relation]:
    """The ways from `resource` that may be meant: one where the request is clear.

    `target` is a table, a foreign key, or the column of one; also the name of a way that has one of its own, or of a
    function that takes the row, which goes before all else. `hint` is a foreign key, a column of it, or a junction.
    """
    if hint is not None:
        return _hinted(resource, target, hint, resources)
    computed = [way for way in resource.relations if way.function is not None and way.name == target]
    return computed or _named(resource, target) or _found(resource, target, resources)


def _hinted(resource: Resource, target: str, hint: str, resources: Mapping[str, Resource]) -> Sequence[Relation]:
    ways = [way for way in _to_table(resource, target, resources) if way.is_meant_by(hint)]
    ways = ways or [way for way in resource.relations if way.name == target and way.is_meant_by(hint)]
    is_column = all(hint in (name for pair in way.pairs for name in pair) for way in ways)
    if is_column and _is_self(resource, ways):
        return [way for way in ways if way.is_back and any(hint == there for _, there in way.pairs)] or ways
    return ways


def _named(resource: Resource, target: str) -> Sequence[Relation]:
    """Ways by a name of their own. A foreign key's, and a junction's, are names of something else as well."""
    return [
        way
        for way in resource.relations
        if way.name == target and way.name != way.constraint and way.junction is None and way.function is None
    ]


def _found(resource: Resource, target: str, resources: Mapping[str, Resource]) -> Sequence[Relation]:
    ways = [way for way in _to_table(resource, target, resources) if not way.is_hinted]
    if _is_self(resource, ways):
        # One foreign key, two ways: the table's name means the rows that refer, the column's the row referred to.
        ways = [way for way in ways if way.is_back] or ways
    by_key = _to_tables_first(resource, [way for way in resource.relations if _is_key(way, target)], resources)
    return ways + [way for way in by_key if way not in ways]


def _is_key(way: Relation, target: str) -> bool:
    """Whether the target is the foreign key, or the one column of it (which leads only onward)."""
    if way.function is not None or way.junction is not None:
        return False
    columns = [here for here, _ in way.pairs]
    return target == way.constraint or (columns == [target] and not way.is_back)


def _to_tables_first(resource: Resource, ways: list[Relation], resources: Mapping[str, Resource]) -> list[Relation]:
    """A foreign key leads to its table; where that is not served, back to the view that shows it, or to another.

    Views have no versions.
    """
    tables = [way for way in ways if way.target in resources and resources[way.target].abilities.has_version]
    return tables or [way for way in ways if way.target == resource.name] or ways


def _to_table(resource: Resource, target: str, resources: Mapping[str, Resource]) -> Sequence[Relation]:
    """Ways to the table of that name: of the same schema, if it has one, else by its path."""
    ways = [way for way in resource.relations if way.function is None]
    near = [way for way in ways if way.target in resources and _is_near(resource, resources[way.target], target)]
    return near or [way for way in ways if way.target == target]


def _is_near(resource: Resource, other: Resource, target: str) -> bool:
    return other.table.name == target and other.table.schema == resource.table.schema


def _is_self(resource: Resource, ways: Sequence[Relation]) -> bool:
    return bool(ways) and all(way.target == resource.name for way in ways)
