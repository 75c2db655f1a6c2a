"""Parameters that all tables and functions share: the words of the query language, and the headers."""

from collections.abc import Sequence
from typing import Any

from service.core.settings import ApiSettings
from service.formats.format import Format

JsonObject = dict[str, Any]

_ETAG = '(W/)?"[^"]*"'
_FIELD = r'("[^"]+"|[^.,:()!=&<>{}" -]+)(->>?[A-Za-z0-9_]+)*'
_TERM = rf"{_FIELD}(\.(asc|desc))?(\.nulls(first|last))?"
_NAMES = r'^("[^"]+"|[^.,:()!=&<>{}" ]+)(,("[^"]+"|[^.,:()!=&<>{}" ]+))*$'
_TEXT: JsonObject = {"type": "string"}
_NUMBER: JsonObject = {"type": "integer", "format": "int64", "minimum": 0}
_STRICT = "`handling=strict` makes a preference that is not known here an error."
_COUNT = (
    "`count=exact` counts all rows that the filters select (`Content-Range`, and 206 for a part of them); "
    "`count=planned` takes PostgreSQL's estimate, `count=estimated` counts exactly where there are few."
)
_ZONE = "`timezone=Europe/Oslo` is the time zone of times in the answer."


def shared_parameters(settings: ApiSettings, schemas: Sequence[str]) -> JsonObject:
    """What every table or function takes, by the name in `components`."""
    return _words(settings) | _filters(settings) | _preferences(settings) | _conditions() | _profiles(schemas)


