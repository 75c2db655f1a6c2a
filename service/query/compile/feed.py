"""Feed plans to statements: the changes of the log, with the rows as they were and are.

    from rowhouse.changes c
    cross join lateral (select … from json_populate_record(null::public.flights, c.was)) w
    cross join lateral (select … from json_populate_record(null::public.flights, c.now)) n
    cross join lateral (select n.id, n.carrier) r

The log holds JSON, so a change is read back by the columns that the table has now.
"""

from enum import IntEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, Text
from sqlalchemy.sql.selectable import LateralFromClause

from service.catalog.resource import Resource
from service.catalog.sql_type import SqlType
from service.query.compile.columns import Columns, quoted_text
from service.query.compile.logged import CHANGES, FIRST_SEQ, image, is_of, is_shown, snapshot, version_of
from service.query.compile.predicate import Conditions
from service.query.compile.projection import Projector
from service.query.compile.statement import Parameters, Statement, finish
from service.query.plan import FeedPlan, FollowedTable, Predicate


class Sight(IntEnum):
    """What the caller sees of a row, before or after a change."""

    ABSENT = 0  # there is no such row
    HIDDEN = 1
    UNWANTED = 2  # it may be seen, and does not meet the filter
    WANTED = 3


def compile_feed(plan: FeedPlan) -> Statement:
    """A row for each change: its number, which of the plan's tables (from 0), when it was made (ISO 8601), its version
    as text, what was and is seen of the row (`Sight`), the key before and after (JSON objects, or NULL), and the row
    (JSON, or NULL where it is not shown).
    """
    parameters = Parameters(plan)
    projector = Projector(parameters)
    limit = _number(parameters[plan.limit])
    parts = []
    for number, table in enumerate(plan.tables):
        changes = _changes(number, table, plan, projector, parameters).subquery(f"f{number}")
        wanted, absent = constant(Sight.WANTED), constant(Sight.ABSENT)
        is_seen = sa.or_(changes.c.was_seen == wanted, changes.c.now_seen == wanted)
        # Neither was nor is: a TRUNCATE of rows that could not be logged.
        is_unknown = sa.and_(changes.c.was_seen == absent, changes.c.now_seen == absent)
        query = sa.select(changes).where(sa.or_(is_seen, is_unknown))
        # Each ordered and cut by itself: so no more of the log is read than a page needs.
        parts.append(query.order_by(changes.c.seq).limit(limit))
    if len(parts) == 1:
        return finish(parts[0])
    page = sa.union_all(*(sa.select(part.subquery()) for part in parts)).subquery("f")
    return finish(sa.select(page).order_by(page.c.seq).limit(limit))


def _changes(
    number: int, table: FollowedTable, plan: FeedPlan, projector: Projector, parameters: Parameters
) -> Select[Any]:
    change = CHANGES.alias(f"c{number}")
    resource = table.read.resource
    was = image(resource, change.c.was, f"w{number}", version_of(change))
    now = image(resource, change.c.now, f"n{number}", version_of(change))
    record = projector.record(projector.rows(table.read, now))
    was_seen = sight(
        change.c.was, Conditions(Columns(resource, was, parameters), parameters), table.was_visible, table.was_where
    )
    now_seen = sight(
        change.c.now, Conditions(Columns(resource, now, parameters), parameters), table.visible, table.where
    )
    source = change.join(was, sa.true()).join(now, sa.true()).join(record, sa.true())
    return (
        sa.select(
            change.c.seq,
            constant(number).label("table"),
            sa.func.to_json(change.c.at).op("#>>")(sa.literal_column("'{}'")).label("at"),
            sa.cast(version_of(change), Text).label("version"),
            was_seen.label("was_seen"),
            now_seen.label("now_seen"),
            key_object(resource, was, change.c.was, parameters).label("was_key"),
            key_object(resource, now, change.c.now, parameters).label("now_key"),
            sa.case((now_seen == constant(Sight.WANTED), sa.func.row_to_json(record.table_valued()))).label("row"),
        )
        .select_from(source)
        .where(*_within(change, table, plan, parameters), *of_what_is_shown(resource, change, was_seen, now_seen))
    )


def of_what_is_shown(
    resource: Resource, change: FromClause, was_seen: ColumnElement[int], now_seen: ColumnElement[int]
) -> list[ColumnElement[bool]]:
    """An update of hidden columns alone is none, unless the row comes into sight by it, or goes."""
    return [sa.or_(was_seen != now_seen, is_shown(resource, change))] if resource.hides_columns else []


def sight(
    image: ColumnElement[Any], conditions: Conditions, visible: Predicate | None, where: Predicate | None
) -> ColumnElement[int]:
    """A condition is asked of rows that may be seen alone: an error of it would tell of others."""
    steps: list[tuple[Any, Any]] = [(image.is_(None), constant(Sight.ABSENT))]
    if visible is not None:
        steps.append((sa.not_(sa.func.coalesce(conditions.where(visible), sa.false())), constant(Sight.HIDDEN)))
    if where is not None:
        steps.append((sa.not_(sa.func.coalesce(conditions.where(where), sa.false())), constant(Sight.UNWANTED)))
    return sa.case(*steps, else_=constant(Sight.WANTED))


def key_object(
    resource: Resource, row: LateralFromClause, image: ColumnElement[Any], parameters: Parameters
) -> ColumnElement[Any]:
    """The key as a JSON object; the whole row where the table has none."""
    columns = Columns(resource, row, parameters)
    members: list[ColumnElement[Any]] = []
    for name in resource.key or resource.columns:
        members += [quoted_text(name), columns.rendered(resource.columns[name], row.c[name])]
    return sa.case((image.is_not(None), sa.func.json_build_object(*members)))


def _within(change: Any, table: FollowedTable, plan: FeedPlan, parameters: Parameters) -> list[ColumnElement[bool]]:
    """Of this table, in this life of the cluster, unseen by one snapshot and seen by the other (PostgreSQL manual,
    functions on snapshots).
    """
    seen, until = (snapshot(parameters[bind]) for bind in (plan.seen, plan.until))
    return [
        # A page is found by its numbers alone. `tracked` as it is, and `xid >= …`, an index could answer as well: while
        # statistics lag behind a load, all changes of the table would be read and sorted for each page.
        is_of(change, parameters[table.tracked], is_way_in=False),
        change.c.seq >= FIRST_SEQ,
        change.c.seq > _number(parameters[plan.after]),
        change.c.seq <= _number(parameters[plan.last]),
        sa.not_(sa.func.pg_visible_in_snapshot(change.c.xid, seen)),
        sa.func.pg_visible_in_snapshot(change.c.xid, until),
    ]


def constant(value: int) -> ColumnElement[int]:
    return sa.literal_column(str(int(value)))


def _number(text: ColumnElement[Any]) -> ColumnElement[int]:
    return sa.cast(text, SqlType("bigint"))
