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

from service.catalog.resource import Column, Resource
from service.catalog.sql_type import SqlType
from service.query.compile.columns import comparable_type, row_version
from service.query.compile.logged import (
    CHANGES,
    FIRST_SEQ,
    image,
    is_of,
    is_of_key,
    key_text,
    snapshot,
    told_apart,
    tracked_of,
)
from service.query.compile.statement import VERSION_LABEL, Parameters
from service.query.plan import Past

# A transaction that was open for longer counts as committed when its statement began.
_LONGEST: ColumnElement[Any] = sa.literal_column("interval '1 day'")


def past_rows(past: Past, resource: Resource, parameters: Parameters, name: str) -> FromClause:
    """The rows under this name, with all columns of the table and a version."""
    events = _events(past, resource, parameters, name).cte(f"{name}_events")
    ids = [f"i{number}" for number in range(max(1, len(resource.key)) + past.is_family)]
    touched = (
        sa.select(*(events.c[one] for one in ids), sa.func.sum(events.c.net).label("net"))
        .group_by(*(events.c[one] for one in ids))
        .cte(f"{name}_touched")
    )
    return sa.union_all(
        _untouched(past, resource, touched, f"{name}_now"), _touched(past, resource, events, touched, name)
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
            *identity(resource, row, change.c.tracked if past.is_family else None),
            *(row.c[column].label(f"c{number}") for number, column in enumerate(resource.columns)),
        )
        .select_from(change.join(row, sa.true()))
        .where(
            logged.is_not(None),
            is_of(change, parameters[past.tracked]),
            *_of_key(past, resource, change, parameters),
            *_later(past, resource, change, parameters),
        )
    )


def _of_key(past: Past, resource: Resource, change: FromClause, parameters: Parameters) -> list[ColumnElement[bool]]:
    return [is_of_key(change, key_text(resource, past.key, parameters))] if past.key else []


def _later(past: Past, resource: Resource, change: FromClause, parameters: Parameters) -> list[ColumnElement[bool]]:
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
    open_then = _open_at(past, resource, parameters)
    return [change.c.at > time - _LONGEST, sa.or_(change.c.at > time, change.c.xid.in_(open_then))]


def _open_at(past: Past, resource: Resource, parameters: Parameters) -> Select[Any]:
    """Transactions that had written by then and committed later. When, is asked once for each."""
    assert past.time is not None
    time = sa.cast(parameters[past.time], SqlType("timestamptz"))
    written = CHANGES.alias("written")
    committed = sa.func.rowhouse.committed_at(written.c.xid, sa.func.max(written.c.seq), sa.func.max(written.c.at))
    return (
        sa.select(written.c.xid)
        .where(
            is_of(written, parameters[past.tracked]),
            *_of_key(past, resource, written, parameters),
            written.c.at > time - _LONGEST,
            written.c.at <= time,
        )
        .group_by(written.c.xid)
        .having(committed > time)
    )


def identity(resource: Resource, row: FromClause, tracked: ColumnElement[int] | None = None) -> list[sa.Label[Any]]:
    """What tells rows apart: the key, or all that they hold; and in a family of inheritance, where a key may stand more
    than once, the table.
    """
    told: list[ColumnElement[Any]] = [row.c[name] for name in resource.key] or [
        hash_of(resource, resource.columns, row)
    ]
    if tracked is not None:
        told.append(tracked)
    return [value.label(f"i{number}") for number, value in enumerate(told)]


def hash_of(resource: Resource, names: Iterable[str], row: FromClause) -> ColumnElement[str]:
    """What a row has in these columns, in short."""
    values = (told_apart(resource.columns[name], row.c[name]) for name in names)
    return sa.func.md5(sa.cast(sa.func.row(*values), Text))


def _same(past: Past, resource: Resource, row: FromClause, touched: CTE) -> ColumnElement[bool]:
    told = identity(resource, row, tracked_of(row) if past.is_family else None)
    return sa.and_(*(touched.c[f"i{number}"] == value.element for number, value in enumerate(told)))


def _untouched(past: Past, resource: Resource, touched: CTE, name: str) -> Select[Any]:
    row = resource.table.alias(name)
    version: ColumnElement[Any] = (
        sa.cast(row_version(row), Text) if resource.abilities.has_version else hash_of(resource, resource.columns, row)
    )
    is_touched = sa.exists(sa.select(sa.literal_column("1")).where(_same(past, resource, row, touched)).correlate(row))
    # Of the same type as what the log holds: else PostgreSQL would not take a condition to both parts of the union.
    shown = (_undressed(column, row.c[column.name]).label(column.name) for column in resource.columns.values())
    return sa.select(*shown, version.label(VERSION_LABEL)).where(sa.not_(is_touched))


def _undressed(column: Column, value: ColumnElement[Any]) -> ColumnElement[Any]:
    is_plain = column.representation is not None or column.sql_type.startswith(column.base_type)
    return value if is_plain else sa.cast(value, comparable_type(column))


def _touched(past: Past, resource: Resource, events: CTE, touched: CTE, name: str) -> Select[Any]:
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
        .select_from(touched.join(row, _same(past, resource, row, touched)))
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