def parameters(*names: str) -> list[JsonObject]:
    """Those parameters, by reference."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def query_parameter(name: str, text: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _words(settings: ApiSettings) -> JsonObject:
    aggregates = (
        " `amount.sum()` and `count()` aggregate (also `avg`, `min`, `max`), by the other columns that are selected."
        if settings.api_aggregates
        else ""
    )
    return {
        "select": query_parameter(
            "select",
            "What of each row, parted by commas: columns, `*` for all, renamed `new:column`, cast `column::text`, "
            "a place in JSON `column->a->>0`, related tables `relation(columns)`, `relation!inner(columns)` for rows "
            "that have some, `...relation(columns)` to spread them into the row, and `_etag` for the row version."
            f"{aggregates} Default: all columns.",
            _TEXT | {"examples": ["*"]},
        ),
        "order": query_parameter(
            "order",
            "Columns to sort by, parted by commas: `column`, `column.desc`, `column.desc.nullslast`, `column->a`, "
            "`relation(column)`. The key comes last by itself, so that the order is always total.",
            _TEXT | {"pattern": rf"^({_TERM}(,{_TERM})*)?$"},
        ),
        "limit": query_parameter(
            "limit",
            f"Most rows of the page. At most {settings.api_max_rows:,} come at once; `Link` leads to the rest. "
            "`relation.limit` is that of related rows.",
            _NUMBER | {"examples": [20]},
        ),
        "offset": query_parameter(
            "offset",
            "Rows to skip. A `cursor` is faster, and misses nothing while rows are written.",
            _NUMBER | {"examples": [0]},
        ),
        "cursor": query_parameter("cursor", "Where the page begins, as the `Link` of the page before wrote it.", _TEXT),
        "as_of": query_parameter(
            "as_of",
            "The rows as they were: at a time, or where a cursor of the feed stands. Of tracked tables alone, without "
            "related rows. Counted exactly, whatever `Prefer: count` says. A column of this name is filtered by as "
            '`"as_of"=eq.…` or `and=(as_of.eq.…)`.',
            _TEXT | {"examples": ["2026-01-31T12:00:00Z"]},
        ),
        "format": query_parameter(
            "format",
            "All rows in another form, whatever `Accept` says: `csv`, `ndjson` (an object a line), `columns` "
            "(`{column: [values]}`), `arrow` (a stream), `parquet`, `sheet` (CSV in which no text is a formula to a "
            "spreadsheet: an apostrophe stands before it). They are cut off by `limit` alone, and come as "
            "PostgreSQL finds them unless `order` is given. A file that is not whole is not ended.",
            _TEXT | {"enum": ["json", *Format]},
        ),
        "columns": query_parameter(
            "columns",
            "The columns that are taken of the body, parted by commas; what else it names is passed over. Rows may "
            "then name different columns.",
            _TEXT | {"pattern": _NAMES},
        ),
        "on_conflict": query_parameter(
            "on_conflict",
            "Columns of a unique constraint, parted by commas: what `Prefer: resolution` takes for a duplicate. "
            "Default: the key.",
            _TEXT | {"pattern": _NAMES},
        ),
    }


def _filters(settings: ApiSettings) -> JsonObject:
    logic = {"and": _logic("and", "All of the filters hold"), "or": _logic("or", "One of the filters holds")}
    if not settings.api_aggregates:
        return logic
    text = "What groups must meet that `select` aggregates: `(amount.sum().gt.10,count().lt.5)`, nested as `and`."
    return logic | {"having": query_parameter("having", text, _TEXT | {"pattern": r"^\(.+\)$"})}


def _preferences(settings: ApiSettings) -> JsonObject:
    undone = "`tx=rollback` does all of it and undoes it. " if settings.api_tx_override else ""
    answer = (
        "`return=representation` answers with the rows as written, `return=minimal` and `return=headers-only` "
        "without; `count=exact` counts them."
    )
    return {
        "PreferRead": _header("Prefer", f"{_COUNT} {_ZONE} {_STRICT}", _TEXT | {"examples": ["count=exact"]}),
        "PreferInsert": _header(
            "Prefer",
            f"{answer} `resolution=merge-duplicates` changes rows that are there already, "
            "`resolution=ignore-duplicates` leaves them. `missing=default` takes the default of what a row does not "
            f"name of `columns`, `missing=null` takes null. {undone}{_ZONE} {_STRICT} Imports (CSV, NDJSON, Arrow, "
            "Parquet) also know `resolution=replace`, which deletes all rows first that the caller may delete; "
            "`max-rejected=100`, which leaves out and lists so many rows that cannot be written; a dry run that keeps "
            "nothing (`tx`, set to `rollback`); and `respond-async`, which leaves them to a worker.",
            _TEXT | {"examples": ["return=representation"]},
        ),
        "PreferWrite": _header(
            "Prefer",
            f"{answer} `max-affected=10` refuses to touch more rows than that, `min-affected=10` fewer. "
            f"{undone}{_ZONE} {_STRICT}",
            _TEXT | {"examples": ["return=representation"]},
        ),
        "PreferCall": _header("Prefer", f"{_COUNT} {undone}{_ZONE} {_STRICT}", _TEXT | {"examples": ["count=exact"]}),
    }


def _conditions() -> JsonObject:
    tags = rf"^(\*|{_ETAG}(, *{_ETAG})*)$"
    return {
        "Range": _header(
            "Range",
            "The rows from the first to the last, counted from 0, as `limit` and `offset` do: `0-9`, `10-`.",
            _TEXT | {"pattern": r"^(items=)?\d{1,9}-(\d{1,9})?$", "examples": ["0-9"]},
        ),
        "If-Match": _header(
            "If-Match",
            "Write only if the row is still in this version: an `ETag` as it was read, or several. `*`: in any.",
            _TEXT | {"pattern": tags, "examples": ["*"]},
        ),
        "If-None-Match": _header(
            "If-None-Match",
            "Answer 304 without a body if the row is still as this `ETag` says.",
            _TEXT | {"pattern": tags, "examples": ['"bce36e78.758"']},
        ),
        "If-None-Match-Any": _header(
            "If-None-Match", "`*`: insert the row, and replace none that is there.", _TEXT | {"examples": ["*"]}
        ),
    }


def _profiles(schemas: Sequence[str]) -> JsonObject:
    """Where one schema is served, there is nothing to choose."""
    if len(schemas) < 2:
        return {}
    text = (
        f"The schema of the table or function, whose bare name then stands in the path. Without it a bare name is of "
        f"`{schemas[0]}`, and `schema.name` of any."
    )
    schema = _TEXT | {"enum": list(schemas)}
    return {
        "Accept-Profile": _header("Accept-Profile", text, schema),
        "Content-Profile": _header("Content-Profile", text, schema),
    }


def _logic(name: str, meaning: str) -> JsonObject:
    return query_parameter(
        name,
        f"{meaning}: `(column.operator.value,…)`, nested as `and(…)` and `or(…)`. `not.{name}` negates it, and "
        f"`relation.{name}` is of related rows.",
        _TEXT | {"pattern": r"^\(.+\)$"},
    )


def _header(name: str, text: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "in": "header", "description": text, "schema": schema}
