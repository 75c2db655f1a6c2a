"""The rows of a write's body: those of its JSON, or those that were staged."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, Subquery, true

from service.catalog.resource import Column
from service.query.compile.columns import quoted_text
from service.query.compile.staged import staged_rows
from service.query.compile.statement import Parameters
from service.query.compile.values import default_of, from_json, input_type, named_for_default
from service.query.plan import Bind, InsertPlan, Staged, UpdatePlan


def body_rows(plan: InsertPlan | UpdatePlan, context: CTE, parameters: Parameters) -> Subquery:
    """The rows of the body, typed as the table's columns are, behind the caller's identity."""
    columns = [plan.resource.stored[name] for name in plan.columns]
    if isinstance(plan.body, Staged):
        assert isinstance(plan, InsertPlan)
        return staged_rows(plan, plan.body, columns, context, parameters)
    if not columns:
        return _of_defaults(plan, plan.body, context, parameters)
    typed = [sa.column(column.name, input_type(column)) for column in columns]
    if isinstance(plan, InsertPlan) and plan.fills_missing:
        return _filled(plan, plan.body, columns, typed, context, parameters)
    records = sa.func.json_to_recordset(parameters[plan.body]).table_valued(*typed, name="j")
    records = records.render_derived(with_types=True)
    values = (from_json(column, records.c[column.name]).label(column.name) for column in columns)
    return sa.select(*values).select_from(context.join(records, true())).subquery("b")


def _of_defaults(plan: InsertPlan | UpdatePlan, body: Bind, context: CTE, parameters: Parameters) -> Subquery:
    """As many rows as the body has, with one column named, since a list of columns must not be empty."""
    column = named_for_default(plan.resource)
    elements = sa.func.json_array_elements(parameters[body]).table_valued(sa.column("value", sa.JSON), name="e")
    source = context.join(elements.render_derived(), true())
    return sa.select(default_of(plan.resource, column).label(column.name)).select_from(source).subquery("b")


def _filled(
    plan: InsertPlan, body: Bind, columns: list[Column], typed: list[Any], context: CTE, parameters: Parameters
) -> Subquery:
    """The same, with the default of a column wherever an object does not name it."""
    elements = sa.func.json_array_elements(parameters[body]).table_valued(sa.column("value", sa.JSON), name="e")
    elements = elements.render_derived()
    record = sa.func.json_to_record(elements.c.value).table_valued(*typed, name="j")
    record = record.render_derived(with_types=True)
    values = []
    for column in columns:
        is_there = elements.c.value.op("->")(quoted_text(column.name)).is_not(None)
        value = sa.case((is_there, from_json(column, record.c[column.name])), else_=default_of(plan.resource, column))
        values.append(value.label(column.name))
    return sa.select(*values).select_from(context.join(elements, true()).join(record, true())).subquery("b")
