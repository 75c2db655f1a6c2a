"""What JSON carries for PostgreSQL's types, by their names: a Python type that checks a value and describes it.

What `to_json` renders decides (PostgreSQL manual, chapter 9.16): numbers, booleans, arrays and JSON as they are, any
other type as its text. A type of somebody else's may have a cast to JSON of its own, so it is Any.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field, TypeAdapter, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from sqlalchemy.types import TypeEngine

from service.catalog.resource import Column
from service.catalog.sql_type import ArrayType, CompositeType, RangeType, SqlType

JsonObject = dict[str, Any]


def _integer(bits: int) -> Any:
    bounds = Field(ge=-(2 ** (bits - 1)), le=2 ** (bits - 1) - 1, json_schema_extra={"format": f"int{bits}"})
    return Annotated[int, bounds]


def _shown(kind: Any, name: str, form: str | None = None) -> Any:
    """The Python type, described as this JSON type and format."""
    return Annotated[kind, WithJsonSchema({"type": name} | ({"format": form} if form else {}))]


# Described as a text, and any value is taken: their texts are PostgreSQL's own to read.
_TEXTS = (
    "bytea", "interval", "inet", "cidr", "macaddr", "macaddr8", "tsvector", "tsquery", "xml", "bit", "bit varying",
    "money", "time with time zone", "point", "line", "lseg", "box", "path", "polygon", "circle", "jsonpath", "oid",
    "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange", "int4multirange", "int8multirange",
    "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange",
)  # fmt: skip
_KNOWN: Mapping[str, Any] = {
    "smallint": _integer(16),
    "integer": _integer(32),
    "bigint": _integer(64),
    "real": _shown(float, "number", "float"),
    "double precision": _shown(float, "number", "double"),
    # PostgreSQL renders numeric as a JSON number; Pydantic would describe Decimal as a text.
    "numeric": _shown(Decimal, "number", "decimal"),
    "boolean": bool,
    "text": str,
    "character varying": str,
    "character": str,
    "bpchar": str,
    "name": str,
    '"char"': str,
    "date": date,
    "timestamp with time zone": datetime,
    # Without a zone a time is not of RFC 3339, which the formats `date-time` and `time` mean.
    "timestamp without time zone": _shown(datetime, "string", "date-time-local"),
    "time without time zone": _shown(time, "string", "time-local"),
    "uuid": UUID,
} | {name: _shown(Any, "string", name) for name in _TEXTS}
# As `format_type` does not write them, but SQLAlchemy does.
_ALIASES: Mapping[str, str] = {
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "varchar": "character varying",
    "char": "character",
    "float": "double precision",
}
_CHARACTERS = re.compile(r"(?:character varying|character|varchar|char)\((\d+)\)")
_MODIFIER = re.compile(r"\(.*?\)")


class _Plain(GenerateJsonSchema):
    """An enum is one with a single value, too: Pydantic would write a constant, which nothing can be added to."""

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return {"type": "string", "enum": schema["expected"]}


def base_name(column: Column) -> str:
    """The name of its type below all domains, without length or precision."""
    name = column.base_type or _MODIFIER.sub("", column.sql_type.lower())
    return _ALIASES.get(name, name)


def python_type(column: Column) -> Any:
    """The type that a JSON value of this column has, NULL aside; Any where nothing better is known.

    A domain with a representation is what its own casts make of it.
    """
    if column.representation is not None:
        return Any
    if (made := _made_type(column.type)) is not None:
        return made
    length = _CHARACTERS.fullmatch(column.sql_type.lower())
    if length is not None:
        return Annotated[str, Field(max_length=int(length[1]))]
    return named_type(base_name(column))


def _made_type(kind: TypeEngine[Any]) -> Any:
    """The type of a value of an enum, composite or range, or an array of such; None for any other.

    PostgreSQL reads a text in place of each as well, so that any value is taken where it is no enum's.
    """
    match kind:
        case sa.Enum() if kind.enums:
            return Literal[tuple(kind.enums)]
        case CompositeType():
            parts = {name: _nullable(schema_of(_part_type(part))) for name, part in kind.attributes}
            return Annotated[Any, WithJsonSchema({"type": "object", "properties": parts})]
        case RangeType():
            written = "{[lower,upper), …}" if kind.is_multiple else "[lower,upper)"
            return Annotated[Any, WithJsonSchema({"type": "string", "description": f"A range, written {written}."})]
        case ArrayType():
            items = _element(schema_of(_part_type(kind.element)))
            return Annotated[Any, WithJsonSchema({"type": "array", "items": items})]
    return None


def _part_type(kind: TypeEngine[Any]) -> Any:
    made = _made_type(kind)
    return named_type(kind.name) if made is None and isinstance(kind, SqlType) else made


@lru_cache(maxsize=1024)
def named_type(name: str) -> Any:
    """The type of a value by the name of its PostgreSQL type; of an array too, in any number of dimensions."""
    if not name.endswith("[]"):
        return _KNOWN.get(name, Any)
    described = {"type": "array", "items": _element(schema_of(named_type(name[:-2])))}
    return Annotated[Any, WithJsonSchema(described)]


def _element(schema: JsonObject) -> JsonObject:
    """An element may be NULL, or an array itself: a type says nothing of dimensions."""
    if "type" not in schema:
        return schema
    if "enum" in schema:  # an array is none of its values
        return {"anyOf": [schema, {"type": ["array", "null"]}]}
    return schema | {"type": [schema["type"], "array", "null"]}


def schema_of(kind: Any) -> JsonObject:
    """JSON Schema of a type."""
    return TypeAdapter(kind).json_schema(schema_generator=_Plain)


def value_schema(column: Column) -> JsonObject:
    """JSON Schema of a column's values."""
    return _nullable(_value_schema(column)) if column.is_nullable else _value_schema(column)


def parameter_schema(sql_type: str) -> JsonObject:
    """JSON Schema of a value of this PostgreSQL type, which may be NULL."""
    return _nullable(schema_of(named_type(sql_type)))


@lru_cache(maxsize=16384)
def _value_schema(column: Column) -> JsonObject:
    return schema_of(python_type(column))


def _nullable(schema: JsonObject) -> JsonObject:
    """`[integer, null]` in place of a union."""
    if "type" not in schema:
        return schema
    listed = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | listed
