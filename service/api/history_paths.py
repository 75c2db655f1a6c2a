"""History, trash, restore and undo as OpenAPI describes them: once, however many tables there are."""

from typing import Any

from service.api.responses import answer, headers, problems
from service.api.shared_parameters import parameters, query_parameter

JsonObject = dict[str, Any]

TAG = "History"
TAG_TEXT = "What was done to rows, by whom and when; bringing back what was deleted, and undoing what was changed."

_FILTERS = ("history.actor", "history.request", "history.transaction", "history.since", "history.until")
_PAGES = ("history.operation", "history.limit", "history.cursor")
_OF_READS = (400, 401, 403, 404, 409, 414, 422, 429, 503)
_OF_UNDO = (400, 401, 403, 404, 409, 413, 414, 422, 429, 503)
_NUMBER: JsonObject = {"type": "integer", "format": "int64", "minimum": 1}
_TIME: JsonObject = {"type": "string", "format": "date-time"}
_TEXT: JsonObject = {"type": "string"}
_HISTORY = """\
The changes that the log has, the latest first, with the row before and after each as far as you may see it: who made
it (`actor`; beside the service `db_user`), when, in which request and transaction, and which columns an update changed.
The history of a row also has the changes that brought it to its key or took it to another. Rows are shown as they were
written, also where a column had another type; with filters of columns, such changes are left out. A page that is
filtered looks at so many changes and no more: it may be short, or empty, and `Link` leads on. A table whose changes are
not logged is answered 409 (`not_tracked`).
"""
_CHANGE: JsonObject = {
    "change": 367689,
    "table": "measurements",
    "type": "update",
    "key": {"id": 7},
    "columns": ["value"],
    "before": {"id": 7, "value": 1.4},
    "after": {"id": 7, "value": 1.5},
    "at": "2026-11-21T11:12:51.616234+00:00",
    "transaction": "801",
    "actor": "key:notebook#1f2e3d4c",
    "request": "6d5c6a0f4c1f4b0f9d6a",
    "source": "rowhouse",
    "db_user": "rowhouse_service",
}


def history_paths(example: str) -> JsonObject:
    """Those of any table and row, and of all tables. `example` is the name of a table."""
    table = _in_path("table", "Name of a table that you may read.", example)
    key = _in_path("key", "Key of a row; of several columns parted by commas.", "1")
    tables = query_parameter("tables", "Only of these tables, parted by commas. Default: all that you may read.", _TEXT)
    within = query_parameter(
        "within",
        "Only those among so many of the log's latest changes, of whatever table: a glance that costs little, however "
        "large the log is.",
        _NUMBER | {"maximum": 10_000},
    )
    filters: JsonObject = {"$ref": "#/components/parameters/feed.filters"}
    return {
        "/api/v1/{table}/-/history": {"get": _read("table_history", "What was done to a table", [table, filters])},
        "/api/v1/{table}/{key}/-/history": {"get": _read("row_history", "What was done to a row", [table, key])},
        "/api/v1/-/history": {"get": _read("history", "What was done to all tables", [tables, within])},
        "/api/v1/{table}/-/trash": {
            "get": _read("trash", "What was deleted and is not back", [table, filters])
            | {"description": "The last deletion of each row that is not there. `…/-/restore` brings one back."}
        },
        "/api/v1/{table}/{key}/-/restore": {"post": _restore([table, key])},
        "/api/v1/-/undo": {"post": _undo()},
    }


def history_parameters() -> JsonObject:
    """What histories take, by the name in `components`."""
    return {
        "history.actor": query_parameter(
            "actor", "Only changes by this person or key; of those beside the service, by this database user.", _TEXT
        ),
        "history.request": query_parameter("request", "Only changes of the request with this `X-Request-ID`.", _TEXT),
        "history.transaction": query_parameter("transaction", "Only changes of this transaction.", _NUMBER),
        "history.since": query_parameter("since", "Only changes from this time on.", _TIME),
        "history.until": query_parameter("until", "Only changes before this time.", _TIME),
        "history.operation": query_parameter(
            "operation",
            "Only changes of these kinds, parted by commas: `insert`, `update`, `delete`, `truncate`.",
            _TEXT | {"pattern": "^(insert|update|delete|truncate)(,(insert|update|delete|truncate))*$"},
        ),
        "history.limit": query_parameter("limit", "Most changes of the page.", _NUMBER | {"default": 100}),
        "history.cursor": query_parameter(
            "cursor", "Changes before this one, as `Link` has it. A page may be short and yet have a next one.", _NUMBER
        ),
    }


