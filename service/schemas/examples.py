"""Example values by the types of columns. Never from the data, which the reader of a document may not see."""

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from service.catalog.resource import Column, Resource
from service.catalog.sql_type import CompositeType, RangeType, SqlType
from service.core.types import Action
from service.schemas.types import base_name

_EXAMPLES: Mapping[str, object] = {
    "boolean": True,
    "smallint": 12,
    "integer": 120,
    "bigint": 1001,
    "real": 12.5,
    "double precision": 12.5,
    "numeric": 19.95,
    "date": "2026-03-01",
    "timestamp with time zone": "2026-03-01T09:30:00+00:00",
    "timestamp without time zone": "2026-03-01T09:30:00",
    "time with time zone": "09:30:00+00",
    "time without time zone": "09:30:00",
    "interval": "1 day",
    "uuid": "0190a6f2-6d3c-7c1e-8f45-2b1f0c9d4e7a",
    "bytea": "\\x00ff",
    "json": {"a": 1},
    "jsonb": {"a": 1},
    "inet": "10.0.0.1",
    "cidr": "10.0.0.0/8",
    "macaddr": "08:00:2b:01:02:03",
    "bit": "1",
    "bit varying": "1",
    "money": "19.95",
    "oid": "1001",
    "point": "(1,2)",
    "xml": "<a/>",
    "int4range": "[1,10)",
    "int8range": "[1,10)",
    "numrange": "[1.5,2.5)",
    "daterange": "[2026-03-01,2026-04-01)",
    "tsrange": '["2026-03-01 09:30:00","2026-03-01 10:30:00")',
    "tstzrange": '["2026-03-01 09:30:00+00","2026-03-01 10:30:00+00")',
} | {
    f"{name}multirange": "{}" for name in ("int4", "int8", "num", "date", "ts", "tstz")
}  # fmt: skip
_TEXTS = ("text", "character varying", "character", "bpchar")
_TEXT = "ABC"
_LENGTH = re.compile(r"\((\d+)\)")


def example_value(column: Column) -> object:
    """A JSON value that a column of this type can have."""
    if (made := _made_example(column.type)) is not None:
        return made
    name = base_name(column)
    return _text(column.sql_type) if name in _TEXTS else type_example(name)


def _made_example(kind: TypeEngine[Any]) -> object:
    """A value of an enum, composite or range; None for any other type."""
    match kind:
        case sa.Enum() if kind.enums:
            return kind.enums[0]
        case CompositeType():
            return {name: _part_example(part) for name, part in kind.attributes}
        case RangeType():
            return "{}" if kind.is_multiple else "empty"
    return None


def _part_example(kind: TypeEngine[Any]) -> object:
    made = _made_example(kind)
    return type_example(kind.name) if made is None and isinstance(kind, SqlType) else made


def type_example(name: str) -> object:
    """A JSON value of the PostgreSQL type of this name."""
    return [] if name.endswith("[]") else _EXAMPLES.get(name, _TEXT)


def _text(sql_type: str) -> str:
    length = _LENGTH.search(sql_type)
    return _TEXT[: int(length[1])] if length else _TEXT


def row_example(resource: Resource) -> dict[str, object]:
    """A whole row."""
    return {column.name: example_value(column) for column in resource.columns.values()}


def insert_example(resource: Resource) -> dict[str, object]:
    """A row to insert. What has a default is left to it."""
    columns = list(resource.writable(Action.CREATE).values())
    named = [column for column in columns if not column.has_default] or columns
    return {column.name: example_value(column) for column in named}


def put_example(resource: Resource) -> dict[str, object]:
    """A row to put: its key stands in the URL."""
    row = insert_example(resource)
    return {name: value for name, value in row.items() if name not in resource.key} or row


def change_example(resource: Resource) -> dict[str, object]:
    """What a PATCH sets: a column outside the key, where there is one."""
    columns = list(resource.writable(Action.UPDATE).values())
    named = [column for column in columns if column.name not in resource.key] or columns
    return {column.name: example_value(column) for column in named[:1]}
