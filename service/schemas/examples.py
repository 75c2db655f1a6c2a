"""Example values by the types of columns. Never from the data, which the reader of a document may not see."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from service.catalog.resource import Column, Resource

_EXAMPLES: tuple[tuple[type[TypeEngine[Any]], object], ...] = (
    (sa.Boolean, True),
    (sa.SmallInteger, 12),
    (sa.BigInteger, 1001),
    (sa.Integer, 120),
    (sa.Float, 12.5),
    (sa.Numeric, 19.95),
    (sa.Date, "2026-03-01"),
    (sa.Uuid, "0190a6f2-6d3c-7c1e-8f45-2b1f0c9d4e7a"),
    (sa.ARRAY, []),
    (sa.LargeBinary, "\\x00ff"),
    (sa.JSON, {"a": 1}),
)
_TEXT = "ABC"


def example_value(column: Column) -> object:
    """A JSON value that a column of this type can have."""
    kind = column.type
    has_zone = bool(getattr(kind, "timezone", False))
    match kind:
        case sa.Enum():
            return kind.enums[0]
        case sa.DateTime():
            return "2026-03-01T09:30:00" + ("+00:00" if has_zone else "")
        case sa.Time():
            return "09:30:00" + ("+00:00" if has_zone else "")
        case sa.String():
            return _TEXT[: kind.length]
    return next((value for known, value in _EXAMPLES if isinstance(kind, known)), _TEXT)


def row_example(resource: Resource) -> dict[str, object]:
    """A whole row."""
    return {column.name: example_value(column) for column in resource.columns.values()}


def insert_example(resource: Resource) -> dict[str, object]:
    """A row to insert. What has a default is left to it."""
    columns = [column for column in resource.columns.values() if column.is_writable]
    named = [column for column in columns if not column.has_default] or columns
    return {column.name: example_value(column) for column in named}


def put_example(resource: Resource) -> dict[str, object]:
    """A row to put: its key stands in the URL."""
    row = insert_example(resource)
    return {name: value for name, value in row.items() if name not in resource.key} or row


def change_example(resource: Resource) -> dict[str, object]:
    """What a PATCH sets: a column outside the key, where there is one."""
    columns = [column for column in resource.columns.values() if column.is_writable]
    named = [column for column in columns if column.name not in resource.key] or columns
    return {column.name: example_value(column) for column in named[:1]}
