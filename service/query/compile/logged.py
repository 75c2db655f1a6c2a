"""The change log in statements: its table, and the rows that it holds as JSON, read back as the table's rows."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause
from sqlalchemy.sql.selectable import LateralFromClause, TableValuedAlias

from service.catalog.resource import Resource
from service.catalog.sql_type import SqlType
from service.query.compile.columns import qualified
from service.query.compile.statement import VERSION_LABEL

_COLUMNS = "xid seq at tracked op key old_key was now actor request source db_user"
CHANGES = sa.table("changes", *map(sa.column, _COLUMNS.split()), schema="rowhouse")
_LOG_STATE = sa.table("log_state", sa.column("first_seq"), schema="rowhouse")
# Transaction numbers of earlier changes are those of another life.
FIRST_SEQ = sa.select(_LOG_STATE.c.first_seq).scalar_subquery()


def is_of(change: FromClause, tracked: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a change is of the tables with these numbers."""
    return change.c.tracked == sa.any_(sa.cast(tracked, sa.ARRAY(SqlType("integer"))))


def snapshot(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return sa.cast(text, SqlType("pg_snapshot"))


def version_of(change: FromClause) -> ColumnElement[Any]:
    """The version of a row that a change has written."""
    return sa.cast(change.c.xid, SqlType("xid"))


def image(resource: Resource, logged: ColumnElement[Any], name: str, version: ColumnElement[Any]) -> LateralFromClause:
    """The row that the log holds, by the table's columns; NULL in all of them where it holds none."""
    read = logged_row(resource, logged, f"{name}_log")
    shown = (read.c[column].label(column) for column in resource.columns)
    return sa.select(*shown, version.label(VERSION_LABEL)).select_from(read).lateral(name)


def logged_row(resource: Resource, logged: ColumnElement[Any], name: str) -> TableValuedAlias:
    """A row from the JSON of the log, with the columns of the table."""
    table = resource.table
    kind = sa.cast(sa.null(), SqlType(qualified(table.schema, table.name)))
    columns = (sa.column(table.c[column].name, table.c[column].type) for column in resource.columns)
    return sa.func.json_populate_record(kind, logged).table_valued(*columns, name=name)
