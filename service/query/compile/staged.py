"""Staged rows: what an import has copied into a table of its transaction, read as the columns of its target are.

Fields lie there as texts, so that COPY takes any of them, and the insert says which row holds what cannot be read.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, BigInteger, ColumnElement, FromClause, Subquery, Text, true

from service.catalog.resource import Column
from service.catalog.sql_type import CompositeType, SqlType
from service.query.compile.columns import comparable_type, function, quoted_text
from service.query.compile.statement import Parameters, Statement, finish
from service.query.compile.values import default_of, from_json, input_type, named_for_default, reader_of
from service.query.plan import InsertPlan, Staged, StagedForm

# In PostgreSQL's schema of the session's temporary tables, where nobody else has one.
STAGE_SCHEMA = "pg_temp"
STAGE = "rowhouse_import"
PROBE = "rowhouse_probe"
NUMBER = "no"
# The object of a row, where it is one.
OBJECT = "line"
_TEXTS = ("text", "character varying", "character", "bpchar", "name", "citext")


def field_name(place: int) -> str:
    """The column of the stage that holds the fields at this place, from 0."""
    return f"c{place}"


def staged_rows(
    plan: InsertPlan, staged: Staged, columns: Sequence[Column], context: CTE, parameters: Parameters
) -> Subquery:
    """The rows of the stage, typed as the table's columns are, behind the caller's identity."""
    stage = _stage(staged)
    source: FromClause = context.join(stage, true())
    if not columns:
        column = named_for_default(plan.resource)
        values = [default_of(plan.resource, column).label(column.name)]
    elif staged.form is StagedForm.FIELDS:
        values = [_field(plan, staged, column, stage).label(column.name) for column in columns]
    else:
        members = _members(columns, stage)
        source = source.join(members, true())
        values = [_member(plan, column, stage, members).label(column.name) for column in columns]
    return sa.select(*values).select_from(source).where(_within(staged, stage, parameters)).subquery("b")


def compile_probe(plan: InsertPlan) -> Statement:
    """Writes the staged values into the probe, whose columns are of the same types, and nowhere else."""
    assert isinstance(plan.body, Staged)
    parameters = Parameters(plan)
    context = sa.select(sa.literal_column("1").label("one")).cte("ctx")
    columns = [plan.resource.stored[name] for name in plan.columns]
    rows = staged_rows(plan, plan.body, columns, context, parameters)
    places = [list(plan.resource.stored).index(column.name) for column in columns]
    probe = sa.table(PROBE, *(sa.column(field_name(place)) for place in places), schema=STAGE_SCHEMA)
    insert = sa.insert(probe).from_select([field_name(place) for place in places], sa.select(*rows.c))
    return finish(insert)


def _stage(staged: Staged) -> Any:
    if staged.form is StagedForm.OBJECTS:
        fields = [sa.column(OBJECT, Text)]
    else:
        fields = [sa.column(field_name(place), Text) for place in range(len(staged.names))]
    return sa.table(STAGE, sa.column(NUMBER, BigInteger), *fields, schema=STAGE_SCHEMA).alias("s")


def _within(staged: Staged, stage: Any, parameters: Parameters) -> ColumnElement[bool]:
    first, last = (sa.cast(parameters[bound], SqlType("bigint")) for bound in (staged.first, staged.last))
    return sa.and_(stage.c[NUMBER] >= first, stage.c[NUMBER] <= last)


def _field(plan: InsertPlan, staged: Staged, column: Column, stage: Any) -> ColumnElement[Any]:
    if column.name not in staged.names:
        return default_of(plan.resource, column) if plan.fills_missing else sa.cast(sa.null(), comparable_type(column))
    text = stage.c[field_name(staged.names.index(column.name))]
    if column.name in staged.nested:
        return _of_json(column, sa.cast(text, SqlType("json")))
    if (reader := reader_of(column)) is not None:
        return function(reader)(sa.func.to_json(text))
    if column.base_type in _TEXTS:
        return sa.cast(text, comparable_type(column))
    value = sa.func.nullif(text, sa.text("''")) if staged.empty_is_null else text
    if isinstance(column.type, CompositeType):  # exports write them as JSON; PostgreSQL's own form has parentheses
        is_object = sa.func.starts_with(sa.func.ltrim(text), sa.text("'{'"))
        return sa.case(
            (is_object, _of_json(column, sa.cast(value, SqlType("json")))),
            else_=sa.cast(value, comparable_type(column)),
        )
    return sa.cast(value, comparable_type(column))


def _of_json(column: Column, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A JSON value as `json_to_record` reads it: lists as arrays, objects as composites."""
    if column.base_type in ("json", "jsonb"):
        return sa.cast(value, comparable_type(column))
    record = sa.func.json_to_record(sa.func.json_build_object(sa.text("'v'"), value))
    read = record.table_valued(sa.column("v", input_type(column)), name="n").render_derived(with_types=True)
    return from_json(column, sa.select(read.c.v).scalar_subquery())


def _members(columns: Sequence[Column], stage: Any) -> Any:
    typed = [sa.column(column.name, input_type(column)) for column in columns]
    record = sa.func.json_to_record(sa.cast(stage.c[OBJECT], SqlType("json"))).table_valued(*typed, name="j")
    return record.render_derived(with_types=True)


def _member(plan: InsertPlan, column: Column, stage: Any, members: Any) -> ColumnElement[Any]:
    value = from_json(column, members.c[column.name])
    if not plan.fills_missing:
        return value
    is_there = sa.cast(stage.c[OBJECT], SqlType("json")).op("->")(quoted_text(column.name)).is_not(None)
    return sa.case((is_there, value), else_=default_of(plan.resource, column))
