"""History plans to statements: what the log has of tables, with who did it and the row before and after."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, Text
from sqlalchemy.sql.selectable import LateralFromClause

from service.catalog.sql_type import SqlType
from service.query.compile.feed import Sight, constant, of_what_is_shown
from service.query.compile.logged import CHANGES, is_key, is_of, is_of_key, key_text, tracked_of
from service.query.compile.side import Side
from service.query.compile.statement import Parameters, Statement, finish
from service.query.plan import FollowedTable, HistoryPlan

# Changes of several tables are looked for among so many of the log at once.
_REACH = 200_000


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


def compile_window(plan: HistoryPlan) -> Statement:
    """One row: the lowest number of the latest `limit` changes that may be asked for, before any row is looked at, or
    down to which they were looked for (NULL where the log is empty); and whether there may be more below.

    Of several tables it goes through the log by its numbers, once, and so far at most: no index has the changes of some
    tables in order, and others may have most of the log.
    """
    parameters = Parameters(plan)
    limit = sa.cast(parameters[plan.limit], SqlType("bigint"))
    change, below = CHANGES.alias("c"), CHANGES.alias("b")
    numbers = sa.select(sa.func.min(below.c.seq).label("first"), sa.func.max(below.c.seq).label("last"))
    ends = numbers.where(below.c.seq < sa.cast(parameters[plan.before], SqlType("bigint"))).cte("ends")
    first, last = (sa.select(end).scalar_subquery() for end in (ends.c.first, ends.c.last))
    is_one = len(plan.tables) == 1
    floor = first if is_one else sa.func.greatest(first, last - constant(_REACH))
    of_tables = sa.or_(*(is_of(change, parameters[table.tracked], is_way_in=is_one) for table in plan.tables))
    asked = (of_tables, change.c.seq >= floor, *_asked(change, plan.tables[0], plan, parameters))
    latest = sa.select(change.c.seq).where(*asked).order_by(change.c.seq.desc()).limit(limit).subquery("w")
    is_full = sa.func.count() == limit
    down_to = sa.case((is_full, sa.func.min(latest.c.seq)), else_=floor)
    return finish(sa.select(down_to, sa.or_(is_full, floor > first)).select_from(latest))


def compile_below(plan: HistoryPlan) -> Statement:
    """One row: the highest number of a change of the tables that the plan's request or transaction made, looked up by
    that, whatever else the log has; NULL where there is none.
    """
    parameters = Parameters(plan)
    change = CHANGES.alias("c")
    is_below = change.c.seq < sa.cast(parameters[plan.before], SqlType("bigint"))
    made = sa.select(change.c.seq, change.c.tracked).where(is_below, *_made_by(change, plan, parameters))
    # Else the numbers' index would be gone through from its end.
    fenced = made.offset(constant(0)).subquery("m")
    of_tables = sa.or_(*(is_of(fenced, parameters[table.tracked]) for table in plan.tables))
    return finish(sa.select(sa.func.max(fenced.c.seq)).where(of_tables))


def _changes(number: int, table: FollowedTable, plan: HistoryPlan, parameters: Parameters) -> Select[Any]:
    change = _latest(number, table, plan, parameters)
    told_by = table.read.resource.key if plan.is_trash else ()
    was = Side(table, change, f"w{number}", parameters, is_after=False, also=told_by)
    now = Side(table, change, f"n{number}", parameters, is_after=True)
    hidden = constant(Sight.HIDDEN)
    shown_before, shown_after = (sa.case((side.seen > hidden, side.shown)) for side in (was, now))
    source = change.join(was.source, sa.true()).join(now.source, sa.true())
    return (
        sa.select(
            change.c.seq,
            sa.literal_column(str(number)).label("table"),
            _facts(change).label("facts"),
            was.seen.label("was_seen"),
            now.seen.label("now_seen"),
            sa.case((was.seen > hidden, was.key)).label("was_key"),
            sa.case((now.seen > hidden, now.key)).label("now_key"),
            shown_before.label("before"),
            shown_after.label("after"),
            _differing(shown_before, shown_after, number).label("columns"),
        )
        .select_from(source)
        .where(
            *_of_trash(change, was.read, table, plan),
            *of_what_is_shown(table.read.resource, change, was.seen, now.seen),
        )
    )


def _latest(number: int, table: FollowedTable, plan: HistoryPlan, parameters: Parameters) -> FromClause:
    """The changes that are looked at. Where each of them is shown, they are cut before their rows are read."""
    change = CHANGES.alias(f"l{number}")
    is_of_table = is_of(change, parameters[table.tracked])
    query = sa.select(change).where(is_of_table, *_asked(change, table, plan, parameters))
    if not (table.is_searched or plan.is_trash):
        query = query.order_by(change.c.seq.desc()).limit(sa.cast(parameters[plan.limit], SqlType("bigint")))
    return query.subquery(f"c{number}")


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
    """Of one table where it is of a key; all else is asked of all alike."""
    terms: list[Any] = [change.c.seq < sa.cast(parameters[plan.before], SqlType("bigint"))]
    if plan.down_to is not None:
        terms.append(change.c.seq >= sa.cast(parameters[plan.down_to], SqlType("bigint")))
    if plan.is_trash:
        terms.append(_is_deletion(change))
    if plan.key:
        terms.append(is_of_key(change, key_text(table.read.resource, plan.key, parameters)))
    if plan.actor is not None:  # who wrote beside the service is known by their database user
        terms.append(sa.func.coalesce(change.c.actor, change.c.db_user) == parameters[plan.actor])
    terms += _made_by(change, plan, parameters)
    if plan.since is not None:
        terms.append(change.c.at >= sa.cast(parameters[plan.since], SqlType("timestamptz")))
    if plan.until is not None:
        terms.append(change.c.at < sa.cast(parameters[plan.until], SqlType("timestamptz")))
    if plan.operations is not None:
        terms.append(sa.cast(change.c.op, Text) == sa.any_(sa.cast(parameters[plan.operations], sa.ARRAY(Text))))
    if plan.numbers is not None:
        terms.append(change.c.seq == sa.any_(sa.cast(parameters[plan.numbers], sa.ARRAY(SqlType("bigint")))))
    return terms


def _made_by(change: FromClause, plan: HistoryPlan, parameters: Parameters) -> list[Any]:
    """By one request or transaction, which an index leads to."""
    terms: list[Any] = []
    if plan.request is not None:
        terms.append(change.c.request == parameters[plan.request])
    if plan.transaction is not None:
        terms.append(change.c.xid == sa.cast(parameters[plan.transaction], SqlType("xid8")))
    return terms


def _of_trash(change: FromClause, was: LateralFromClause, table: FollowedTable, plan: HistoryPlan) -> list[Any]:
    """Only where the row is not there, and was not deleted again later."""
    if not plan.is_trash:
        return []
    resource = table.read.resource
    row = resource.table.alias("there")
    is_same = [row.c[name] == was.c[name] for name in resource.key]
    if table.is_family:
        is_same.append(tracked_of(row) == change.c.tracked)
    is_there = sa.exists(sa.select(sa.literal_column("1")).select_from(row).where(*is_same))
    later = CHANGES.alias("later")
    is_older = sa.exists(
        sa.select(sa.literal_column("1"))
        .select_from(later)
        .where(
            later.c.tracked == change.c.tracked,
            later.c.seq > change.c.seq,
            is_key(later.c.key, change.c.key),
            _is_deletion(later),
        )
    )
    return [sa.not_(is_there), sa.not_(is_older)]


def _is_deletion(change: FromClause) -> ColumnElement[bool]:
    """Whether a row went, and was logged."""
    is_of_kind = change.c.op.in_([sa.literal_column("'d'"), sa.literal_column("'t'")])
    return sa.and_(change.c.was.is_not(None), is_of_kind)
