"""Values of a body as its columns take them, and what fills a column that the body does not name."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from service.catalog.resource import Column, Resource
from service.catalog.sql_type import SqlType
from service.core.errors import InvalidBody
from service.query.compile.columns import comparable_type, function, qualified, quoted_text


def named_for_default(resource: Resource) -> Column:
    """A column whose default can be written down: that of an identity cannot.

    Raises:
        InvalidBody: the table has none.
    """
    for column in resource.stored.values():
        if column.is_writable and (column.default is not None or not column.has_default):
            return column
    raise InvalidBody("The body names no column.", hint="Name a column, if only with null.")


def default_of(resource: Resource, column: Column) -> ColumnElement[Any]:
    """What fills the column: as the catalog writes it, or the next number of an identity."""
    if column.default is not None:
        return sa.literal_column(f"({column.default})")
    if column.has_default and resource.abilities.has_version:
        table = quoted_text(qualified(resource.table.schema, resource.table.name))
        return sa.func.nextval(sa.func.pg_get_serial_sequence(table, quoted_text(column.name)))
    return sa.cast(sa.null(), comparable_type(column))


def input_type(column: Column) -> SqlType:
    """What the body's value is read as: JSON, where a function of the column's domain reads it."""
    return SqlType("json" if reader_of(column) else column.sql_type)


def from_json(column: Column, value: ColumnElement[Any]) -> ColumnElement[Any]:
    reader = reader_of(column)
    return value if reader is None else function(reader)(value)


def reader_of(column: Column) -> tuple[str, str] | None:
    return None if column.representation is None else column.representation.from_json
