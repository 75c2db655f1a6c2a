"""Rows of a plan as records: one lateral record a row, with embedded tables joined in laterally.

    from flights t0
    left join lateral (select r1 as r from airlines t1 … where t1.carrier = t0.carrier) e1 on true
    cross join lateral (select t0.id, e1.r as airline) r0

PostgreSQL renders the record `r0` as JSON. Rows are never joined twice, so nothing needs to be made distinct.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, Text, true
from sqlalchemy.sql.selectable import LateralFromClause

from service.catalog.sql_type import SqlType
from service.core.states import EMBED_LIMIT
from service.query.compile.columns import Columns, aggregated, comparable_type
from service.query.compile.joined import is_joined, related_source
from service.query.compile.keyset import SortKey, behind
from service.query.compile.past import past_rows
from service.query.compile.predicate import Conditions, or_refuse
from service.query.compile.statement import WHOLE, Parameters
from service.query.plan import (
    VERSION_COLUMN,
    Aggregated,
    AllColumns,
    Bind,
    ColumnRef,
    Embedded,
    GroupColumn,
    OrderTerm,
    ReadPlan,
    Selected,
)

EMPTY_ARRAY: ColumnElement[Any] = sa.literal_column("'[]'::json")
_TOO_MANY = "One row embeds more rows than the service allows."
_ONE: ColumnElement[Any] = sa.literal_column("1")


@dataclass(frozen=True, slots=True)
class _Shown:
    """One member of a record. An aggregate is taken over the values of a group: of this level, or of the one that
    this one is spread into.
    """

    name: str
    value: ColumnElement[Any]
    type: SqlType
    aggregate: Aggregated | None = None

    def of_group(self) -> ColumnElement[Any]:
        value = self.value if self.aggregate is None else aggregated(self.aggregate, self.value)
        return value.label(self.name)


@dataclass(slots=True)
class Rows:
    """What to select from, what of each row, and the conditions over the table.

    `related` are columns of what is embedded, for the order of the rows: for the number of each such term of the order,
    the column and the conditions over its table.
    """

    source: FromClause
    conditions: Conditions
    number: int
    shown: list[_Shown] = field(default_factory=list)
    related: dict[int, tuple[ColumnElement[Any], Conditions]] = field(default_factory=dict)

    @property
    def columns(self) -> Columns:
        return self.conditions.columns

    @property
    def table(self) -> FromClause:
        return self.columns.source

    @property
    def is_grouped(self) -> bool:
        return any(item.aggregate is not None for item in self.shown)


class Projector:
    """Builds the rows of a plan and of all that it embeds, each table under a number of its own."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._numbers: Iterator[int] = count()

    def rows(self, plan: ReadPlan, table: FromClause | None = None) -> Rows:
        """The rows of the plan's table, or of `table` where that stands for it."""
        number = next(self._numbers)
        if table is None:
            table = self._table(plan, f"t{number}")
        rows = Rows(table, self._conditions(plan, table), number)
        for item in plan.select:
            if isinstance(item, Embedded):
                self._embed(item, plan, rows)
            else:
                rows.shown += self._own(item, rows.columns)
        return rows

    def _table(self, plan: ReadPlan, name: str) -> FromClause:
        if plan.past is not None:
            return past_rows(plan.past, plan.resource, self._parameters, name)
        return plan.resource.table.alias(name)

    def records(
        self, plan: ReadPlan, rows: Rows, *more: ColumnElement[Any], row_type: SqlType | None = None
    ) -> Select[Any]:
        """The rows or groups, filtered, ordered and cut: each as a record `r`, and what else is asked of it.

        Whole rows of a table may be records of its type.
        """
        if rows.is_grouped:
            return self._groups(plan, rows, more)
        record = self.record(rows)
        whole: ColumnElement[Any] = record.table_valued()
        shown = whole if row_type is None else sa.cast(whole, row_type)
        query = sa.select(shown.label("r"), *more).select_from(rows.source.join(record, true()))
        return self.cut(plan, rows, query)

    def flat(self, plan: ReadPlan, rows: Rows) -> Select[Any]:
        """The rows or groups, filtered, ordered and cut, with a column for each member."""
        if rows.is_grouped:
            return self.cut(plan, rows, self._grouped(plan, rows))
        members = (item.value.label(item.name) for item in rows.shown)
        return self.cut(plan, rows, sa.select(*members).select_from(rows.source))

    def record(self, rows: Rows) -> LateralFromClause:
        """One ungrouped row as a record."""
        members = (item.value.label(item.name) for item in rows.shown)
        return sa.select(*members).correlate(*_parts(rows.source)).lateral(f"{WHOLE}{rows.number}")

    def counted(self, plan: ReadPlan, table: FromClause | None = None) -> Select[Any]:
        """The rows that the plan selects, on whichever page: something to count."""
        rows = self.rows(plan, table)
        if rows.is_grouped:
            return self._grouped(plan, rows).where(*self._met(plan, rows.conditions))
        return sa.select(_ONE.label("one")).select_from(rows.table).where(*self._met(plan, rows.conditions))

    def cut(self, plan: ReadPlan, rows: Rows, query: Select[Any]) -> Select[Any]:
        """The query, filtered, ordered and cut as the plan says."""
        query = query.where(*self._met(plan, rows.conditions))
        if plan.after is not None:
            is_behind = behind(self.keys(plan, rows), plan.after)
            query = query.having(_of_group(is_behind)) if rows.is_grouped else query.where(is_behind)
        query = query.order_by(*(key.ordered for key in self.keys(plan, rows)))
        if plan.limit is not None:
            query = query.limit(self.bigint(plan.limit))
        if plan.offset is not None:
            query = query.offset(self.bigint(plan.offset))
        return query

    def bigint(self, bind: Bind) -> ColumnElement[int]:
        return sa.cast(self._parameters[bind], SqlType("bigint"))

    def _conditions(self, plan: ReadPlan, table: FromClause) -> Conditions:
        columns = Columns(plan.resource, table, self._parameters)
        embeds = {item.alias: item for item in plan.embeds}
        return Conditions(columns, self._parameters, lambda alias: self._is_present(embeds[alias], columns))

    def _met(self, plan: ReadPlan, conditions: Conditions) -> list[ColumnElement[bool]]:
        """What a row must meet: the plan's filter, and the presence of what is embedded with `!inner`."""
        own = [conditions.where(plan.where)] if plan.where is not None else []
        return own + [self._is_present(item, conditions.columns) for item in plan.embeds if item.is_inner]

    def _grouped(self, plan: ReadPlan, rows: Rows) -> Select[Any]:
        places = [place for place, item in enumerate(rows.shown, start=1) if item.aggregate is None]
        query = sa.select(*(item.of_group() for item in rows.shown)).select_from(rows.source)
        query = query.group_by(*(sa.literal_column(str(place)) for place in places))
        return query if plan.having is None else query.having(rows.conditions.where(plan.having))

    def _groups(self, plan: ReadPlan, rows: Rows, more: Sequence[ColumnElement[Any]]) -> Select[Any]:
        """The groups as records. What is asked besides is no part of the record."""
        groups = self.cut(plan, rows, self._grouped(plan, rows).add_columns(*more)).subquery(f"g{rows.number}")
        members = (groups.c[item.name].label(item.name) for item in rows.shown)
        record = sa.select(*members).correlate(groups).lateral(f"{WHOLE}{rows.number}")
        others = (groups.c[item.name] for item in more if isinstance(item, sa.Label))
        return sa.select(record.table_valued().label("r"), *others).select_from(groups.join(record, true()))

    def keys(self, plan: ReadPlan, rows: Rows) -> list[SortKey]:
        """What the rows are ordered by."""
        return [self._key(number, term, rows) for number, term in enumerate(plan.order)]

    def _key(self, number: int, term: OrderTerm, rows: Rows) -> SortKey:
        if isinstance(term.column, GroupColumn):
            shown = next(item for item in rows.shown if item.name == term.column.name)
            return SortKey(term, shown.value, shown.type, lambda bind: sa.cast(self._parameters[bind], shown.type))
        if term.embedded is None:
            return rows.conditions.key(term)
        value, conditions = rows.related[number]
        return replace(conditions.key(term), value=value, may_be_null=True)

    def _own(self, item: AllColumns | Selected, columns: Columns) -> list[_Shown]:
        match item:
            case AllColumns():
                described = columns.resource.columns.values()
                return [
                    _Shown(one.name, columns.rendered(one, columns.source.c[one.name]), comparable_type(one))
                    for one in described
                ]
            case Selected(column=Aggregated(column=None) as aggregate):
                return [_Shown(item.alias, _ONE, columns.type_of(aggregate), aggregate)]
            case Selected(column=Aggregated(column=ColumnRef() as reference) as aggregate):
                return [_Shown(item.alias, columns.value(reference), columns.type_of(aggregate), aggregate)]
            case Selected(column=ColumnRef(name=name)) if (
                name == VERSION_COLUMN and VERSION_COLUMN not in columns.resource.columns
            ):
                return [_Shown(item.alias, self._tag(columns), SqlType("text"))]
        return [_Shown(item.alias, columns.shown(item.column), columns.type_of(item.column))]

    def _tag(self, columns: Columns) -> ColumnElement[str]:
        quote = sa.literal_column("'\"'", Text)
        return quote + self._parameters.epoch() + sa.literal_column("'.'", Text) + columns.version() + quote

    def _embed(self, item: Embedded, plan: ReadPlan, outer: Rows) -> None:
        ordered = {place: term for place, term in enumerate(plan.order) if term.embedded == item.alias}
        if not item.plan.select and not ordered:
            return  # embedded for its conditions alone
        number = next(self._numbers)
        inner = self.rows(item.plan, related_source(item.relation, item.plan.resource, outer.columns, number))
        keys = [inner.conditions.key(term).value.label(f"{WHOLE}o{place}") for place, term in ordered.items()]
        lateral = (self._spread if item.is_spread else self._lateral)(item, inner, outer, keys)
        outer.source = outer.source.outerjoin(lateral, true())
        for place in ordered:
            outer.related[place] = (lateral.c[f"{WHOLE}o{place}"], inner.conditions)
        if item.plan.select and not item.is_spread:
            value = lateral.c["r"]
            is_grouped = any(isinstance(one, Selected) and isinstance(one.column, Aggregated) for one in plan.select)
            shown = sa.func.to_jsonb(value) if is_grouped else value
            outer.shown.append(_Shown(item.alias, shown, SqlType("jsonb")))

    def _lateral(self, item: Embedded, inner: Rows, outer: Rows, keys: Sequence[ColumnElement[Any]]) -> Any:
        """Related rows as one value `r`, an array or a record, and beside it what the outer rows are ordered by."""
        joined = is_joined(item, inner.table, outer.columns, inner.number, self._parameters)
        query = self._related(item, inner, outer, joined, keys).correlate(outer.table)
        if not item.relation.is_many:
            return query.lateral(f"e{inner.number}")
        page = query.subquery(f"p{inner.number}")
        return sa.select(self._array(item, page).label("r")).lateral(f"e{inner.number}")

    def _related(
        self,
        item: Embedded,
        inner: Rows,
        outer: Rows,
        joined: ColumnElement[bool],
        keys: Sequence[ColumnElement[Any]],
    ) -> Select[Any]:
        plan = item.plan
        if inner.is_grouped:
            query = self._grouped(plan, inner).where(joined).correlate(outer.table)
            groups = self.cut(plan, inner, query).subquery(f"{WHOLE}{inner.number}")
            return self._bounded(item, sa.select(groups.table_valued().label("r")))
        return self._bounded(item, self.records(plan, inner, *keys).where(joined))

    def _spread(self, item: Embedded, inner: Rows, outer: Rows, keys: Sequence[ColumnElement[Any]]) -> Any:
        """Related rows as columns: values where one row belongs, arrays of values where many do. Beside the values
        stands what the outer rows are ordered by.
        """
        joined = is_joined(item, inner.table, outer.columns, inner.number, self._parameters)
        query = sa.select(*(one.value.label(one.name) for one in inner.shown), *keys).select_from(inner.source)
        query = self._bounded(item, self.cut(item.plan, inner, query).where(joined)).correlate(outer.table)
        if item.relation.is_many:
            page = query.subquery(f"p{inner.number}")
            arrays = (
                sa.func.coalesce(sa.func.json_agg(page.c[one.name]), EMPTY_ARRAY).label(one.name) for one in inner.shown
            )
            query = sa.select(*arrays)
        lateral = query.lateral(f"e{inner.number}")
        outer.shown += [_Shown(one.name, lateral.c[one.name], one.type, one.aggregate) for one in inner.shown]
        return lateral

    def _bounded(self, item: Embedded, query: Select[Any]) -> Select[Any]:
        """One row where one belongs and no key says so; one more than is allowed, to see that there are too many."""
        if not item.relation.is_many:
            return query if _is_unique(item) else query.limit(_ONE)
        return query if item.at_most is None else query.limit(self.bigint(item.at_most) + _ONE)

    def _array(self, item: Embedded, page: sa.Subquery) -> ColumnElement[Any]:
        array = sa.func.coalesce(sa.func.json_agg(page.c.r), EMPTY_ARRAY)
        if item.at_most is None:
            return array
        is_allowed = or_refuse(sa.func.count() <= self.bigint(item.at_most), EMBED_LIMIT, _TOO_MANY)
        return sa.case((is_allowed, array))

    def _is_present(self, item: Embedded, outer: Columns) -> ColumnElement[bool]:
        number = next(self._numbers)
        table = related_source(item.relation, item.plan.resource, outer, number)
        query: Select[Any] = sa.select(_ONE).select_from(table)
        query = query.where(
            is_joined(item, table, outer, number, self._parameters),
            *self._met(item.plan, self._conditions(item.plan, table)),
        )
        return sa.exists(query.correlate(outer.source))


def _of_group(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, asked of groups and never of the rows before they are grouped: a value that they are grouped by
    may fail on a row that the caller may not see. PostgreSQL moves what has no aggregate to the rows.
    """
    return sa.case((sa.func.count() > sa.literal_column("0"), condition), else_=sa.false())


def _is_unique(item: Embedded) -> bool:
    """Whether at most one row belongs, by the key of the table."""
    key = item.plan.resource.key
    return bool(key) and {there for _, there in item.relation.pairs} >= set(key)


def _parts(source: FromClause) -> list[FromClause]:
    if isinstance(source, sa.Join):
        return [*_parts(source.left), source.right]
    return [source]