def history_schemas() -> JsonObject:
    """By the name in `components`."""
    row = {"type": ["object", "null"]}
    return {
        "LoggedChange": {
            "type": "object",
            "required": ["change", "table", "type", "key", "before", "after", "at", "transaction"],
            "properties": {
                "change": _NUMBER | {"description": "Its number, for `undo`."},
                "table": _TEXT,
                "type": {"enum": ["insert", "update", "delete", "truncate"]},
                "key": row | {"description": "The row's key; the whole row where the table has none."},
                "old_key": {"type": "object", "description": "The key before, where an update changed it."},
                "columns": {"type": "array", "items": _TEXT, "description": "Columns that an update changed."},
                "before": row,
                "after": row,
                "at": _TIME,
                "transaction": _TEXT,
                "actor": {"type": ["string", "null"]},
                "request": {"type": ["string", "null"]},
                "source": {"type": ["string", "null"]},
                "db_user": _TEXT,
            },
        },
        "Undone": {
            "type": "object",
            "required": ["undone", "dry_run"],
            "properties": {
                "undone": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["table", "key", "did"],
                        "properties": {
                            "change": _NUMBER,
                            "table": _TEXT,
                            "key": row,
                            "did": {"enum": ["insert", "update", "delete"], "description": "What was written for it."},
                        },
                    },
                },
                "dry_run": {"type": "boolean"},
            },
        },
    }


def history_responses() -> JsonObject:
    """By the name in `components`."""
    done = {"change": 367689, "table": "measurements", "key": {"id": 7}, "did": "update"}
    changes = {"type": "array", "items": {"$ref": "#/components/schemas/LoggedChange"}}
    return {
        "History": {
            "description": "The changes. `Link` leads to earlier ones.",
            "headers": headers("Link"),
            "content": {"application/json": {"schema": changes, "example": [_CHANGE]}},
        },
        "Undone": {
            "description": "What was written, a change at a time.",
            "headers": headers(),
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Undone"},
                    "example": {"undone": [done], "dry_run": False},
                }
            },
        },
    }


def _read(name: str, summary: str, taken: list[JsonObject]) -> JsonObject:
    return {
        "tags": [TAG],
        "operationId": name,
        "summary": summary,
        "description": _HISTORY,
        "parameters": [*taken, *parameters(*_FILTERS, *_PAGES)],
        "responses": {"200": answer("History")} | problems(*_OF_READS),
    }


def _restore(taken: list[JsonObject]) -> JsonObject:
    return {
        "tags": [TAG],
        "operationId": "restore",
        "summary": "Bring back a deleted row",
        "description": "Inserts the row as it was when it was last deleted.",
        "parameters": taken,
        "requestBody": _body({"dry_run": _DRY_RUN}, {"dry_run": True}, is_required=False),
        "responses": {"200": answer("Undone")} | problems(*_OF_UNDO),
    }


_DRY_RUN: JsonObject = {"type": "boolean", "default": False, "description": "Only find out whether it can be done."}


def _undo() -> JsonObject:
    members = {"change": _NUMBER, "request": _TEXT | {"minLength": 1}, "transaction": _NUMBER}
    one_of = [{"required": [name]} for name in members]
    body = _body(members | {"dry_run": _DRY_RUN}, {"change": 367689}, is_required=True)
    body["content"]["application/json"]["schema"]["oneOf"] = one_of
    return {
        "tags": [TAG],
        "operationId": "undo",
        "summary": "Take changes back",
        "description": (
            "Takes back one change, or all those of a request or of a transaction, as ordinary writes of yours, which "
            "the log keeps. An update is taken back in the columns that it changed, so that what others have done to "
            "other columns stays. Where somebody has changed the same since, or another row refers to this one, "
            "nothing is done, and a 409 (`undo_conflict`) says in `errors` what stands in the way."
        ),
        "requestBody": body,
        "responses": {"200": answer("Undone")} | problems(*_OF_UNDO),
    }


def _body(members: JsonObject, example: JsonObject, *, is_required: bool) -> JsonObject:
    schema = {"type": "object", "additionalProperties": False, "properties": members}
    return {"required": is_required, "content": {"application/json": {"schema": schema, "example": example}}}


def _in_path(name: str, text: str, example: str) -> JsonObject:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": text,
        "schema": {"type": "string", "minLength": 1, "examples": [example]},
    }
