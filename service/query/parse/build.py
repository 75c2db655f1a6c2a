"""What was gathered for a table and those embedded in it, as a read plan."""

from collections.abc import Mapping

from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.query.parse.casts import check_cast
from service.query.parse.field import resolve
from service.query.parse.groups import order_of_groups
from service.query.parse.level import Level
from service.query.parse.order import with_tie_breaker
from service.query.parse.select import EVERYTHING, WrittenColumn, WrittenEmbed
from service.query.plan import (
    VERSION_COLUMN,
    Aggregated,
    AllColumns,
    Bind,
    ColumnRef,
    Embedded,
    OrderTerm,
    ReadPlan,
    Selected,
    SelectItem,
    all_of,
)


def build_plan(level: Level, max_rows: int) -> ReadPlan:
    """The plan of a table. One that is embedded has a total order where an order can be seen."""
    is_ordered = level.relation is None or bool(level.order) or level.limit is not None
    select = build_select(level, max_rows)
    return ReadPlan(
        resource=level.resource,
        select=select,
        where=all_of(*level.where),
        order=total_order(level, select) if is_ordered else (),
        limit=None if level.limit is None else Bind(str(level.limit)),
        offset=None if level.offset is None else Bind(str(level.offset)),
        having=all_of(*level.having),
    )


def total_order(level: Level, select: tuple[SelectItem, ...]) -> tuple[OrderTerm, ...]:
    """The order, with the key behind; behind that of groups, what they are grouped by."""
    if level.is_grouped:
        return order_of_groups(level.resource, select, level.order)
    return with_tie_breaker(level.resource, level.order)


def build_select(level: Level, max_rows: int) -> tuple[SelectItem, ...]:
    """The items, each name once: JSON objects with a name twice are read differently by different clients."""
    items: list[SelectItem] = []
    names: dict[str, SelectItem] = {}
    for written in level.items:
        item = _item(level, written, max_rows)
        given = _names(level.resource, item)
        if given and all(names.get(name) == same for name, same in given.items()):
            continue
        if isinstance(item, AllColumns):  # it has what was named before it
            items = [other for other in items if other not in given.values()]
            names = {name: same for name, same in names.items() if given.get(name) != same}
        if taken := next((name for name in given if name in names), None):
            raise InvalidQuery(f"{taken!r} is selected twice.", hint=f"Rename one: other:{taken}.")
        names |= given
        items.append(item)
    return tuple(items)


def _names(resource: Resource, item: SelectItem) -> Mapping[str, SelectItem]:
    """The names that an item has in the answer, each with what stands there."""
    match item:
        case AllColumns():
            return {name: Selected(ColumnRef(name), name) for name in resource.columns}
        case Embedded(is_spread=True, plan=plan):
            return {name: item for inner in plan.select for name in _names(plan.resource, inner)}
        case Embedded(plan=ReadPlan(select=())):
            return {}
    return {item.alias: item}


def _item(level: Level, item: WrittenColumn | WrittenEmbed, max_rows: int) -> SelectItem:
    if isinstance(item, WrittenColumn):
        return AllColumns() if item == EVERYTHING else Selected(_column(level.resource, item), item.alias)
    child = level.children[item.alias]
    assert child.relation is not None
    is_bounded = not child.relation.is_many or (child.limit is not None and child.limit <= max_rows)
    at_most = None if is_bounded else Bind(str(max_rows))
    return Embedded(child.relation, item.alias, build_plan(child, max_rows), item.is_inner, at_most, item.is_spread)


def _column(resource: Resource, item: WrittenColumn) -> ColumnRef | Aggregated:
    if item.field is None:
        assert item.aggregate is not None
        check_cast(resource, item.aggregate_cast)
        return Aggregated(item.aggregate, None, item.aggregate_cast)
    is_version = item.field.name == VERSION_COLUMN and VERSION_COLUMN not in resource.columns
    if is_version and not (item.field.path or item.aggregate):
        return ColumnRef(VERSION_COLUMN, item.cast)
    check_cast(resource, item.aggregate_cast)
    column = resolve(resource, item.field, item.cast)
    return column if item.aggregate is None else Aggregated(item.aggregate, column, item.aggregate_cast)
