"""The change log in statements: its table, and the rows that it holds as JSON, read back as the table's rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Text
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.selectable import LateralFromClause, TableValuedAlias

from service.catalog.resource import Column, Resource
from service.catalog.sql_type import SqlType
from service.query.compile.columns import comparable_type, function, qualified, quoted_text
from service.query.compile.statement import VERSION_LABEL, Parameters
from service.query.plan import Bind

_COLUMNS = "xid seq at tracked op key old_key was now actor request source db_user"
CHANGES = sa.table("changes", *map(sa.column, _COLUMNS.split()), schema="rowhouse")
_LOG_STATE = sa.table("log_state", sa.column("first_seq"), schema="rowhouse")
# Transaction numbers of earlier changes are those of another life.
FIRST_SEQ = sa.select(_LOG_STATE.c.first_seq).scalar_subquery()
_TRACKED = sa.table("tracked", sa.column("id"), sa.column("relation"), sa.column("until"), schema="rowhouse")
_LENGTH_OF_KEY: ColumnElement[int] = sa.literal_column("200")
_JSON = SqlType("json")
_OF_JSON = ("json", "jsonb")
_BLANKS: ColumnElement[str] = sa.literal_column("E' \\t\\n\\r'", Text)
# Types whose values are the same once more when they come back from JSON.
_EXACT = frozenset(
    {
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "real",
        "double precision",
        "text",
        "character varying",
        "character",
        "boolean",
        "uuid",
        "date",
        "time without time zone",
        "time with time zone",
        "timestamp without time zone",
        "timestamp with time zone",
        "interval",
        "bytea",
        "inet",
        "cidr",
    }
)


def is_of(change: FromClause, tracked: ColumnElement[Any], *, is_way_in: bool = True) -> ColumnElement[bool]:
    """Whether a change is of the tables with these numbers; as no index can find it, unless it `is_way_in`."""
    number = change.c.tracked if is_way_in else change.c.tracked + sa.literal_column("0")
    return number == sa.any_(sa.cast(tracked, sa.ARRAY(SqlType("integer"))))


def tracked_of(row: FromClause) -> ColumnElement[int]:
    """The number in the log of the table that a row stands in: of a family of inheritance, each has its own."""
    relation: ColumnElement[Any] = sa.literal_column(f"{cast('sa.Alias', row).name}.tableoid")
    found = sa.select(_TRACKED.c.id).where(_TRACKED.c.relation == relation, _TRACKED.c.until.is_(None))
    return found.correlate(row).scalar_subquery()


def key_text(resource: Resource, key: Sequence[Bind], parameters: Parameters) -> ColumnElement[str]:
    """A key as the log writes it."""
    read = [_text_of(resource.columns[name], parameters[value]) for name, value in zip(resource.key, key, strict=True)]
    relation = sa.cast(quoted_text(qualified(resource.table.schema, resource.table.name)), SqlType("regclass"))
    names = sa.cast(array([quoted_text(name) for name in resource.key]), sa.ARRAY(Text))
    made: ColumnElement[str] = sa.func.rowhouse.key_text(relation, names, array(read))
    return sa.select(made).scalar_subquery()  # else PostgreSQL asks it many times, to estimate


def _text_of(column: Column, given: ColumnElement[Any]) -> ColumnElement[Any]:
    """A value as text: a domain may read it by a function of its own."""
    if column.representation is None or column.representation.from_text is None:
        return given
    return sa.cast(function(column.representation.from_text)(given), Text)


def is_of_key(change: FromClause, key: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether it is a change of the row, to its key or from it. The beginning of a key is indexed."""
    return sa.or_(is_key(change.c.key, key), is_key(change.c.old_key, key))


def is_key(logged: ColumnElement[str], key: ColumnElement[str]) -> ColumnElement[bool]:
    return sa.and_(sa.func.left(logged, _LENGTH_OF_KEY) == sa.func.left(key, _LENGTH_OF_KEY), logged == key)


def is_shown(resource: Resource, change: FromClause) -> ColumnElement[bool]:
    """Whether a change is of something that is not hidden: of an update, a column that may be read. Images are compared
    as they were written.
    """
    differing = (
        _member(change.c.was, *path).is_distinct_from(_member(change.c.now, *path))
        for name, column in resource.columns.items()
        for path in ([(name,), ("", name)] if column.base_type in _OF_JSON else [(name,)])
    )
    return sa.or_(change.c.was.is_(None), change.c.now.is_(None), *differing)


def _member(logged: ColumnElement[Any], *path: str) -> ColumnElement[Any]:
    for name in path:
        logged = logged.op("->")(quoted_text(name))
    return sa.cast(logged, Text)


def snapshot(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return sa.cast(text, SqlType("pg_snapshot"))


def version_of(change: FromClause) -> ColumnElement[Any]:
    """The version of a row that a change has written."""
    return sa.cast(change.c.xid, SqlType("xid"))


def image(
    resource: Resource,
    logged: ColumnElement[Any],
    name: str,
    version: ColumnElement[Any],
    columns: Iterable[str] | None = None,
) -> LateralFromClause:
    """The row that the log holds, by the table's columns, or some of them; NULL in all of them where it holds none."""
    described = [resource.stored[column] for column in (resource.stored if columns is None else columns)]
    read = _record(logged, f"{name}_log", {one.name: comparable_type(one) for one in described})
    shown = (_read_back(one, read.c[one.name], logged).label(one.name) for one in described)
    return sa.select(*shown, version.label(VERSION_LABEL)).select_from(read).lateral(name)


def as_written(resource: Resource, logged: ColumnElement[Any], name: str) -> TableValuedAlias:
    """The row that the log holds, each value as JSON: whatever the types of the table were then."""
    return _record(logged, name, dict.fromkeys(resource.columns, _JSON))


def told_apart(column: Column, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A value, the same for those that JSON does not tell apart: of the blanks around a JSON value, of the lower bounds
    of an array and of much that types of others hold it knows nothing.
    """
    if column.base_type in _EXACT or column.base_type == "jsonb":
        return value
    if column.base_type == "json":
        return sa.func.btrim(sa.cast(value, Text), _BLANKS)
    image = sa.func.json_build_object(quoted_text(column.name), value)
    read = _record(image, f"told_{VERSION_LABEL}", {column.name: comparable_type(column)})
    return sa.select(read.c[column.name]).scalar_subquery()


def _record(logged: ColumnElement[Any], name: str, types: Mapping[str, SqlType]) -> TableValuedAlias:
    """A row of JSON, read by these types. They are below all domains and without length: what was logged need not obey
    the rules of now.
    """
    columns = [sa.column(column, kind) for column, kind in types.items()] or [sa.column(VERSION_LABEL, Text)]
    read: TableValuedAlias = sa.func.json_to_record(logged).table_valued(*columns, name=name)
    return read.render_derived(name, with_types=True)


def _read_back(column: Column, value: ColumnElement[Any], logged: ColumnElement[Any]) -> ColumnElement[Any]:
    if column.base_type in _OF_JSON:  # which null it was, stands beside the columns
        null = logged.op("->")(sa.literal_column("''", Text)).op("->")(quoted_text(column.name))
        value = sa.func.coalesce(value, sa.cast(null, comparable_type(column)))
    return value if column.representation is None else sa.cast(value, SqlType(column.sql_type))
