"""Whether a table is what its log leads to.

Every image that a change left is taken by a later change, or it stands. So of each image of a row, those left are as
many as those taken and those that stand; but for the one that was there before the log began, of which the log knows
only that it was taken, or nothing at all.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, Text

from service.catalog.sql_type import SqlType
from service.query.compile.columns import quoted_text
from service.query.compile.logged import CHANGES, image, is_of, tracked_of
from service.query.compile.past import hash_of, identity
from service.query.compile.statement import Parameters, Statement, finish
from service.query.plan import VerifyPlan

_BEFORE_THE_LOG = sa.literal_column("-1", sa.Integer)
_ZERO = sa.literal_column("0", sa.Integer)


def compile_verify(plan: VerifyPlan) -> Statement:
    """A row for each row of the table that its log does not lead to: its key as a JSON object, NULL where it has none,
    and how many images the log leaves that are nowhere, and how many stand that it does not know of.
    """
    parameters = Parameters(plan)
    known = sa.union_all(
        _logged(plan, parameters, "a", is_after=True), _logged(plan, parameters, "b", is_after=False), _standing(plan)
    ).subquery("k")
    ids = [column for column in known.c if column.key not in ("image", "net")]
    images = sa.select(*ids, sa.func.sum(known.c.net).label("net")).group_by(*ids, known.c.image).subquery("g")
    by = [images.c[one.key] for one in ids]
    missing = sa.func.sum(sa.func.greatest(images.c.net, _ZERO))
    unknown = sa.func.sum(sa.func.least(images.c.net, _ZERO))
    is_wrong = missing > _ZERO
    if plan.resource.key:  # one may have been there before; without a key, any number of the same
        is_wrong = sa.or_(is_wrong, unknown < _BEFORE_THE_LOG)
    members: list[ColumnElement[Any]] = []
    for name, value in zip(plan.resource.key, by, strict=False):
        members += [quoted_text(name), value]
    key = sa.func.json_build_object(*members) if members else sa.cast(sa.null(), sa.JSON)
    wrong = sa.select(key, missing, -unknown).group_by(*by).having(is_wrong).order_by(*by)
    return finish(wrong.limit(sa.cast(parameters[plan.limit], SqlType("bigint"))))


def compile_log_columns(plan: VerifyPlan) -> Statement:
    """One row: how many changes the log has, how many of them without a row, and for each of the plan's columns how
    many have an image that lacks it.
    """
    parameters = Parameters(plan)
    change = CHANGES.alias("c")
    logged = sa.func.coalesce(change.c.now, change.c.was)
    lacking = [
        sa.func.count().filter(sa.or_(_lacks(change.c.now, name), _lacks(change.c.was, name))) for name in plan.columns
    ]
    query = sa.select(sa.func.count(), sa.func.count().filter(logged.is_(None)), *lacking).select_from(change)
    return finish(query.where(*_within(plan, change, parameters)))


def _lacks(logged: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return sa.and_(logged.is_not(None), logged.op("->")(quoted_text(name)).is_(None))


def _within(plan: VerifyPlan, change: FromClause, parameters: Parameters) -> list[ColumnElement[bool]]:
    since = sa.cast(parameters[plan.since], SqlType("timestamptz"))
    return [is_of(change, parameters[plan.tracked]), change.c.at >= since]


def _logged(plan: VerifyPlan, parameters: Parameters, name: str, *, is_after: bool) -> Select[Any]:
    change = CHANGES.alias(f"{name}_c")
    logged = change.c.now if is_after else change.c.was
    row = image(plan.resource, logged, name, change.c.seq)
    net = sa.literal_column("1" if is_after else "-1", sa.Integer)
    return (
        sa.select(*_told_apart(plan, row, change.c.tracked), net.label("net"))
        .select_from(change.join(row, sa.true()))
        .where(logged.is_not(None), *_within(plan, change, parameters))
    )


def _standing(plan: VerifyPlan) -> Select[Any]:
    row = plan.resource.table.alias("s")
    return sa.select(*_told_apart(plan, row, tracked_of(row)), sa.literal_column("-1", sa.Integer).label("net"))


def _told_apart(plan: VerifyPlan, row: FromClause, tracked: ColumnElement[int]) -> list[ColumnElement[Any]]:
    held = hash_of(plan.resource, plan.columns, row)
    if plan.resource.key:
        return [*identity(plan.resource, row, tracked if plan.is_family else None), held.label("image")]
    return [held.label("i0"), sa.literal_column("''", Text).label("image")]
