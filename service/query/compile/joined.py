"""How related rows are found: by columns, through a junction, or by a function of the row."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, and_, true

from service.catalog.resource import Relation, Resource
from service.query.compile.columns import Columns, function
from service.query.compile.predicate import Conditions
from service.query.compile.statement import Parameters
from service.query.plan import Embedded


def related_source(relation: Relation, target: Resource, outer: Columns, number: int) -> FromClause:
    """The target's rows as `t<number>`: its table, or what the function of a computed relationship returns."""
    if relation.function is None:
        return target.table.alias(f"t{number}")
    columns = [sa.column(column.name, column.type) for column in target.table.columns]
    return function(relation.function)(outer.row()).table_valued(*columns, name=f"t{number}")


def is_joined(
    item: Embedded, inner: FromClause, outer: Columns, number: int, parameters: Parameters
) -> ColumnElement[bool]:
    """Whether a row of the target belongs to the outer row. Several rows of a junction do not repeat it."""
    relation = item.relation
    if relation.function is not None:
        return true()
    if relation.junction is None:
        return _same(relation.pairs, outer.source, inner)
    junction = relation.junction.table.alias(f"j{number}")
    between: Any = sa.select(sa.literal_column("1")).select_from(junction)
    between = between.where(
        _same(relation.junction.pairs, outer.source, junction), _same(relation.junction.onward, junction, inner)
    )
    if item.between is not None and item.through is not None:
        columns = Columns(item.through, junction, parameters)
        between = between.where(Conditions(columns, parameters).where(item.between))
    return sa.exists(between.correlate(outer.source, inner))


def _same(pairs: tuple[tuple[str, str], ...], here: FromClause, there: FromClause) -> ColumnElement[bool]:
    return and_(*(there.c[theirs] == here.c[ours] for ours, theirs in pairs))
