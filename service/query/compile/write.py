"""Write plans to statements: one each, with the caller's identity set inside.

    with ctx as (select set_config('rowhouse.actor', $1, true), …),
         written as (insert into … select … from ctx cross join json_to_recordset($2) … returning *)
    select … from written

`ctx` is volatile, so PostgreSQL runs it, once, before the first row is written; triggers find the caller in
`current_setting('rowhouse.actor')`. The setting ends with the statement's transaction.
"""

from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import CTE, Alias, ColumnElement, FromClause, Select, Text, true
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from service.catalog.resource import DELETED_AT, Resource
from service.catalog.sql_type import SqlType
from service.core.states import FOREIGN_KEY, MAX_AFFECTED, ROW_POLICY
from service.query.compile.body import body_rows
from service.query.compile.columns import Columns, qualified, quoted
from service.query.compile.predicate import Conditions, or_refuse
from service.query.compile.projection import Projector
from service.query.compile.read import SAID, Rendering, as_array, as_csv, as_features, as_stripped_array
from service.query.compile.statement import IS_NEW_LABEL, VERSION_LABEL, Parameters, Statement, finish
from service.query.plan import (
    Bind,
    DeletePlan,
    InsertPlan,
    OnConflict,
    Predicate,
    ReadPlan,
    Reference,
    UpdatePlan,
    WritePlan,
    Written,
)
from service.query.walk import column_names


def compile_write(plan: WritePlan) -> Statement:
    """One row: what was written as a JSON array, how many, and of a single row its version and key (JSON array).

    The next column says whether a row is new. Where triggers run, the status and headers that they have set follow.
    """
    return _compile(plan, as_array)


def compile_write_stripped(plan: WritePlan) -> Statement:
    """The same, without the members that are null."""
    return _compile(plan, as_stripped_array)


def compile_write_csv(plan: WritePlan) -> Statement:
    """The same, with lines in place of the array."""
    return _compile(plan, as_csv)


def compile_write_features(plan: WritePlan) -> Statement:
    """The same, with GeoJSON in place of the array."""
    return _compile(plan, as_features)


def compile_write_counted(plan: WritePlan) -> Statement:
    """One row: how many rows were written, and how many of them are new."""
    parameters = Parameters(plan)
    written = _written(plan, parameters, _looked_at(plan))
    is_new = sa.func.count().filter(written.c[IS_NEW_LABEL])
    counts: list[ColumnElement[Any]] = [_affected(plan.written, parameters), is_new]
    query = sa.select(*counts).select_from(written)
    return finish(_checked(query, plan, written, parameters))


def _looked_at(plan: WritePlan) -> tuple[str, ...]:
    """The columns of what was written that checks look at: of many rows, the others are not worth keeping."""
    names = column_names(plan.written.check)
    names.update(here for one in plan.written.refers_to for _, here in one.pairs)
    if isinstance(plan, UpdatePlan | DeletePlan):
        names.update(here for one in plan.unreferenced_by for _, here in one.pairs)
    if plan.resource.hides_deleted:
        names.add(DELETED_AT)
    known = tuple(plan.resource.stored)
    return known if names.difference(known) else tuple(name for name in known if name in names)


def _compile(plan: WritePlan, render: Rendering) -> Statement:
    parameters = Parameters(plan)
    written = _written(plan, parameters, None)
    conditions = Conditions(Columns(plan.resource, written, parameters), parameters)
    query = sa.select(
        _answer(plan.written.answer, written, parameters, render),
        _affected(plan.written, parameters),
        sa.func.min(conditions.columns.version()),
        sa.func.json_build_array(*(sa.func.min(sa.cast(written.c[name], Text)) for name in plan.resource.key)),
        sa.func.bool_or(written.c[IS_NEW_LABEL]),
    ).select_from(written)
    query = _checked(query, plan, written, parameters)
    return finish(query.add_columns(*SAID) if plan.resource.abilities.runs_code else query)


