"""The rows of a table as they were, from the rows that are there and what the log has of later changes.

What no later change has touched is as it was. Of a touched row it counts how often later changes have removed it (with
the row before) and brought it (with the row after): it stood then as often as it stands now, and once more for each
removal, less for each arrival. What it was is in the first of these changes. The order within a statement does not
matter for that, so that keys may have been swapped; and rows without a key may stand more than once.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Select, Text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.sql.selectable import CTE

from service.catalog.resource import Resource
from service.catalog.sql_type import SqlType
from service.query.compile.columns import row_version
from service.query.compile.logged import CHANGES, FIRST_SEQ, image, is_of, snapshot
from service.query.compile.statement import VERSION_LABEL, Parameters
from service.query.plan import Past

# A transaction that was open for longer counts as committed when its statement began.
_LONGEST: ColumnElement[Any] = sa.literal_column("interval '1 day'")


def past_rows(past: Past, resource: Resource, parameters: Parameters, name: str) -> FromClause:
    """The rows under this name, with all columns of the table and a version."""
    size = max(1, len(resource.key))
    events = _events(past, resource, parameters, name).cte(f"{name}_events")
    ids = [f"i{number}" for number in range(size)]
    touched = (
        sa.select(*(events.c[one] for one in ids), sa.func.sum(events.c.net).label("net"))
        .group_by(*(events.c[one] for one in ids))
        .cte(f"{name}_touched")
    )
    return sa.union_all(
        _untouched(resource, touched, f"{name}_now"), _touched(resource, events, touched, name)
    ).subquery(name)


def _events(past: Past, resource: Resource, parameters: Parameters, name: str) -> Any:
    """Each row before a later change, and each row after one, with its identity."""
    return sa.union_all(
        _images(past, resource, parameters, f"{name}_was", is_after=False),
        _images(past, resource, parameters, f"{name}_is", is_after=True),
    )


def _images(past: Past, resource: Resource, parameters: Parameters, name: str, *, is_after: bool) -> Select[Any]:
    change = CHANGES.alias(f"{name}_c")
    logged = change.c.now if is_after else change.c.was
    row = image(resource, logged, name, change.c.seq)
    return (
        sa.select(
            change.c.seq.label("seq"),
            sa.literal_column("1" if is_after else "0").label("is_after"),
            sa.literal_column("-1" if is_after else "1").label("net"),
            *identity(resource, row),
            *(row.c[column].label(f"c{number}") for number, column in enumerate(resource.columns)),
        )
        .select_from(change.join(row, sa.true()))
        .where(logged.is_not(None), is_of(change, parameters[past.tracked]), *_later(past, change, parameters))
    )


def _later(past: Past, change: FromClause, parameters: Parameters) -> list[ColumnElement[bool]]:
    """Whether a reader of then did not see the change."""
    if past.since is not None:
        seen, until = (snapshot(parameters[bind]) for bind in (past.since.seen, past.since.until))
        up_to = sa.cast(parameters[past.since.seq], SqlType("bigint"))
        is_had = sa.and_(change.c.seq <= up_to, sa.func.pg_visible_in_snapshot(change.c.xid, until))
        return [
            change.c.seq >= FIRST_SEQ,
            change.c.xid >= sa.func.pg_snapshot_xmin(seen),
            sa.not_(sa.func.pg_visible_in_snapshot(change.c.xid, seen)),
            sa.not_(is_had),
        ]
    assert past.time is not None
    time = sa.cast(parameters[past.time], SqlType("timestamptz"))
    return [change.c.at > time - _LONGEST, sa.or_(change.c.at > time, change.c.xid.in_(_open_at(past, parameters)))]


def _open_at(past: Past, parameters: Parameters) -> Select[Any]:
    """Transactions that had written by then and committed later. When, is asked once for each."""
    assert past.time is not None
    time = sa.cast(parameters[past.time], SqlType("timestamptz"))
    written = CHANGES.alias("written")
    committed = sa.func.rowhouse.committed_at(written.c.xid, sa.func.max(written.c.seq), sa.func.max(written.c.at))
    return (
        sa.select(written.c.xid)
        .where(is_of(written, parameters[past.tracked]), written.c.at > time - _LONGEST, written.c.at <= time)
        .group_by(written.c.xid)
        .having(committed > time)
    )


def identity(resource: Resource, row: FromClause) -> list[ColumnElement[Any]]:
    """What tells rows apart: the key, or all that they hold."""
    if resource.key:
        return [row.c[name].label(f"i{number}") for number, name in enumerate(resource.key)]
    return [hash_of(resource.columns, row).label("i0")]


def hash_of(names: Iterable[str], row: FromClause) -> ColumnElement[str]:
    """What a row has in these columns, in short."""
    return sa.func.md5(sa.cast(sa.func.row(*(row.c[name] for name in names)), Text))


def _same(resource: Resource, row: FromClause, touched: CTE) -> ColumnElement[bool]:
    pairs = enumerate(identity(resource, row))
    return sa.and_(*(touched.c[f"i{number}"] == value.element for number, value in pairs))


def _untouched(resource: Resource, touched: CTE, name: str) -> Select[Any]:
    row = resource.table.alias(name)
    version: ColumnElement[Any] = (
        sa.cast(row_version(row), Text) if resource.abilities.has_version else hash_of(resource.columns, row)
    )
    is_touched = sa.exists(sa.select(sa.literal_column("1")).where(_same(resource, row, touched)).correlate(row))
    shown = (row.c[column] for column in resource.columns)
    return sa.select(*shown, version.label(VERSION_LABEL)).where(sa.not_(is_touched))


def _touched(resource: Resource, events: CTE, touched: CTE, name: str) -> Select[Any]:
    ids = [column.key for column in touched.c if column.key != "net"]
    keys = [events.c[one] for one in ids]
    first = (
        sa.select(events)
        .ext(distinct_on(*keys))
        .order_by(*keys, events.c.is_after, events.c.seq)
        .subquery(f"{name}_first")
    )
    row = resource.table.alias(f"{name}_still")
    standing = (
        sa.select(*(touched.c[one] for one in ids), sa.func.count().label("times"))
        .select_from(touched.join(row, _same(resource, row, touched)))
        .group_by(*(touched.c[one] for one in ids))
        .subquery(f"{name}_standing")
    )
    times = touched.c.net + sa.func.coalesce(standing.c.times, sa.literal_column("0"))
    source = first.join(touched, sa.and_(*(first.c[one] == touched.c[one] for one in ids)))
    source = source.outerjoin(standing, sa.and_(*(first.c[one] == standing.c[one] for one in ids)))
    repeated = sa.func.generate_series(sa.literal_column("1"), times).table_valued("n", name=f"{name}_times").lateral()
    shown = [first.c[f"c{number}"].label(column) for number, column in enumerate(resource.columns)]
    version = sa.literal_column("'h'", Text) + sa.func.md5(sa.cast(sa.func.row(*(one.element for one in shown)), Text))
    return sa.select(*shown, version.label(VERSION_LABEL)).select_from(source.join(repeated, sa.true()))
