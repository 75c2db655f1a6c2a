"""Parameters of the table plane as OpenAPI describes them: what all tables share, and the filters of each."""

import re
from typing import Any

import sqlalchemy as sa

from service.catalog.resource import Column, Resource
from service.core.settings import ApiSettings
from service.schemas.examples import example_value

JsonObject = dict[str, Any]

# Parameters of these names are the language's own, so a column of that name cannot be a filter.
_WORDS = frozenset({"select", "order", "limit", "offset", "cursor", "and", "or"})
_NUMBERS = (sa.Integer, sa.Float, sa.Numeric)
_ETAG = '(W/)?"[^"]*"'
_TERM = r'("[^"]+"|[^.,:()!=&<>{}" ]+)(\.(asc|desc))?(\.nulls(first|last))?'
_TEXT: JsonObject = {"type": "string"}


def shared_parameters(settings: ApiSettings) -> JsonObject:
    """What every table takes, by the name in `components`."""
    number = {"type": "integer", "format": "int64", "minimum": 0}
    return {
        "select": _query(
            "select",
            "What of each row, parted by commas: columns, `*` for all, renamed `new:column`, cast `column::text`, "
            "related tables `relation(columns)`, and `_etag` for the row version. Default: all columns.",
            _TEXT | {"examples": ["*"]},
        ),
        "order": _query(
            "order",
            "Columns to sort by, parted by commas: `column`, `column.desc`, `column.desc.nullslast`. The key comes "
            "last by itself, so that the order is always total.",
            _TEXT | {"pattern": rf"^({_TERM}(,{_TERM})*)?$"},
        ),
        "limit": _query(
            "limit",
            f"Most rows of the page. At most {settings.api_max_rows:,} come at once; `Link` leads to the rest.",
            number | {"examples": [20]},
        ),
        "offset": _query(
            "offset",
            "Rows to skip. A `cursor` is faster, and misses nothing while rows are written.",
            number | {"examples": [0]},
        ),
        "cursor": _query("cursor", "Where the page begins, as the `Link` of the page before wrote it.", _TEXT),
        "and": _logic("and", "All of the filters hold"),
        "or": _logic("or", "One of the filters holds"),
        "PreferRead": _header(
            "Prefer",
            "`count=exact` counts all rows that the filters select (`Content-Range`, and 206 for a part of them). "
            "`handling=strict` makes a preference that is not known here an error.",
            _TEXT | {"examples": ["count=exact"]},
        ),
        "PreferWrite": _header(
            "Prefer",
            "`return=representation` answers with the rows as written, `return=minimal` and `return=headers-only` "
            "without. `max-affected=10` refuses to touch more rows than that. `handling=strict` makes a preference "
            "that is not known here an error.",
            _TEXT | {"examples": ["return=representation"]},
        ),
        "If-Match": _header(
            "If-Match",
            "Write only if the row is still in this version: an `ETag` as it was read, or several. `*`: in any.",
            _TEXT | {"pattern": rf"^(\*|{_ETAG}(, *{_ETAG})*)$", "examples": ["*"]},
        ),
        "If-None-Match": _header(
            "If-None-Match",
            "Answer 304 without a body if the row is still as this `ETag` says.",
            _TEXT | {"pattern": rf"^(\*|{_ETAG}(, *{_ETAG})*)$", "examples": ['"bce36e78.758"']},
        ),
        "If-None-Match-Any": _header(
            "If-None-Match", "`*`: insert the row, and replace none that is there.", _TEXT | {"examples": ["*"]}
        ),
    }


def filter_parameters(resource: Resource) -> JsonObject:
    """The filters of a table, one a column, by the name in `components`."""
    return {
        f"{component_name(resource.name)}.{component_name(column.name)}": _query(
            _written(column.name),
            _filter_text(column),
            _TEXT | {"pattern": _pattern(column), "examples": [example_filter(column)]},
        )
        for column in resource.columns.values()
        if column.name not in _WORDS
    }


def component_name(name: str) -> str:
    """A name as `components` can hold it, different for different names."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda match: f".{ord(match[0]):x}.", name)


def parameters(*names: str) -> list[JsonObject]:
    """Those parameters, by reference."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def as_text(value: object) -> str:
    """A value as the query string writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def example_filter(column: Column) -> str:
    """`operator.value`, of a kind that is usual for the column's type."""
    match column.type:
        case sa.Boolean():
            return "is.true"
        case sa.String() | sa.Uuid():
            return f"eq.{as_text(example_value(column))}"
        case sa.JSON() | sa.ARRAY() | sa.LargeBinary():
            return "not.is.null"
    return f"gte.{as_text(example_value(column))}"


def _filter_text(column: Column) -> str:
    """The comment, the type, and how filters on such a column are written."""
    value = as_text(example_value(column))
    match column.type:
        case sa.Boolean():
            ways = ["is.true", "is.false"]
        case sa.Uuid() | sa.Enum():
            ways = [f"eq.{value}", f"in.({value},…)"]
        case sa.String():
            ways = [f"eq.{value}", f"like.{value[:1]}*", f"not.in.({value},…)"]
        case sa.JSON() | sa.ARRAY() | sa.LargeBinary():
            ways = []
        case _:
            ways = [f"eq.{value}", f"gte.{value}", f"not.in.({value},…)"]
    ways += ["is.null"] if column.is_nullable else []
    said = [column.comment.rstrip(".") + "."] if column.comment else []
    return " ".join([*said, f"Filter ({column.sql_type}): {', '.join(f'`{way}`' for way in ways)}."])


def _pattern(column: Column) -> str:
    """What a filter may look like. Values of other types than numbers are left to PostgreSQL."""
    compared = "eq|neq|gt|gte|lt|lte"
    if isinstance(column.type, sa.String) and not isinstance(column.type, sa.Enum):
        compared += "|like|ilike|match|imatch"
    constants = "null|not_null|true|false|unknown" if isinstance(column.type, sa.Boolean) else "null|not_null"
    if not isinstance(column.type, _NUMBERS):
        return rf"^(not\.)?(({compared})\.|in\.\(.*\)$|is\.({constants})$)"
    number = r"-?\d+" if isinstance(column.type, sa.Integer) else r"-?\d+(\.\d+)?([eE]-?\d{1,2})?"
    return rf"^(not\.)?(({compared})\.{number}|in\.\(({number}(,{number})*)?\)|is\.({constants}))$"


def _written(name: str) -> str:
    """A column's name as the language writes it: quoted where it has characters of the language."""
    if re.fullmatch(r"\w+", name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _logic(name: str, meaning: str) -> JsonObject:
    return _query(
        name,
        f"{meaning}: `(column.operator.value,…)`, nested as `and(…)` and `or(…)`. `not.{name}` negates it.",
        _TEXT | {"pattern": r"^\(.+\)$"},
    )


def _query(name: str, text: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _header(name: str, text: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "in": "header", "description": text, "schema": schema}
