"""Write plans to statements: one each, with the caller's identity set inside.

    with ctx as (select set_config('rowhouse.actor', $1, true), …),
         written as (insert into … select … from ctx cross join json_to_recordset($2) … returning *)
    select … from written

`ctx` is volatile, so PostgreSQL runs it, once, before the first row is written; triggers find the caller in
`current_setting('rowhouse.actor')`. The setting ends with the statement's transaction.
"""

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import CTE, Alias, ColumnElement, FromClause, Subquery, Text, true
from sqlalchemy.dialects import postgresql

from service.catalog.resource import Resource
from service.core.states import MAX_AFFECTED, ROW_POLICY
from service.query.compile.predicate import Conditions, SqlType, or_refuse
from service.query.compile.projection import EMPTY_ARRAY, Projector
from service.query.compile.statement import Parameters, Statement, finish
from service.query.plan import (
    Bind,
    DeletePlan,
    InsertPlan,
    OnConflict,
    Predicate,
    ReadPlan,
    UpdatePlan,
    WritePlan,
    Written,
)


def compile_write(plan: WritePlan) -> Statement:
    """One row: what was written as a JSON array, how many, and of a single row its version and key (JSON array).

    The last column says whether a row is new.
    """
    parameters = Parameters(plan)
    written = _written(plan, parameters)
    conditions = Conditions(plan.resource, written, parameters)
    query = sa.select(
        _answer(plan.written.answer, written, parameters),
        _affected(plan.written, parameters),
        sa.func.min(sa.cast(written.c.xmin, Text)),
        sa.func.json_build_array(*(sa.func.min(sa.cast(written.c[name], Text)) for name in plan.resource.key)),
        sa.func.bool_or(written.c.is_new),
    ).select_from(written)
    if plan.written.check is not None:
        query = query.where(or_refuse(conditions.where(plan.written.check), ROW_POLICY, "row policy"))
    return finish(query)


def _written(plan: WritePlan, parameters: Parameters) -> CTE:
    context = _context(plan.written, parameters)
    match plan:
        case InsertPlan():
            return _insert(plan, context, parameters)
        case UpdatePlan():
            return _update(plan, context, parameters)
        case DeletePlan():
            return _delete(plan, context, parameters)


def _context(written: Written, parameters: Parameters) -> CTE:
    def setting(name: str, value: Bind) -> ColumnElement[Any]:
        return sa.func.set_config(sa.literal_column(f"'rowhouse.{name}'"), parameters[value], true())

    actor = setting("actor", written.actor).label("actor")
    return sa.select(actor, setting("request", written.request).label("request")).cte("ctx")


def _body(resource: Resource, columns: tuple[str, ...], body: Bind, context: CTE, parameters: Parameters) -> Subquery:
    """The rows of the body, typed as the table's columns are, behind the caller's identity."""
    typed = [sa.column(name, SqlType(resource.columns[name].sql_type)) for name in columns]
    records = sa.func.json_to_recordset(parameters[body]).table_valued(*typed, name="j").render_derived(with_types=True)
    return sa.select(*(records.c[name] for name in columns)).select_from(context.join(records, true())).subquery("b")


def _insert(plan: InsertPlan, context: CTE, parameters: Parameters) -> CTE:
    table = plan.resource.table
    body = _body(plan.resource, plan.columns, plan.body, context, parameters)
    insert = postgresql.insert(table).from_select(
        list(plan.columns), sa.select(*(body.c[name] for name in plan.columns)), include_defaults=False
    )
    if plan.on_conflict is OnConflict.REPLACE:
        replaced = [column.name for column in plan.resource.columns.values() if column.is_writable]
        insert = insert.on_conflict_do_update(
            index_elements=list(plan.resource.key),
            set_={name: insert.excluded[name] for name in replaced},
            where=sa.and_(sa.true(), *_where(plan.resource, table, plan.replaceable, parameters)),
        )
    elif plan.on_conflict is OnConflict.IGNORE:
        insert = insert.on_conflict_do_nothing(index_elements=list(plan.resource.key))
    return insert.returning(*_returned(table), sa.literal_column("xmax = 0").label("is_new")).cte("written")


def _update(plan: UpdatePlan, context: CTE, parameters: Parameters) -> CTE:
    table = _target(plan.resource)
    body = _body(plan.resource, plan.columns, plan.body, context, parameters)
    values: dict[str, Any] = {name: body.c[name] for name in plan.columns}
    values |= {name: sa.text("default") for name in plan.defaults}
    update = sa.update(table).values(values).where(*_where(plan.resource, table, plan.where, parameters))
    return update.returning(*_returned(table), sa.false().label("is_new")).cte("written")


def _delete(plan: DeletePlan, context: CTE, parameters: Parameters) -> CTE:
    table = _target(plan.resource)
    delete = sa.delete(table).where(
        sa.exists(sa.select(context.c.actor)), *_where(plan.resource, table, plan.where, parameters)
    )
    return delete.returning(*_returned(table), sa.false().label("is_new")).cte("written")


def _target(resource: Resource) -> Alias:
    return cast("Alias", resource.table.alias("t"))


def _returned(table: FromClause) -> list[ColumnElement[Any]]:
    """All columns, and the version: inside a statement of its own transaction, `xmin` is the row's final one."""
    return [*table.c, sa.literal_column("xmin").label("xmin")]


def _where(
    resource: Resource, table: FromClause, predicate: Predicate | None, parameters: Parameters
) -> list[ColumnElement[bool]]:
    return [] if predicate is None else [Conditions(resource, table, parameters).where(predicate)]


def _answer(answer: ReadPlan | None, written: CTE, parameters: Parameters) -> ColumnElement[Any]:
    if answer is None:
        return sa.null()
    projector = Projector(parameters)
    rows = projector.rows(answer, written.alias("w"))
    page = projector.query(answer, rows, rows.record.label("r")).subquery("p")
    return sa.select(sa.func.coalesce(sa.func.json_agg(page.c.r), EMPTY_ARRAY)).scalar_subquery()


def _affected(written: Written, parameters: Parameters) -> ColumnElement[int]:
    if written.max_affected is None:
        return sa.func.count()
    within = sa.func.count() <= sa.cast(parameters[written.max_affected], SqlType("bigint"))
    allowed = or_refuse(within, MAX_AFFECTED, "The write would touch more rows than max-affected allows.")
    return sa.case((allowed, sa.func.count()))
