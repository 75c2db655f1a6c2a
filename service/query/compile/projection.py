"""Rows of a plan as records: one lateral record a row, with embedded tables joined in laterally.

    from flights t0
    left join lateral (select … from airlines t1 where t1.carrier = t0.carrier) e1 on true
    cross join lateral (select t0.id, e1 as airline) r0

PostgreSQL renders the record `r0` as JSON. Rows are never joined twice, so nothing needs to be made distinct.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, Text, and_, true

from service.core.states import EMBED_LIMIT
from service.query.compile.predicate import Conditions, SqlType, or_refuse
from service.query.compile.statement import Parameters
from service.query.plan import VERSION_COLUMN, AllColumns, Bind, Embedded, ReadPlan, Selected

EMPTY_ARRAY: ColumnElement[Any] = sa.literal_column("'[]'::json")
_TOO_MANY = "One row embeds more rows than the service allows."


@dataclass(frozen=True, slots=True)
class Rows:
    """What to select from, the record of each row, and the conditions over the table."""

    source: FromClause
    table: FromClause
    record: ColumnElement[Any]
    conditions: Conditions


class Projector:
    """Builds the rows of a plan and of all that it embeds, each table under a number of its own."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._numbers: Iterator[int] = count()

    def rows(self, plan: ReadPlan, table: FromClause | None = None) -> Rows:
        """The rows of the plan's table, or of `table` where that stands for it."""
        number = next(self._numbers)
        table = plan.resource.table.alias(f"t{number}") if table is None else table
        conditions = Conditions(plan.resource, table, self._parameters)
        source: FromClause = table
        columns: list[ColumnElement[Any]] = []
        for item in plan.select:
            match item:
                case AllColumns():
                    columns += [table.c[name].label(name) for name in plan.resource.columns]
                case Selected():
                    columns.append(self._selected(item, conditions).label(item.alias))
                case Embedded():
                    lateral, value = self._embedded(item, table)
                    source = source.outerjoin(lateral, true())
                    columns.append(value.label(item.alias))
        record = sa.select(*columns).correlate(*_parts(source)).lateral(f"r{number}")
        return Rows(source.join(record, true()), table, record.table_valued(), conditions)

    def condition(self, plan: ReadPlan, rows: Rows) -> list[ColumnElement[bool]]:
        """What a row must meet: the plan's filter, and the presence of what is embedded with `!inner`."""
        own = [rows.conditions.where(plan.where)] if plan.where is not None else []
        return own + [self._is_present(item, rows.table) for item in plan.embeds if item.is_inner]

    def query(self, plan: ReadPlan, rows: Rows, *columns: ColumnElement[Any]) -> Select[Any]:
        """Those columns of the plan's rows, filtered, ordered and cut."""
        query = sa.select(*columns).select_from(rows.source).where(*self.condition(plan, rows))
        if plan.after is not None:
            query = query.where(rows.conditions.after(plan.after, plan.order))
        query = query.order_by(*map(rows.conditions.order, plan.order))
        if plan.limit is not None:
            query = query.limit(self._bigint(plan.limit))
        if plan.offset is not None:
            query = query.offset(self._bigint(plan.offset))
        return query

    def _selected(self, item: Selected, conditions: Conditions) -> ColumnElement[Any]:
        if item.column.name != VERSION_COLUMN:
            return conditions.column(item.column)
        quote = sa.literal_column("'\"'", Text)
        return quote + self._parameters.epoch() + sa.literal_column("'.'", Text) + conditions.version() + quote

    def _embedded(self, item: Embedded, parent: FromClause) -> tuple[Any, ColumnElement[Any]]:
        rows = self.rows(item.plan)
        query = self.query(item.plan, rows, rows.record.label("r")).where(_joined(item, rows.table, parent))
        if item.at_most is not None:
            query = query.limit(self._bigint(item.at_most) + sa.literal_column("1"))
        number = next(self._numbers)
        if item.relation.is_many:
            inner = query.correlate(parent).subquery(f"p{number}")
            lateral = sa.select(self._array(item, inner).label("v")).lateral(f"e{number}")
        else:
            # At most one row belongs; without a key there that says so, one is taken.
            is_unique = {there for _, there in item.relation.pairs} >= set(item.plan.resource.key)
            lateral = (
                (query if is_unique else query.limit(sa.literal_column("1"))).correlate(parent).lateral(f"e{number}")
            )
        return lateral, lateral.c[0]

    def _array(self, item: Embedded, inner: sa.Subquery) -> ColumnElement[Any]:
        array = sa.func.coalesce(sa.func.json_agg(inner.c.r), EMPTY_ARRAY)
        if item.at_most is None:
            return array
        is_allowed = or_refuse(sa.func.count() <= self._bigint(item.at_most), EMBED_LIMIT, _TOO_MANY)
        return sa.case((is_allowed, array))

    def _bigint(self, bind: Bind) -> ColumnElement[int]:
        return sa.cast(self._parameters[bind], SqlType("bigint"))

    def _is_present(self, item: Embedded, parent: FromClause) -> ColumnElement[bool]:
        rows = self.rows(item.plan)
        query: Select[Any] = sa.select(sa.literal_column("1")).select_from(rows.table)
        query = query.where(_joined(item, rows.table, parent), *self.condition(item.plan, rows))
        return sa.exists(query.correlate(parent))


def _joined(item: Embedded, table: FromClause, parent: FromClause) -> ColumnElement[bool]:
    return and_(*(table.c[there] == parent.c[here] for here, there in item.relation.pairs))


def _parts(source: FromClause) -> list[FromClause]:
    if isinstance(source, sa.Join):
        return [*_parts(source.left), source.right]
    return [source]