def _checked(query: Select[Any], plan: WritePlan, written: CTE, parameters: Parameters) -> Select[Any]:
    """The query, ended where what was written must not be kept."""
    if isinstance(plan, UpdatePlan | DeletePlan) and plan.unreferenced_by:
        is_free = sa.and_(*(sa.not_(_refers(one, written, plan)) for one in plan.unreferenced_by))
        query = query.where(or_refuse(is_free, FOREIGN_KEY, "Other rows refer to it."))
    if plan.written.refers_to:
        is_shown = sa.and_(*(sa.not_(_refers_to_deleted(one, written, plan)) for one in plan.written.refers_to))
        query = query.where(or_refuse(is_shown, FOREIGN_KEY, "It refers to a row that is deleted."))
    if plan.written.check is not None:
        conditions = Conditions(Columns(plan.resource, written, parameters), parameters)
        query = query.where(or_refuse(conditions.where(plan.written.check), ROW_POLICY, "row policy"))
    return query


def _written(plan: WritePlan, parameters: Parameters, returned: Sequence[str] | None) -> CTE:
    context = _context(plan.written, parameters)
    match plan:
        case InsertPlan():
            return _insert(plan, context, parameters, returned)
        case UpdatePlan():
            return _update(plan, context, parameters, returned)
        case DeletePlan():
            return _delete(plan, context, parameters, returned)


def _refers(reference: Reference, written: CTE, plan: UpdatePlan | DeletePlan) -> ColumnElement[bool]:
    """Whether a row refers to what was written; to what is hidden now, a row that is not hidden itself."""
    rows, resource = reference.resource.table.alias("referrer"), reference.resource
    conditions: list[ColumnElement[bool]] = [rows.c[there] == written.c[here] for there, here in reference.pairs]
    if isinstance(plan, UpdatePlan):
        conditions.append(written.c[DELETED_AT].is_not(None))
        if resource.hides_deleted:
            conditions.append(rows.c[DELETED_AT].is_(None))
    return _exists(rows, conditions, written)


def _refers_to_deleted(reference: Reference, written: CTE, plan: WritePlan) -> ColumnElement[bool]:
    """Whether what was written, and is not hidden itself, refers to a row that is."""
    rows = reference.resource.table.alias("referred")
    conditions: list[ColumnElement[bool]] = [rows.c[there] == written.c[here] for there, here in reference.pairs]
    conditions.append(rows.c[DELETED_AT].is_not(None))
    if plan.resource.hides_deleted:
        conditions.append(written.c[DELETED_AT].is_(None))
    return _exists(rows, conditions, written)


def _exists(rows: FromClause, conditions: Sequence[ColumnElement[bool]], written: CTE) -> ColumnElement[bool]:
    return sa.exists(sa.select(sa.literal_column("1")).select_from(rows).where(*conditions).correlate(written))


def _context(written: Written, parameters: Parameters) -> CTE:
    def setting(name: str, value: Bind) -> ColumnElement[Any]:
        return sa.func.set_config(sa.literal_column(f"'rowhouse.{name}'"), parameters[value], true())

    actor = setting("actor", written.actor).label("actor")
    return sa.select(actor, setting("request", written.request).label("request")).cte("ctx")


class _Overriding(Select[Any]):
    """What is inserted, numbers of identities included (PostgreSQL manual, INSERT)."""

    inherit_cache = False


@compiles(_Overriding)
def _compile_overriding(element: _Overriding, compiler: SQLCompiler, **options: Any) -> str:
    rows: str = compiler.visit_select(element, **options)  # type: ignore[no-untyped-call]
    return f"overriding system value {rows}"


def _insert(plan: InsertPlan, context: CTE, parameters: Parameters, returned: Sequence[str] | None) -> CTE:
    table = plan.resource.table
    body = body_rows(plan, context, parameters)
    names = [column.name for column in body.c]
    rows: Select[Any] = (_Overriding if plan.restores else Select)(*(body.c[name] for name in names))
    insert = postgresql.insert(table).from_select(names, rows, include_defaults=False)
    conflict = plan.conflict or plan.resource.key
    replaced = _replaced(plan)
    is_new: ColumnElement[bool] = sa.true()
    if plan.on_conflict is OnConflict.REPLACE and conflict and replaced:
        insert = insert.on_conflict_do_update(
            index_elements=list(conflict),
            set_={name: insert.excluded[name] for name in replaced},
            where=sa.and_(sa.true(), *_where(plan.resource, table, plan.replaceable, parameters)),
        )
        is_new = _was_missing(plan.resource, conflict)
    elif plan.on_conflict is not OnConflict.FAIL and conflict:
        insert = insert.on_conflict_do_nothing(index_elements=list(conflict))
    return insert.returning(*_returned(table, returned), is_new.label(IS_NEW_LABEL)).cte("written")


