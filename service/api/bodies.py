"""Rows in requests and answers as OpenAPI describes them: the media types in which they come."""

from collections.abc import Mapping
from typing import Any

from service.api.responses import ImportSummary, headers
from service.formats.format import Format

JsonObject = dict[str, Any]

JSON = "application/json"
CSV = "text/csv"
FORM = "application/x-www-form-urlencoded"
NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
ONE = "application/vnd.pgrst.object+json"
STRIPPED = "application/vnd.pgrst.array+json;nulls=stripped"
_TEXT: JsonObject = {"type": "string"}
_BYTES: JsonObject = {"type": "string", "format": "binary"}
_FILES: dict[str, JsonObject] = {
    Format.NDJSON.media_type: _TEXT,
    Format.COLUMNS.media_type: {"type": "object", "additionalProperties": {"type": "array"}},
    Format.ARROW.media_type: {"type": "string", "format": "binary"},
    Format.PARQUET.media_type: {"type": "string", "format": "binary"},
    Format.SHEET.media_type: _TEXT,
}


def rows_answer(text: str, row: JsonObject, *names: str, is_exported: bool = False) -> JsonObject:
    """Rows: as an array, as the one object, as CSV, or without what is null; or as a file."""
    rows = {"type": "array", "items": row}
    content = {JSON: rows, ONE: row, CSV: _TEXT, STRIPPED: rows}
    return _answer(text, content | (_FILES if is_exported else {}), *names)


def inserted_answer(row: JsonObject, *names: str) -> JsonObject:
    """New rows; or, of an import, how many."""
    rows: JsonObject = {"type": "array", "items": row}
    either = {"anyOf": [rows, {"$ref": f"#/components/schemas/{ImportSummary.__name__}"}]}
    content = {JSON: either, ONE: row, CSV: _TEXT, STRIPPED: rows}
    return _answer(
        "The rows as they are now; of an import, how many were written and which were left out.", content, *names
    )


def row_answer(text: str, row: JsonObject, *names: str) -> JsonObject:
    """One row as an object."""
    return _answer(text, {JSON: row}, *names)


def rows_body(row: JsonObject, example: object) -> JsonObject:
    """One row or many."""
    many = {"anyOf": [row, {"type": "array", "items": row, "title": "an array of them"}]}
    examples = {"one": {"summary": "One row", "value": example}, "many": {"summary": "Several", "value": [example]}}
    return {
        "required": True,
        "content": {JSON: {"schema": many, "examples": examples}}
        | _content({FORM: row, CSV: _TEXT, NDJSON: _TEXT, ARROW: _BYTES, PARQUET: _BYTES}),
    }


def row_body(row: JsonObject) -> JsonObject:
    """One row."""
    return {"required": True, "content": _content({JSON: row, FORM: row})}


def _answer(text: str, schemas: Mapping[str, JsonObject], *names: str) -> JsonObject:
    return {"description": text, "headers": headers(*names), "content": _content(schemas)}


def _content(schemas: Mapping[str, JsonObject]) -> JsonObject:
    return {media: {"schema": schema} for media, schema in schemas.items()}
