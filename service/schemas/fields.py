"""Data transfer objects derived from a resource, and what they say of a row or filter that PostgreSQL refused.

PostgreSQL judges every value, so that each of its types is accepted as it accepts it. Pydantic explains: it names the
fields at fault, all of them, where PostgreSQL stops at the first and does not name it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema, create_model
from sqlalchemy.types import TypeEngine

from service.catalog.resource import Column, Resource
from service.core.errors import FieldError

_BITS: tuple[tuple[type[TypeEngine[Any]], int], ...] = (
    (sa.SmallInteger, 16),
    (sa.BigInteger, 64),
    (sa.Integer, 32),
)
# PostgreSQL renders numeric as a JSON number; Pydantic would describe Decimal as a text.
_PLAIN: tuple[tuple[type[TypeEngine[Any]], Any], ...] = (
    (sa.Boolean, bool),
    (sa.Float, Annotated[float, WithJsonSchema({"type": "number", "format": "double"})]),
    (sa.Numeric, Annotated[Decimal, WithJsonSchema({"type": "number", "format": "decimal"})]),
    (sa.Date, date),
    (sa.Uuid, UUID),
    (sa.String, str),
    (sa.ARRAY, Annotated[Any, WithJsonSchema({"type": "array"})]),
)
# Without a zone a time is not of RFC 3339, which the formats `date-time` and `time` mean.
_TIMES: tuple[tuple[type[TypeEngine[Any]], Any, Any], ...] = (
    (sa.DateTime, datetime, Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time-local"})]),
    (sa.Time, time, Annotated[time, WithJsonSchema({"type": "string", "format": "time-local"})]),
)
_MOST_ERRORS = 20


def python_type(column: Column) -> Any:
    """The type that a JSON value of this column has, with its bounds; Any where Pydantic knows no better."""
    for kind, bits in _BITS:
        if isinstance(column.type, kind):
            bounds = Field(ge=-(2 ** (bits - 1)), le=2 ** (bits - 1) - 1, json_schema_extra={"format": f"int{bits}"})
            return Annotated[int, bounds]
    for kind, with_zone, without_zone in _TIMES:
        if isinstance(column.type, kind):
            return with_zone if getattr(column.type, "timezone", False) else without_zone
    if isinstance(column.type, sa.Enum):
        return Literal[tuple(column.type.enums)]
    if isinstance(column.type, sa.String) and column.type.length:
        return Annotated[str, Field(max_length=column.type.length)]
    return next((plain for kind, plain in _PLAIN if isinstance(column.type, kind)), Any)


@lru_cache(maxsize=4096)
def row_model(resource: Resource) -> type[BaseModel]:
    """A whole row as it is read: every column, none of them optional but those that may be NULL."""
    return create_model(
        resource.name, __config__=ConfigDict(title=resource.name), **_fields(resource.columns.values(), is_input=False)
    )


@lru_cache(maxsize=4096)
def input_model(resource: Resource) -> type[BaseModel]:
    """A row as it is inserted: what has a default or may be NULL can be left out."""
    writable = (column for column in resource.columns.values() if column.is_writable)
    return create_model(
        f"{resource.name}_input",
        __config__=ConfigDict(title=f"{resource.name} to write", coerce_numbers_to_str=True, extra="forbid"),
        **_fields(writable, is_input=True),
    )


def _fields(columns: Iterable[Column], *, is_input: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for number, column in enumerate(columns):
        kind = python_type(column)
        kind = kind | None if column.is_nullable and kind is not Any else kind
        default = None if is_input and not column.is_required else ...
        # The Python name is our own: a column may be called anything.
        fields[f"column_{number}"] = (kind, Field(default, alias=column.name, description=column.comment))
    return fields


@lru_cache(maxsize=16384)
def _adapter(column: Column) -> "TypeAdapter[Any]":
    kind = python_type(column)
    return TypeAdapter(kind | None if column.is_nullable and kind is not Any else kind)


def explain_rows(resource: Resource, rows: Sequence[Mapping[str, object]]) -> list[FieldError]:
    """The fields of the rows that cannot be what their columns are, at most twenty. Rows count from 1."""
    found: list[FieldError] = []
    for number, row in enumerate(rows, start=1):
        for name, value in row.items():
            if message := _problem(resource.columns[name], value):
                found.append(FieldError(name, message, number if len(rows) > 1 else None))
                if len(found) == _MOST_ERRORS:
                    return found
    return found


def explain_values(resource: Resource, values: Iterable[tuple[str, str]]) -> list[FieldError]:
    """The filters (column, value) whose values cannot be compared with their columns."""
    return [
        FieldError(name, message)
        for name, value in values
        if name in resource.columns and (message := _problem(resource.columns[name], value))
    ]


def _problem(column: Column, value: object) -> str | None:
    if value is None:
        return None if column.is_nullable else "must have a value"
    if isinstance(value, str) and "\x00" in value:
        return "has a NUL character, which PostgreSQL cannot store"
    try:
        _adapter(column).validate_python(value)
    except ValidationError as error:
        if value == "NA":
            return 'is the text NA; R must send missing values as null: toJSON(…, na = "null")'
        return error.errors(include_url=False, include_input=False)[0]["msg"]
    return None
