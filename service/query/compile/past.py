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
from service.query.plan import Bind, Past

# A transaction that was open for longer counts as committed when its statement began.
_LONGEST: ColumnElement[Any] = sa.literal_column("interval '1 day'")


def past_rows(past: Past, resource: Resource, parameters: Parameters, name: str) -> FromClause:
    """The rows under this name, with all columns of the table and a version."""
    events = _Changes(past, resource, parameters, name).events().cte(f"{name}_events")
    ids = [f"i{number}" for number in range(max(1, len(resource.key)) + past.is_family)]
    touched = (
        sa.select(*(events.c[one] for one in ids), sa.func.sum(events.c.net).label("net"))
        .group_by(*(events.c[one] for one in ids))
        .cte(f"{name}_touched")
    )
    return sa.union_all(
        _untouched(past, resource, touched, f"{name}_now"), _touched(past, resource, events, touched, name)
    ).subquery(name)


class _Changes:
    """The changes that a reader of then did not see."""

    def __init__(self, past: Past, resource: Resource, parameters: Parameters, name: str) -> None:
        self._past = past
        self._resource = resource
        self._parameters = parameters
        self._name = name
        # In a CTE of its own, it is asked once for both images.
        self._open = None if past.time is None else self._open_at(past.time).cte(f"{name}_open")

    def events(self) -> Any:
        """Each row before a later change, and each row after one, with its identity."""
        return sa.union_all(self._images("was", is_after=False), self._images("is", is_after=True))

    def _images(self, side: str, *, is_after: bool) -> Select[Any]:
        change = CHANGES.alias(f"{self._name}_{side}_c")
        logged = change.c.now if is_after else change.c.was
        row = image(self._resource, logged, f"{self._name}_{side}", change.c.seq)
        return (
            sa.select(
                change.c.seq.label("seq"),
                sa.literal_column("1" if is_after else "0").label("is_after"),
                sa.literal_column("-1" if is_after else "1").label("net"),
                *identity(self._resource, row, change.c.tracked if self._past.is_family else None),
                *(row.c[column].label(f"c{number}") for number, column in enumerate(self._resource.stored)),
            )
            .select_from(change.join(row, sa.true()))
            .where(logged.is_not(None), *self._of_rows(change), *self._later(change))
        )

    def _of_rows(self, change: FromClause) -> list[ColumnElement[bool]]:
        terms = [is_of(change, self._parameters[self._past.tracked])]
        if self._past.key:
            terms.append(is_of_key(change, key_text(self._resource, self._past.key, self._parameters)))
        return terms

    def _later(self, change: FromClause) -> list[ColumnElement[bool]]:
        if self._past.since is not None:
            seen, until = (snapshot(self._parameters[bind]) for bind in (self._past.since.seen, self._past.since.until))
            up_to = sa.cast(self._parameters[self._past.since.seq], SqlType("bigint"))
            is_had = sa.and_(change.c.seq <= up_to, sa.func.pg_visible_in_snapshot(change.c.xid, until))
            return [
                change.c.seq >= FIRST_SEQ,
                change.c.xid >= sa.func.pg_snapshot_xmin(seen),
                sa.not_(sa.func.pg_visible_in_snapshot(change.c.xid, seen)),
                sa.not_(is_had),
            ]
        assert self._past.time is not None
        assert self._open is not None
        time = self._time(self._past.time)
        first = sa.select(sa.func.min(self._open.c.begun)).scalar_subquery()
        was_open = change.c.xid.in_(sa.select(self._open.c.xid))
        # Said once more by `at` alone, by which the log is indexed and partitioned.
        return [change.c.at >= sa.func.coalesce(first, time), sa.or_(change.c.at > time, was_open)]

    def _open_at(self, moment: Bind) -> Select[Any]:
        """Transactions that had written by then and committed later. When, is asked once for each."""
        time = self._time(moment)
        written = CHANGES.alias("written")
        committed = sa.func.rowhouse.committed_at(written.c.xid, sa.func.max(written.c.seq), sa.func.max(written.c.at))
        return (
            sa.select(written.c.xid, sa.func.min(written.c.at).label("begun"))
            .where(*self._of_rows(written), written.c.at > time - _LONGEST, written.c.at <= time)
            .group_by(written.c.xid)
            .having(committed > time)
        )

    def _time(self, moment: Bind) -> ColumnElement[Any]:
        return sa.cast(self._parameters[moment], SqlType("timestamptz"))


def identity(resource: Resource, row: FromClause, tracked: ColumnElement[int] | None = None) -> list[sa.Label[Any]]:
    """What tells rows apart: the key, or all that they hold; and in a family of inheritance, where a key may stand more
    than once, the table.
    """
    told: list[ColumnElement[Any]] = [row.c[name] for name in resource.key] or [hash_of(resource, resource.stored, row)]
    if tracked is not None:
        told.append(tracked)
    return [value.label(f"i{number}") for number, value in enumerate(told)]


def hash_of(resource: Resource, names: Iterable[str], row: FromClause) -> ColumnElement[str]:
    """What a row has in these columns, in short."""
    values = (told_apart(resource.stored[name], row.c[name]) for name in names)
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
    shown = (_undressed(column, row.c[column.name]).label(column.name) for column in resource.stored.values())
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
    shown = {column: first.c[f"c{number}"] for number, column in enumerate(resource.stored)}
    seen = sa.func.row(*(shown[name] for name in resource.columns))
    version = sa.literal_column("'h'", Text) + sa.func.md5(sa.cast(seen, Text))
    members = (value.label(name) for name, value in shown.items())
    return sa.select(*members, version.label(VERSION_LABEL)).select_from(source.join(repeated, sa.true()))