def _was_missing(resource: Resource, conflict: Sequence[str]) -> ColumnElement[bool]:
    """Whether a row that is returned is new. Where rows tell it not themselves, the table as it was before is asked."""
    table = resource.table
    if resource.abilities.has_version and not resource.abilities.is_partitioned:
        return sa.literal_column("xmax = 0")
    before, now = table.alias("before"), qualified(table.schema, table.name)
    same = (before.c[name] == sa.literal_column(f"{now}.{quoted(name)}") for name in conflict)
    return sa.not_(sa.exists(sa.select(sa.literal_column("1")).select_from(before).where(*same)))


def _replaced(plan: InsertPlan) -> list[str]:
    """What a row that is there takes from the new one."""
    if not plan.resets_others:
        return list(plan.columns)
    return [column.name for column in plan.resource.stored.values() if column.is_writable]


def _update(plan: UpdatePlan, context: CTE, parameters: Parameters, returned: Sequence[str] | None) -> CTE:
    table = _target(plan.resource)
    body = body_rows(plan, context, parameters)
    key = plan.resource.key if plan.is_by_key else ()
    values: dict[str, Any] = {name: body.c[name] for name in plan.columns if name not in key}
    values |= {name: sa.text("default") for name in plan.defaults}
    same_row = (table.c[name] == body.c[name] for name in key)
    update = sa.update(table).values(values).where(*same_row, *_where(plan.resource, table, plan.where, parameters))
    return update.returning(*_returned(table, returned), sa.false().label(IS_NEW_LABEL)).cte("written")


def _delete(plan: DeletePlan, context: CTE, parameters: Parameters, returned: Sequence[str] | None) -> CTE:
    table = _target(plan.resource)
    delete = sa.delete(table).where(
        sa.exists(sa.select(context.c.actor)), *_where(plan.resource, table, plan.where, parameters)
    )
    return delete.returning(*_returned(table, returned), sa.false().label(IS_NEW_LABEL)).cte("written")


def _target(resource: Resource) -> Alias:
    return cast("Alias", resource.table.alias("t"))


def _returned(table: FromClause, names: Sequence[str] | None) -> list[ColumnElement[Any]]:
    """These columns; or all of them, and the version that the rows now have: the number of the running transaction.

    It is that in any table; `xmin` itself cannot be read of rows that were routed to a partition.
    """
    if names is not None:
        return [table.c[name] for name in names]
    return [*table.c, sa.literal_column("pg_current_xact_id()::xid").label(VERSION_LABEL)]


def _where(
    resource: Resource, table: FromClause, predicate: Predicate | None, parameters: Parameters
) -> list[ColumnElement[bool]]:
    return [] if predicate is None else [Conditions(Columns(resource, table, parameters), parameters).where(predicate)]


def _answer(answer: ReadPlan | None, written: CTE, parameters: Parameters, render: Rendering) -> ColumnElement[Any]:
    if answer is None:
        return sa.null()
    projector = Projector(parameters)
    rows = projector.rows(answer, written.alias("w"))
    return sa.select(render(projector.records(answer, rows).subquery("p"))).scalar_subquery()


def _affected(written: Written, parameters: Parameters) -> ColumnElement[int]:
    if written.max_affected is None:
        return sa.func.count()
    within = sa.func.count() <= sa.cast(parameters[written.max_affected], SqlType("bigint"))
    allowed = or_refuse(within, MAX_AFFECTED, "The query affects {} rows", sa.func.count())
    return sa.case((allowed, sa.func.count()))
