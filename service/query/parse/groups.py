"""The order of groups: they have no key, but no two of them are grouped by the same values."""

from dataclasses import replace

from service.catalog.resource import Resource
from service.query.plan import (
    AllColumns,
    Bind,
    ColumnRef,
    Embedded,
    GroupColumn,
    OrderTerm,
    Selected,
    SelectItem,
)
from service.query.walk import group_names


def order_of_groups(
    resource: Resource, select: tuple[SelectItem, ...], order: tuple[OrderTerm, ...]
) -> tuple[OrderTerm, ...]:
    """The order with all behind that rows are grouped by. A column that is shown stands there as it is shown."""
    given = tuple(_as_shown(resource, select, term) for term in order)
    named = {term.column.name for term in given if isinstance(term.column, GroupColumn)}
    return given + tuple(OrderTerm(GroupColumn(name)) for name in group_names(resource, select) if name not in named)


def _as_shown(resource: Resource, select: tuple[SelectItem, ...], term: OrderTerm) -> OrderTerm:
    if not isinstance(term.column, ColumnRef):
        return term
    name = _shown_name(resource, select, term.column, term.embedded)
    return term if name is None else replace(term, column=GroupColumn(name), embedded=None)


def _shown_name(
    resource: Resource, select: tuple[SelectItem, ...], column: ColumnRef, embedded: str | None
) -> str | None:
    """The name in the answer of a column of the table, or of what is spread into its rows under an alias."""
    for item in select:
        match item:
            case AllColumns() if embedded is None and not column.path and column.name in resource.columns:
                return column.name
            case Selected(column=ColumnRef() as shown) if embedded is None and _is_same(shown, column):
                return item.alias
            case Embedded(is_spread=True) if item.alias == embedded:
                return _shown_name(item.plan.resource, item.plan.select, column, None)
    return None


def _is_same(one: ColumnRef, other: ColumnRef) -> bool:
    """Whether they are the same place in the same column, the values of their keys included."""
    return one == other and _keys(one) == _keys(other)


def _keys(column: ColumnRef) -> list[object]:
    return [step.place.value for step in column.path if isinstance(step.place, Bind)]
