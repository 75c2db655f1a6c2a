"""The filters of a table as OpenAPI describes them: a parameter a column, a schema a type.

The schemas are shared, or a document of hundreds of tables would be too large to be read.
"""

import re
from typing import Any

import sqlalchemy as sa

from service.api.shared_parameters import query_parameter
from service.catalog.resource import Column, Resource
from service.query.parse.parameters import OF_A_TABLE, OF_THE_REQUEST
from service.schemas.examples import example_value
from service.schemas.types import base_name

JsonObject = dict[str, Any]

# Parameters of these names are the language's own, so a column of that name is written in quotes.
_WORDS = OF_THE_REQUEST | OF_A_TABLE
_WHOLE = ("smallint", "integer", "bigint")
_NUMBERS = (*_WHOLE, "real", "double precision", "numeric")
_TEXTS = ("text", "character varying", "character", "bpchar", "name")
_COMPARED = "eq|neq|gt|gte|lt|lte|isdistinct"
_QUANTIFIED = "eq|gt|gte|lt|lte"
_OF_TEXTS = "like|ilike|match|imatch"
_FULL_TEXT = r"(fts|plfts|phfts|wfts)(\(\w+\))?"
_OF_SETS = "cs|cd|ov"
_OF_RANGES = "sl|sr|nxr|nxl|adj"


def filter_parameters(resource: Resource) -> JsonObject:
    """The filters of a table, one a column, by the name in `components`."""
    return {
        f"{component_name(resource.name)}.{component_name(column.name)}": query_parameter(
            written_name(column.name),
            _filter_text(column),
            {"$ref": f"#/components/schemas/{filter_component(column)}"},
        )
        for column in (*resource.columns.values(), *resource.computed.values())
    }


def filter_schemas(resource: Resource) -> JsonObject:
    """The schemas of those filters, by the name in `components`."""
    return {
        filter_component(column): {
            "type": "string",
            "pattern": _pattern(column),
            "examples": [example_filter(column)],
        }
        for column in (*resource.columns.values(), *resource.computed.values())
    }


def filter_component(column: Column) -> str:
    """The name of the schema that filters of this type share. No table's schema ends in `.filter`."""
    return f"{component_name(_type_name(column))}.filter"


def component_name(name: str) -> str:
    """A name as `components` can hold it, different for different names."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda match: f".{ord(match[0]):x}.", name)


def as_text(value: object) -> str:
    """A value as the query string writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def example_filter(column: Column) -> str:
    """`operator.value`, of a kind that is usual for the column's type."""
    name = base_name(column)
    if name == "boolean":
        return "is.true"
    if name in _TEXTS or name == "uuid" or _is_enum(column):
        return f"eq.{as_text(example_value(column))}"
    if name in _NUMBERS or name == "date" or name.startswith("time"):
        return f"gte.{as_text(example_value(column))}"
    return "not.is.null"


def written_name(name: str) -> str:
    """A column's name as the language writes it: quoted where it has characters or is a word of the language."""
    if re.fullmatch(r"\w+", name) and name not in _WORDS:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_enum(column: Column) -> bool:
    return isinstance(column.type, sa.Enum)


def _type_name(column: Column) -> str:
    """The type that a filter is of. Domains with casts of their own, and enums, go by their own names."""
    return column.sql_type if column.representation is not None or _is_enum(column) else base_name(column)


def _filter_text(column: Column) -> str:
    """The comment, the type, and how filters on such a column are written."""
    said = [column.comment.rstrip(".") + "."] if column.comment else []
    ways = [*_ways(column), *(["is.null"] if column.is_nullable else [])]
    return " ".join([*said, f"Filter ({column.sql_type}): {', '.join(f'`{way}`' for way in ways)}."])


def _ways(column: Column) -> list[str]:
    name, value = base_name(column), as_text(example_value(column))
    if name == "boolean":
        return ["is.true", "is.false"]
    if name == "uuid" or _is_enum(column):
        return [f"eq.{value}", f"in.({value},…)"]
    if name in _TEXTS:
        return [f"eq.{value}", f"like.{value[:1]}*", "fts.word", f"not.in.({value},…)"]
    if name.endswith("[]"):
        return ["cs.{…}", "cd.{…}", "ov.{…}"]
    if name.endswith("range"):
        return [f"cs.{value}", f"ov.{value}", f"adj.{value}"]
    if name in ("json", "jsonb"):
        return ["cs.{…}"] if name == "jsonb" else []
    if name == "tsvector":
        return ["fts.word", "wfts(english).words"]
    if example_filter(column) == "not.is.null":
        return [f"eq.{value}"]
    return [f"eq.{value}", f"gte.{value}", f"not.in.({value},…)"]


def _pattern(column: Column) -> str:
    """What a filter may look like. Values of other types than numbers are left to PostgreSQL."""
    name = _type_name(column)
    if name in _NUMBERS:
        return _number_pattern(r"-?\d+" if name in _WHOLE else r"-?\d+(\.\d+)?([eE]-?\d{1,2})?")
    constants = "null|not_null|true|false|unknown" if name == "boolean" else "null|not_null"
    listed = rf"in\.\(.*\)$|is\.({constants})$"
    quantified = _QUANTIFIED
    rest = []
    if name in _TEXTS:
        quantified, rest = f"{_QUANTIFIED}|{_OF_TEXTS}", [rf"{_FULL_TEXT}\."]
    elif name == "tsvector":
        rest = [rf"{_FULL_TEXT}\."]
    elif name.endswith(("[]", "range", "json", "jsonb")) or "." in name:
        rest = [rf"({_OF_SETS}|{_OF_RANGES})\."]
    terms = "|".join([rf"({_COMPARED})\.", rf"({quantified})(\((any|all)\))?\.", *rest, listed])
    return rf"^(not\.)?({terms})"


def _number_pattern(number: str) -> str:
    several = rf"({number}(,{number})*)?"
    return (
        rf"^(not\.)?(({_COMPARED})\.{number}|({_QUANTIFIED})\((any|all)\)\.\{{{several}\}}"
        rf"|in\.\({several}\)|is\.(null|not_null))$"
    )
