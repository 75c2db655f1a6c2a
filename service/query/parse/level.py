"""A table of the request, at its depth, while its parameters are gathered."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from service.catalog.catalog import Catalog
from service.catalog.resource import Relation, Resource
from service.core.errors import InvalidQuery
from service.query.parse.field import Field
from service.query.parse.select import WrittenColumn, WrittenEmbed, WrittenItem
from service.query.plan import Aggregate, OrderTerm, Predicate

_COUNT = Field("count")


@dataclass(slots=True)
class Level:
    """`children` are the tables embedded here, by the names that filters and orders call them."""

    resource: Resource
    items: tuple[WrittenItem, ...]
    relation: Relation | None = None
    where: list[Predicate] = field(default_factory=list)
    having: list[Predicate] = field(default_factory=list)
    order: tuple[OrderTerm, ...] = ()
    limit: int | None = None
    offset: int | None = None
    children: dict[str, "Level"] = field(default_factory=dict)
    is_spread: bool = False

    @property
    def is_grouped(self) -> bool:
        """Whether rows are grouped: by an aggregate here, or in what is spread here from a row that belongs."""
        return any(self._groups(item) for item in self.items)

    @property
    def has_aggregates(self) -> bool:
        """Whether an aggregate is selected, here or in what is embedded, and not `count` alone."""
        aggregates = [item for item in self.items if isinstance(item, WrittenColumn) and item.aggregate is not None]
        is_counted = len(self.items) == 1 and all(item.is_old for item in aggregates)
        return bool(aggregates and not is_counted) or any(child.has_aggregates for child in self.children.values())

    def _groups(self, item: WrittenItem) -> bool:
        if isinstance(item, WrittenColumn):
            return item.aggregate is not None
        child = self.children[item.alias]
        return item.is_spread and child.relation is not None and not child.relation.is_many and child.is_grouped

    def at(self, path: Sequence[str]) -> "Level":
        """The table that a path of names leads to.

        Raises:
            InvalidQuery: it is not embedded.
        """
        found = self
        for name in path:
            if name not in found.children:
                raise not_embedded(name)
            found = found.children[name]
        return found


def build_level(
    catalog: Catalog, resource: Resource, items: tuple[WrittenItem, ...], relation: Relation | None = None
) -> Level:
    """The table with all that is embedded in it.

    Raises:
        RelationNotFound, AmbiguousRelation: a table cannot be embedded as asked.
        InvalidQuery: two are embedded under one name.
    """
    children: dict[str, Level] = {}
    named: list[WrittenItem] = []
    for written in items:
        item = written
        if isinstance(item, WrittenEmbed):
            way = catalog.relation(resource, item.target, item.hint)
            if (
                item.is_spread and item.hint and item.alias in children
            ):  # it cannot be renamed, and its name is not shown
                item = replace(item, alias=f"{item.target}!{item.hint}")
            if item.alias in children:
                raise InvalidQuery(f"{item.alias!r} is selected twice.", hint=f"Rename one: other:{item.target}(…).")
            child = build_level(catalog, catalog.get(way.target), item.items, way)
            child.is_spread = item.is_spread
            children[item.alias] = child
        elif item.field == _COUNT and item.aggregate is None and "count" not in {*resource.columns, *resource.computed}:
            item = WrittenColumn(None, item.alias, None, Aggregate.COUNT, item.cast, is_old=True)
        named.append(item)
    return Level(resource, tuple(named), relation, children=children)


def not_embedded(name: str) -> InvalidQuery:
    return InvalidQuery(
        f"{name!r} is not an embedded resource in this request",
        hint=f"Verify that {name!r} is included in the 'select' query parameter.",
        code="PGRST108",
    )
