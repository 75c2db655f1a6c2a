"""Calls of functions to statements.

with called as materialized (select f.* from json_to_record($1) as j(a integer), schema.function(a => j.a) as f(…))
select … from called
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, ColumnElement, FromClause, true

from service.catalog.function import Parameter
from service.catalog.handler import Handler
from service.catalog.sql_type import SqlType
from service.query.compile.columns import function, quoted
from service.query.compile.projection import EMPTY_ARRAY, Projector
from service.query.compile.read import (
    SAID,
    Rendering,
    as_array,
    as_csv,
    as_features,
    as_stripped_array,
    page_of,
    rendered_by,
    row_type_of,
)
from service.query.compile.statement import Parameters, Statement, finish
from service.query.plan import Bind, CallPlan

_MOST_HANDLERS = 256
_VALUE = "value"
_RECORD = "record"


def compile_call(plan: CallPlan) -> Statement:
    """One row: the body as JSON, how many rows are in it, the sort values of the last one, and the count or NULL."""
    return _compile(plan, as_array)


def compile_call_stripped(plan: CallPlan) -> Statement:
    return _compile(plan, as_stripped_array)


def compile_call_csv(plan: CallPlan) -> Statement:
    return _compile(plan, as_csv)


def compile_call_features(plan: CallPlan) -> Statement:
    return _compile(plan, as_features)


@lru_cache(_MOST_HANDLERS)
def compile_call_handled(handler: Handler) -> Callable[[CallPlan], Statement]:
    def compile_plan(plan: CallPlan) -> Statement:
        return _compile(plan, rendered_by(handler), row_type_of(handler))

    return compile_plan


def _compile(plan: CallPlan, render: Rendering, row_type: SqlType | None = None) -> Statement:
    parameters = Parameters(plan)
    called = _called(plan, parameters)
    if plan.answer is not None:
        page = page_of(plan.answer, Projector(parameters), called.alias("t"), render, row_type)
        return finish(page.add_columns(*SAID))
    rows = sa.select(called.c[_VALUE])
    if plan.limit is not None:
        rows = rows.limit(_bigint(plan.limit, parameters))
    if plan.offset is not None:
        rows = rows.offset(_bigint(plan.offset, parameters))
    total = sa.select(sa.func.count()).select_from(called).scalar_subquery()
    if render is as_csv:
        lines = sa.select(rows.subquery("v").table_valued().label("r")).subquery("p")
        return finish(sa.select(as_csv(lines), sa.func.count(), sa.null(), total, *SAID))
    values = rows.subquery("p")
    array = sa.func.coalesce(sa.func.json_agg(values.c[_VALUE]), EMPTY_ARRAY)
    return finish(sa.select(array, sa.func.count(), sa.null(), total, *SAID).select_from(values))


def _bigint(bind: Bind, parameters: Parameters) -> ColumnElement[int]:
    return sa.cast(parameters[bind], SqlType("bigint"))


def _called(plan: CallPlan, parameters: Parameters) -> CTE:
    """What the function returns, as rows. Called once, however often it is looked at."""
    given = _given(plan, parameters)
    made = function((plan.function.schema, plan.function.sql_name))(*_arguments(plan, given, parameters))
    if plan.function.result_type == _RECORD and plan.function.result is None:  # its columns are known once it is called
        return _selected(made, given)
    names = [_VALUE] if plan.function.result is None else list(plan.function.result.stored)
    rows = made.table_valued(*(sa.column(name) for name in names), name="f").render_derived()
    if given is None:
        return sa.select(*(rows.c[name] for name in names)).select_from(rows).cte("called")
    lateral = rows.lateral()  # its own columns are selected: those of `rows` would call the function once more
    return sa.select(*(lateral.c[name] for name in names)).select_from(given.join(lateral, true())).cte("called")


def _selected(made: ColumnElement[Any], given: FromClause | None) -> CTE:
    rows = sa.select(made.label(_VALUE))
    return (rows if given is None else rows.select_from(given)).cte("called")


def _given(plan: CallPlan, parameters: Parameters) -> FromClause | None:
    """The arguments in a JSON body, each read as its parameter's type."""
    if plan.body is None or plan.function.takes_body or not plan.given:
        return None
    typed = [sa.column(one.name, SqlType(one.sql_type)) for one in _named(plan)]
    body = sa.cast(parameters[plan.body], SqlType("json"))
    first = body.op("->")(sa.literal_column("0")) if plan.is_array else body
    record = sa.func.json_to_record(first).table_valued(*typed, name="j")
    return record.render_derived(with_types=True)


def _named(plan: CallPlan) -> list[Parameter]:
    return [one for one in plan.function.parameters if one.name in plan.given]


def _arguments(plan: CallPlan, given: FromClause | None, parameters: Parameters) -> list[ColumnElement[Any]]:
    if plan.function.takes_body and plan.body is not None:
        return [sa.cast(parameters[plan.body], SqlType(plan.function.parameters[0].sql_type))]
    if given is not None:
        return [_argument(one, given.c[one.name]) for one in _named(plan)]
    texts: dict[str, Bind] = dict(plan.arguments)
    return [
        _argument(one, sa.cast(parameters[texts[one.name]], SqlType(one.sql_type)))
        for one in plan.function.parameters
        if one.name in texts
    ]


def _argument(parameter: Parameter, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """`name => value` (PostgreSQL manual, chapter 4.3)."""
    variadic = "VARIADIC " if parameter.is_variadic else ""
    return sa.literal_column(variadic + quoted(parameter.name)).op("=>")(value)
