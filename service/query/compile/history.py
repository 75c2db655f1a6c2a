"""History plans to statements: what the log has of tables, with who did it and the row before and after."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, Text
from sqlalchemy.sql.selectable import LateralFromClause

from service.catalog.resource import Resource
from service.catalog.sql_type import SqlType
from service.query.compile.columns import Columns, comparable_type
from service.query.compile.feed import Sight, constant, key_object, sight
from service.query.compile.logged import CHANGES, image, is_of, version_of
from service.query.compile.predicate import Conditions
from service.query.compile.projection import Projector
from service.query.compile.statement import Parameters, Statement, finish
from service.query.plan import FollowedTable, HistoryPlan

_BYTES_OF_KEY: ColumnElement[int] = sa.literal_column("200")


def compile_history(plan: HistoryPlan) -> Statement:
    """A row for each change: its number, which of the plan's tables (from 0), a JSON object of who did it and when,
    what was and is seen of the row (`Sight`), the keys and images before and after (JSON, or NULL where they may not be
    seen) and the columns that differ (JSON).
    """
    parameters = Parameters(plan)
    limit = sa.cast(parameters[plan.limit], SqlType("bigint"))
    parts = []
    for number, table in enumerate(plan.tables):
        changes = _changes(number, table, plan, parameters).subquery(f"h{number}")
        wanted, absent = constant(Sight.WANTED), constant(Sight.ABSENT)
        is_unknown = sa.and_(changes.c.was_seen == absent, changes.c.now_seen == absent)
        is_shown = sa.or_(changes.c.was_seen == wanted, changes.c.now_seen == wanted, is_unknown)
        parts.append(sa.select(changes).where(is_shown).order_by(changes.c.seq.desc()).limit(limit).subquery())
    page = sa.union_all(*(sa.select(part) for part in parts)).subquery("h")
    return finish(sa.select(page).order_by(page.c.seq.desc()).limit(limit))


def _changes(number: int, table: FollowedTable, plan: HistoryPlan, parameters: Parameters) -> Select[Any]:
    change = CHANGES.alias(f"c{number}")
    resource = table.read.resource
    was = image(resource, change.c.was, f"w{number}", version_of(change))
    now = image(resource, change.c.now, f"n{number}", version_of(change))
    projector = Projector(parameters)
    before = projector.record(projector.rows(table.read, was))
    after = projector.record(projector.rows(table.read, now))
    of_was, of_now = (Conditions(Columns(resource, row, parameters), parameters) for row in (was, now))
    was_seen = sight(change.c.was, of_was, table.was_visible, table.was_where)
    now_seen = sight(change.c.now, of_now, table.visible, table.where)
    hidden = constant(Sight.HIDDEN)
    shown_before = sa.case((was_seen > hidden, sa.func.row_to_json(before.table_valued())))
    shown_after = sa.case((now_seen > hidden, sa.func.row_to_json(after.table_valued())))
    source = change.join(was, sa.true()).join(now, sa.true()).join(before, sa.true()).join(after, sa.true())
    return (
        sa.select(
            change.c.seq,
            sa.literal_column(str(number)).label("table"),
            _facts(change).label("facts"),
            was_seen.label("was_seen"),
            now_seen.label("now_seen"),
            sa.case((was_seen > hidden, key_object(resource, was, change.c.was, parameters))).label("was_key"),
            sa.case((now_seen > hidden, key_object(resource, now, change.c.now, parameters))).label("now_key"),
            shown_before.label("before"),
            shown_after.label("after"),
            _differing(shown_before, shown_after, number).label("columns"),
        )
        .select_from(source)
        .where(*_asked(change, table, plan, parameters), *_of_trash(change, was, resource, plan, parameters))
    )


def _facts(change: FromClause) -> ColumnElement[Any]:
    members: list[ColumnElement[Any]] = []
    for name, value in (
        ("op", sa.cast(change.c.op, Text)),
        ("at", change.c.at),
        ("transaction", sa.cast(change.c.xid, Text)),
        ("actor", change.c.actor),
        ("request", change.c.request),
        ("source", change.c.source),
        ("db_user", change.c.db_user),
    ):
        members += [sa.literal_column(f"'{name}'", Text), value]
    return sa.func.json_build_object(*members)


def _differing(before: ColumnElement[Any], after: ColumnElement[Any], number: int) -> ColumnElement[Any]:
    """The names of the columns that an update changed, as a JSON array."""
    old = sa.func.json_each_text(before).table_valued("key", "value", name=f"o{number}")
    new = sa.func.json_each_text(after).table_valued("key", "value", name=f"m{number}")
    is_same = sa.and_(old.c.key == new.c.key, old.c.value.is_distinct_from(new.c.value))
    return sa.select(sa.func.json_agg(new.c.key)).select_from(old.join(new, is_same)).scalar_subquery()


def _asked(change: FromClause, table: FollowedTable, plan: HistoryPlan, parameters: Parameters) -> list[Any]:
    terms: list[Any] = [
        is_of(change, parameters[table.tracked]),
        change.c.seq < sa.cast(parameters[plan.before], SqlType("bigint")),
    ]
    if plan.key:
        text = _key_text(table.read.resource, plan, parameters)
        terms.append(sa.or_(_is_key(change.c.key, text), _is_key(change.c.old_key, text)))
    if plan.actor is not None:  # who wrote beside the service is known by their database user
        terms.append(sa.func.coalesce(change.c.actor, change.c.db_user) == parameters[plan.actor])
    if plan.request is not None:
        terms.append(change.c.request == parameters[plan.request])
    if plan.transaction is not None:
        terms.append(change.c.xid == sa.cast(parameters[plan.transaction], SqlType("xid8")))
    if plan.since is not None:
        terms.append(change.c.at >= sa.cast(parameters[plan.since], SqlType("timestamptz")))
    if plan.until is not None:
        terms.append(change.c.at < sa.cast(parameters[plan.until], SqlType("timestamptz")))
    if plan.operations is not None:
        terms.append(sa.cast(change.c.op, Text) == sa.any_(sa.cast(parameters[plan.operations], sa.ARRAY(Text))))
    if plan.numbers is not None:
        terms.append(change.c.seq == sa.any_(sa.cast(parameters[plan.numbers], sa.ARRAY(SqlType("bigint")))))
    return terms


def _key_text(resource: Resource, plan: HistoryPlan, parameters: Parameters) -> ColumnElement[str]:
    """A key as the log writes it: its index leads to the changes of a row."""
    columns = (resource.columns[name] for name in resource.key)
    texts = [
        sa.func.to_json(sa.cast(parameters[value], comparable_type(column))).op("#>>")(sa.literal_column("'{}'"))
        for column, value in zip(columns, plan.key, strict=True)
    ]
    return texts[0] if len(texts) == 1 else sa.cast(sa.func.row(*texts), Text)


def _is_key(logged: ColumnElement[str], key: ColumnElement[str]) -> ColumnElement[bool]:
    """By the beginning, which is indexed, and in whole."""
    return sa.and_(sa.func.left(logged, _BYTES_OF_KEY) == sa.func.left(key, _BYTES_OF_KEY), logged == key)


def _of_trash(
    change: FromClause, was: LateralFromClause, resource: Resource, plan: HistoryPlan, parameters: Parameters
) -> list[Any]:
    """Only where the row is not there, and was not deleted again later."""
    if not plan.is_trash:
        return []
    row = resource.table.alias("there")
    is_there = sa.exists(
        sa.select(sa.literal_column("1")).select_from(row).where(*(row.c[name] == was.c[name] for name in resource.key))
    )
    later = CHANGES.alias("later")
    is_older = sa.exists(
        sa.select(sa.literal_column("1"))
        .select_from(later)
        .where(
            later.c.tracked == change.c.tracked,
            later.c.seq > change.c.seq,
            _is_key(later.c.key, change.c.key),
            _is_deletion(later),
        )
    )
    return [
        _is_deletion(change),
        sa.not_(is_there),
        sa.not_(is_older),
    ]


def _is_deletion(change: FromClause) -> ColumnElement[bool]:
    """Whether a row went, and was logged."""
    is_of_kind = change.c.op.in_([sa.literal_column("'d'"), sa.literal_column("'t'")])
    return sa.and_(change.c.was.is_not(None), is_of_kind)
